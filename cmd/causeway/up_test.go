package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/base/pki"
	"causeway/protocol"
)

// patience bounds waits for something that must happen; it is no measurement.
const patience = 60 * time.Second

// running is a command that goes on until it is ended.
type running struct {
	t      *testing.T
	lines  chan string
	stderr *bytes.Buffer // read it after end
	cancel context.CancelFunc
	status chan int
}

func begin(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, lines: make(chan string, 100), stderr: new(bytes.Buffer), cancel: cancel, status: make(chan int, 1)}
	read, write := io.Pipe()
	go func() {
		for scan := bufio.NewScanner(read); scan.Scan(); {
			r.lines <- scan.Text()
		}
		close(r.lines)
	}()
	go func() {
		status := execute(ctx, args, console{write, r.stderr})
		_ = write.Close()
		r.status <- status
	}()
	t.Cleanup(func() { r.end() })
	return r
}

// end ends the command, as Ctrl-C does, and returns its status.
func (r *running) end() int {
	r.cancel()
	select {
	case status := <-r.status:
		r.status <- status // for who asks again
		return status
	case <-time.After(patience):
		r.t.Fatal("the command does not end")
		return -1
	}
}

// ready waits for the line of JSON.
func (r *running) ready(into any) {
	r.t.Helper()
	select {
	case line, ok := <-r.lines:
		if !ok {
			r.t.Fatalf("ended with status %d before it was ready: %s", r.end(), r.stderr)
		}
		if err := json.Unmarshal([]byte(line), into); err != nil {
			r.t.Fatalf("%v in %q", err, line)
		}
	case <-time.After(patience):
		r.cancel()
		r.t.Fatal("never ready")
	}
}

func beginUp(t *testing.T, data string, more ...string) (*running, readiness) {
	t.Helper()
	args := append([]string{"up", "--json", "--data", data, "--listen", "127.0.0.1:0", "--http", "localhost:0", "--media-port", "0"}, more...)
	r := begin(t, args...)
	var line readiness
	r.ready(&line)
	return r, line
}

