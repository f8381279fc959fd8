package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"causeway/internal/base/porttest"
	"causeway/protocol"
)

// apart are servers each on its own: one web, a zone of two controllers that
// share the load of one router.
type apart struct {
	t     *testing.T
	dir   string
	ports map[string]string
}

func (a *apart) port(name string) string {
	if a.ports[name] == "" {
		a.ports[name] = strconv.Itoa(porttest.Free(a.t))
	}
	return a.ports[name]
}

// begin starts a server with a file and waits until it is ready.
func (a *apart) begin(kind, name, text string) *running {
	a.t.Helper()
	return begin(a.t, kind, "--config", a.write(kind, name, text), "--ready-json")
}

// write writes a server's file.
func (a *apart) write(kind, name, text string) string {
	a.t.Helper()
	file := filepath.Join(a.dir, name+".yaml")
	text = fmt.Sprintf("server: %s\nlisten: 127.0.0.1:%s\nadmin: 127.0.0.1:%s\ntls: {own_ca: %s}\nlog: {level: error}\n%s",
		kind, a.port(name), a.port(name+"-admin"), filepath.Join(a.dir, "ca"), text)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if status, _, stderr := command(a.t, "config", "check", file); status != 0 {
		a.t.Fatalf("the %s file: %s", name, stderr)
	}
	return file
}

// identity are the lines of a server's file with which it comes to its
// identity, by a token made in web's database.
func (a *apart) identity(name string, token ...string) string {
	a.t.Helper()
	args := append(append([]string{"token", "create"}, token...), "--config", a.webFile(), "--json")
	if token[0] == "--zone" {
		if status, _, stderr := command(a.t, "zone", "add", token[1], "--config", a.webFile()); status != 0 {
			a.t.Fatal(stderr)
		}
	}
	status, out, stderr := command(a.t, args...)
	if status != 0 {
		a.t.Fatal(stderr)
	}
	return fmt.Sprintf("data: %s\nenroll: %s\n", filepath.Join(a.dir, name), decode[protocol.Enrolment](a.t, out).Token)
}

// webFile writes web's file once: web may be reading it.
func (a *apart) webFile() string {
	if file := filepath.Join(a.dir, "web.yaml"); a.ports["web"] != "" {
		return file
	}
	return a.write(kindWeb, "web", fmt.Sprintf(`
database: sqlite:%s
web: {public_url: "https://localhost:%s", creation: anyone}
`, filepath.Join(a.dir, "web.db"), a.port("web")))
}

func (a *apart) web() *running {
	return begin(a.t, kindWeb, "--config", a.webFile(), "--ready-json")
}

func (a *apart) zone(name, other string) *running {
	return a.begin(kindZone, name, a.identity(name, "--zone", "taipei", "--role", "controller")+fmt.Sprintf(`
bus:
  hubs: ["127.0.0.1:%s"]
  cluster: ["127.0.0.1:%s"]
zone: {id: %s, zone: taipei, name: Taipei, url: "https://localhost:%s"}
`, a.port("web"), a.port(other), name, a.port(name)))
}

func (a *apart) mmr(host string) *running {
	return a.begin(kindMMR, "mmr", a.identity("m1", "--zone", "taipei", "--role", "mmr")+fmt.Sprintf(`
bus:
  controllers: ["127.0.0.1:%s", "127.0.0.1:%s"]
mmr: {id: m1, zone: taipei, control_url: "wss://localhost:%s/mmr/v1/control", media_listen: "%s:0"}
`, a.port("zc1"), a.port("zc2"), a.port("mmr"), host))
}

