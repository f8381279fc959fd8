package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// command runs a command line to its end.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = execute(t.Context(), args, console{&out, &err})
	return status, out.String(), err.String()
}

func TestHelp(t *testing.T) {
	for _, c := range []struct {
		args  string
		wants []string
	}{
		{"", []string{"causeway up", "Run everything on this machine"}},
		{"--help", []string{"causeway up"}},
		{"up --help", []string{"Examples:", "(default :8443)", "8801)", "--public-address", "--media-port", "Ctrl-C"}},
		{"web --help", []string{"Examples:", "causeway config sample web"}},
		{"zone --help", []string{"Examples:", "causeway config sample zone", "--config=FILE", "--enroll=TOKEN", "--ready-json", "CAUSEWAY_ENROLL"}},
		{"mmr --help", []string{"Examples:", "causeway config sample mmr"}},
		{"join --help", []string{"Examples:", "--publish"}},
		{"meeting create --help", []string{"Examples:", "CAUSEWAY_API_KEY"}},
		{"web --help", []string{"causeway apikey create --config web.yaml"}},
		{"apikey create --help", []string{"Example:", "CAUSEWAY_API_KEY"}},
		{"config check --help", []string{"Example:"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			status, out, stderr := command(t, strings.Fields(c.args)...)
			if status != 0 || stderr != "" {
				t.Errorf("status %d, said %q", status, stderr)
			}
			for _, want := range c.wants {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in:\n%s", want, out)
				}
			}
		})
	}
}

func TestBadCommandLine(t *testing.T) {
	for _, args := range []string{"uo", "up --nonsense", "up --media-port 70000", "up --log-level loud", "web", "meeting end", "config sample lamp"} {
		status, out, stderr := command(t, strings.Fields(args)...)
		if status != 2 || out != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "--help") {
			t.Errorf("%s: status %d, printed %q, said %q", args, status, out, stderr)
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	_, _, stderr := command(t, "uo")
	if want := "causeway: unexpected argument uo, did you mean \"up\"; see 'causeway --help'\n"; stderr != want {
		t.Errorf("said %q, want %q", stderr, want)
	}
	if _, _, stderr := command(t, "up", "--nonsense"); !strings.Contains(stderr, "see 'causeway up --help'") {
		t.Errorf("said %q", stderr)
	}
}

func TestVersion(t *testing.T) {
	if status, out, _ := command(t, "version"); status != 0 || !strings.HasPrefix(out, "causeway ") {
		t.Errorf("status %d, printed %q", status, out)
	}
}

// occupied gives a TCP and a UDP port on which somebody listens.
func occupied(t *testing.T) (tcp, udp string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, tcp, _ = net.SplitHostPort(ln.Addr().String())
	_, udp, _ = net.SplitHostPort(c.LocalAddr().String())
	return tcp, udp
}

// TestUpRefuses starts what cannot start: one sentence with the remedy.
func TestUpRefuses(t *testing.T) {
	tcp, udp := occupied(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	locked, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer locked.close()
	free := []string{"--listen", "127.0.0.1:0", "--http", "localhost:0"}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"TLS port taken", []string{"--listen", "127.0.0.1:" + tcp}, "TCP port " + tcp + " is taken by another program; stop that, or use another port with --listen"},
		{"HTTP port taken", []string{"--listen", "127.0.0.1:0", "--http", "localhost:" + tcp}, "TCP port " + tcp + " is taken by another program; stop that, or use another port with --http"},
		{"media port taken", append(free, "--media-port", udp), "UDP port " + udp + " is taken by another program; stop that, or use another port with --media-port"},
		{"not our address", []string{"--listen", "192.0.2.1:8443"}, "192.0.2.1 is not an address of this machine; use one of its own with --listen, or :8443 for all of them"},
		{"not a host", []string{"--listen", "nobody.invalid:8443"}, "nobody.invalid is not a known host; use an address of this machine with --listen"},
		{"not an address", []string{"--listen", "8443"}, `"8443" is not an address to listen on; write :PORT or HOST:PORT with --listen`},
		{"plain HTTP for others", append(free[:2:2], "--http", "0.0.0.0:8080"), "0.0.0.0:8080 would be reachable from elsewhere without encryption; use localhost:8080 with --http, and --listen for others"},
		{"data is a file", []string{"--data", file}, "cannot write to the data folder " + file + " (not a directory); use another folder with --data DIR, or change who may write to it"},
		{"data below a file", []string{"--data", filepath.Join(file, "x")}, "(not a directory); use another folder with --data DIR"},
		{"data in use", []string{"--data", locked.path}, "the data folder " + locked.path + " is in use by another causeway; stop that one, or use another folder with --data DIR"},
		{"address as link", append(free, "--public-address", "https://meet.example.org"), `"https://meet.example.org" is not a host name; give --public-address a host name or an IP address, without https:// and port`},
		{"no address", append(free, "--public-address", "0.0.0.0"), "0.0.0.0 is not an address that clients could use"},
		{"unknown name", append(free, "--public-address", "nobody.invalid"), "nobody.invalid cannot be resolved to an address; check the name given with --public-address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"up", "--data", t.TempDir(), "--media-port", "0"}, c.args...)
			status, out, stderr := command(t, args...)
			if status != 1 || out != "" {
				t.Errorf("status %d, printed %q", status, out)
			}
			if !strings.HasPrefix(stderr, "causeway: ") || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("said %q, want %q", stderr, c.want)
			}
		})
	}
}

func TestNoHome(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "")
	if status, _, stderr := command(t, "up"); status != 1 || !strings.Contains(stderr, "name a folder with --data DIR") {
		t.Errorf("status %d, said %q", status, stderr)
	}
}

func TestDefaultDataDir(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/xdg")
	if got := defaultDataDir(); got != filepath.FromSlash("/xdg/causeway") {
		t.Errorf("got %s", got)
	}
	t.Setenv("XDG_DATA_HOME", "relative") // to be ignored, says its specification
	t.Setenv("HOME", "/home/ada")
	if got := defaultDataDir(); !strings.HasPrefix(got, "/home/ada") {
		t.Errorf("got %s", got)
	}
}

func TestLoopbackHosts(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:8080": true, "LOCALHOST:8080": true, "localhost.": true, "a.localhost:1": true,
		"127.0.0.1": true, "127.0.0.1:8080": true, "127.9.9.9:1": true, "[::1]": true, "[::1]:8080": true, "::1": true,
		"": false, ":8080": false, "example.org": false, "localhost.example.org": false, "notlocalhost": false,
		"127.0.0.1.example.org": false, "192.168.1.2:8080": false, "0.0.0.0:8080": false, "[::]": false,
		"[::ffff:127.0.0.1]:80": true, "localhost:8080:1": false,
	} {
		if got := isLoopbackHost(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestEndedBeforeStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, stderr bytes.Buffer
	args := []string{"up", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--http", "off", "--media-port", "0", "--json"}
	if status := execute(ctx, args, console{&out, &stderr}); status > 1 || strings.Contains(out.String(), "ready") {
		t.Errorf("status %d, printed %q, said %q", status, out.String(), stderr.String())
	}
}