// clientOf trusts a CA file.
func clientOf(t *testing.T, caFile string) *http.Client {
	t.Helper()
	pool, err := pki.Pool(caFile)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

func fetch(t *testing.T, c *http.Client, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return v
}

func TestUp(t *testing.T) {
	data := t.TempDir()
	up, line := beginUp(t, data)
	if !line.Ready || !strings.HasPrefix(line.APIKey, "cw") || line.HTTP == "" {
		t.Errorf("ready line %+v", line)
	}
	c := clientOf(t, line.CA)
	for _, base := range []string{line.Web, line.HTTP} {
		if status, body := fetch(t, c, "GET", base+"/readyz", ""); status != 200 {
			t.Errorf("%s/readyz: %d %s", base, status, body)
		}
		_, body := fetch(t, c, "GET", base+protocol.PathProbe, "")
		if p := decode[protocol.ProbeAnswer](t, body); p.State != protocol.ZoneOpen || p.Zone != houseZone {
			t.Errorf("%s probe: %+v", base, p)
		}
	}
	if status, body := fetch(t, c, "GET", line.HTTP+"/metrics", ""); status != 200 || !strings.Contains(body, "causeway_") {
		t.Errorf("/metrics here: %d", status)
	}
	if _, body := fetch(t, c, "GET", line.Web+"/metrics", ""); strings.Contains(body, "go_goroutines") {
		t.Error("/metrics is told to everyone")
	}
	api := []string{"--server", line.Web, "--ca", line.CA, "--api-key", line.APIKey, "--json"}
	status, out, stderr := command(t, append([]string{"meeting", "create", "--topic", "A & B"}, api...)...)
	if status != 0 {
		t.Fatalf("create: %s", stderr)
	}
	m := decode[created](t, out)
	if want := line.Web + "/j/" + m.Number + "?pwd=" + m.Passcode; m.JoinURL != want || strings.Count(out, "\n") != 1 || strings.Contains(out, `\u0026`) {
		t.Errorf("created %q, want %s", out, want)
	}
	checkLookup(t, c, line.Web, m, line.Web)
	checkLookup(t, c, line.HTTP, m, line.HTTP)

	if status := up.end(); status != 0 || up.stderr.Len() > 0 {
		t.Errorf("ended with status %d, said %q", status, up.stderr)
	}
	up, again := beginUp(t, data)
	defer up.end()
	if again.APIKey != line.APIKey {
		t.Error("the API key changed")
	}
	api[1] = again.Web
	_, out, _ = command(t, append([]string{"meeting", "list"}, api...)...)
	if list := decode[protocol.MeetingList](t, out).Meetings; len(list) != 1 || list[0].Number != m.Number || list[0].Topic != "A & B" {
		t.Errorf("after a restart: %+v", list)
	}
	if status, _, stderr := command(t, append([]string{"meeting", "end", m.Number}, api...)...); status != 0 {
		t.Errorf("end: %s", stderr)
	}
	if status, out, _ := command(t, append([]string{"meeting", "list"}, api[:len(api)-1]...)...); status != 0 || !strings.Contains(out, "ended") {
		t.Errorf("list: %q", out)
	}
	if status, _, stderr := command(t, append([]string{"meeting", "end", "123456789"}, api...)...); status != 1 || strings.Count(stderr, "\n") != 3 {
		t.Errorf("ending what is not there: status %d, said %q", status, stderr)
	}
}

// checkLookup looks a meeting up at one address and expects the controller's
// address for whoever comes that way.
func checkLookup(t *testing.T, c *http.Client, base string, m created, controller string) {
	t.Helper()
	_, body := fetch(t, c, "POST", base+protocol.PathMeetings+"/"+m.Number+"/lookup", `{"passcode":"`+m.Passcode+`","name":"Ada"}`)
	p := decode[protocol.Package](t, body)
	if len(p.Zones) != 1 || len(p.Zones[0].Controllers) != 1 || p.Zones[0].Controllers[0].URL != controller {
		t.Errorf("lookup at %s: %s", base, body)
	}
}

func TestUpForeignHost(t *testing.T) {
	_, line := beginUp(t, t.TempDir())
	req, err := http.NewRequestWithContext(t.Context(), "GET", line.HTTP+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "rebound.example.org"
	res, err := clientOf(t, line.CA).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a foreign host gets %s", res.Status)
	}
}

func TestUpForPeople(t *testing.T) {
	data := t.TempDir()
	r := begin(t, "up", "--data", data, "--listen", "127.0.0.1:0", "--http", "localhost:0", "--media-port", "0",
		"--public-address", "localhost", "--public-address", "127.0.0.1", "--name", "Our house")
	var text strings.Builder
	for line := range r.lines {
		text.WriteString(line + "\n")
		if strings.Contains(line, "Ctrl-C") {
			break
		}
	}
	for _, want := range []string{"Causeway is ready", "http://localhost:", "https://localhost:", "https://127.0.0.1:", "causeway meeting create", "causeway join", `CAUSEWAY_API_KEY="$(cat '` + filepath.Join(data, apiKeyFile) + `')"`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, text.String())
		}
	}
	if status := r.end(); status != 0 {
		t.Errorf("status %d: %s", status, r.stderr)
	}
}

func TestPublicURLs(t *testing.T) {
	m := machine{primary: netip.MustParseAddr("192.0.2.7")}
	at := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	for _, c := range []struct {
		name   string
		listen string
		public []string
		m      machine
		want   []string
	}{
		{"all interfaces", "[::]:8443", nil, m, []string{"https://192.0.2.7:8443"}},
		{"no network", "[::]:8443", nil, machine{}, []string{"https://localhost:8443"}},
		{"one interface", "127.0.0.1:8443", nil, m, []string{"https://127.0.0.1:8443"}},
		{"IPv6", "[2001:db8::1]:8443", nil, m, []string{"https://[2001:db8::1]:8443"}},
		{"public", "0.0.0.0:8443", []string{"meet.example.org", "2001:db8::2"}, m, []string{"https://meet.example.org:8443", "https://[2001:db8::2]:8443"}},
		{"port 443", "[::]:443", []string{"meet.example.org", "2001:db8::2"}, m, []string{"https://meet.example.org", "https://[2001:db8::2]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, publicURLs(at(c.listen), c.public, c.m)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