// TestServersApart runs each server on its own, over TLS, from files.
func TestServersApart(t *testing.T) {
	a := &apart{t: t, dir: t.TempDir(), ports: map[string]string{}}
	// The router and the controllers come first: they wait for the others.
	all := map[string]*running{"mmr": a.mmr("127.0.0.1"), "zc1": a.zone("zc1", "zc2"), "zc2": a.zone("zc2", "zc1"), "web": a.web()}
	for name, r := range all {
		var line serverReady
		r.ready(&line)
		if !line.Ready || line.Listen != "127.0.0.1:"+a.port(name) {
			t.Errorf("%s: %+v", name, line)
		}
	}
	c := clientOf(t, filepath.Join(a.dir, "ca", "ca.pem"))
	web := "https://localhost:" + a.port("web")
	status, out, stderr := command(t, "meeting", "create", "--server", web, "--ca", filepath.Join(a.dir, "ca", "ca.pem"), "--json")
	if status != 0 {
		t.Fatal(stderr)
	}
	m := decode[created](t, out)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	enough := time.After(patience)
	for found := ""; found != "https://localhost:"+a.port("zc1")+" https://localhost:"+a.port("zc2"); {
		select {
		case <-again.C: // the controllers repeat themselves each second
		case <-enough:
			t.Fatalf("web knows %q", found)
		}
		found = lookupControllers(t, func(path, body string) string {
			_, answer := fetch(t, c, "POST", web+path, body)
			return answer
		}, m)
	}
	for _, name := range []string{"zc1", "zc2"} {
		var p protocol.ProbeAnswer
		for p.State != protocol.ZoneOpen {
			select {
			case <-again.C: // it knows a router as soon as that has spoken
			case <-enough:
				t.Fatalf("%s: %+v", name, p)
			}
			_, body := fetch(t, c, "GET", "https://localhost:"+a.port(name)+protocol.PathProbe, "")
			p = decode[protocol.ProbeAnswer](t, body)
		}
		if p.Zone != "taipei" || p.Controller != name {
			t.Errorf("%s: %+v", name, p)
		}
	}
	for name := range all {
		for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ok\n", "/metrics": "go_goroutines"} {
			if status, body := fetch(t, c, "GET", "http://127.0.0.1:"+a.port(name+"-admin")+path, ""); status != 200 || !strings.Contains(body, want) {
				t.Errorf("%s%s: %d %q", name, path, status, body)
			}
		}
	}
	for name, r := range all {
		if status := r.end(); status != 0 {
			t.Errorf("%s ended with status %d: %s", name, status, r.stderr)
		}
	}
}

// lookupControllers looks a meeting up and lists its open zone's controllers.
func lookupControllers(t *testing.T, post func(path, body string) string, m created) string {
	t.Helper()
	p := decode[protocol.Package](t, post(protocol.PathMeetings+"/"+m.Number+"/lookup", `{"passcode":"`+m.Passcode+`","name":"Ada"}`))
	var urls []string
	for _, z := range p.Zones {
		for _, c := range z.Controllers {
			urls = append(urls, c.URL)
		}
	}
	return strings.Join(urls, " ")
}

func TestServerRefuses(t *testing.T) {
	a := &apart{t: t, dir: t.TempDir(), ports: map[string]string{}}
	secret := filepath.Join(a.dir, "secret")
	tcp, udp := occupied(t)
	good := "data: " + filepath.Join(a.dir, "m1") + "\nbus: {controllers: [\"127.0.0.1:1\"]}\nmmr: {media_listen: \"127.0.0.1:0\"}\n"
	for _, c := range []struct{ name, text, want string }{
		{"no identity", good, "has no identity in " + filepath.Join(a.dir, "m1") + " yet; make a token with 'causeway token create --zone zone-1 --role mmr', and start with --enroll TOKEN"},
		{"no authority file", strings.Replace(good, "{controllers", "{ca: "+secret+"-ca, controllers", 1), "read certificate authority"},
		{"media port taken", strings.Replace(good, "127.0.0.1:0", "127.0.0.1:"+udp, 1), "UDP port " + udp + " is taken by another program; stop that, or use another port with mmr.media_listen"},
		{"no such certificate", good, "read certificate"},
		{"port taken", good, "TCP port " + tcp + " is taken by another program; stop that, or use another port with listen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(a.dir, "mmr.yaml")
			tls, listen := "tls: {own_ca: "+filepath.Join(a.dir, "ca")+"}\n", "127.0.0.1:0"
			if c.name == "no such certificate" {
				tls = "tls: {cert: " + secret + ", key: " + secret + "}\n"
			}
			if c.name == "port taken" {
				listen = "127.0.0.1:" + tcp
			}
			text := "server: mmr\nadmin: \"\"\nlisten: " + listen + "\n" + tls + c.text
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			status, _, stderr := command(t, "mmr", "--config", file)
			if status != 1 || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("status %d, said %q, want %q", status, stderr, c.want)
			}
		})
	}
}
