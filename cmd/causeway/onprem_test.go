package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"causeway/protocol"
)

// A connectProxy is a proxy that asks for a password and knows CONNECT alone.
type connectProxy struct {
	t       *testing.T
	address string
	stop    func() // ends it, with the connections through it
	mu      sync.Mutex
	targets map[string]int
}

func newConnectProxy(t *testing.T) *connectProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &connectProxy{t: t, address: ln.Addr().String(), targets: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(ctx, w, r) })}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ln) })
	p.stop = func() {
		cancel()
		_ = server.Close()
		serving.Wait()
	}
	t.Cleanup(p.stop)
	return p
}

func (p *connectProxy) serve(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:secret")) {
		w.Header().Set("Proxy-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	_, port, _ := net.SplitHostPort(r.Host)
	out, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port)) // where the world is
	if err != nil || r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	p.mu.Lock()
	p.targets[r.Host]++
	p.mu.Unlock()
	in, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		_ = out.Close()
		return
	}
	closeBoth := func() { _, _ = in.Close(), out.Close() }
	defer context.AfterFunc(ctx, closeBoth)()
	_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(in, out)
		closeBoth()
	})
	_, _ = io.Copy(out, in)
	closeBoth()
	back.Wait()
}

// seen is how often a target was connected to.
func (p *connectProxy) seen(target string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.targets[target]
}

// TestZoneOnPremises has a zone elsewhere enrol with `causeway up`, by a proxy
// alone: enrolment, bus and all of it by the one TLS port. Then the world is
// cut off, and controller and router are started anew: they go on for their
// own people with what they know.
func TestZoneOnPremises(t *testing.T) {
	// An address (RFC 5737) that is reached by nothing but the proxy.
	house, line := beginUp(t, t.TempDir(), "--public-address", "192.0.2.1")
	hub := strings.TrimPrefix(line.Web, "https://")
	proxy := newConnectProxy(t)
	a := &apart{t: t, dir: t.TempDir(), ports: map[string]string{}}
	api := []string{"--server", line.HTTP, "--api-key", line.APIKey}
	token := func(args ...string) string {
		t.Helper()
		status, out, stderr := command(t, append(args, api...)...)
		if status != 0 {
			t.Fatal(stderr)
		}
		return strings.TrimSpace(out)
	}
	first := token("zone", "add", "factory")
	zone := a.write(kindZone, "zc1", fmt.Sprintf(`
data: %s
proxy: http://ann:secret@%s
bus: {hubs: [%q]}
zone: {id: zc1, zone: factory, url: "https://localhost:%s", on_premises: true, networks: [127.0.0.0/8]}
`, filepath.Join(a.dir, "zc1"), proxy.address, hub, a.port("zc1")))
	router := a.write(kindMMR, "mmr", fmt.Sprintf(`
data: %s
proxy: http://ann:secret@%s
bus: {controllers: ["127.0.0.1:%s"]}
mmr: {id: m1, zone: factory, control_url: "wss://localhost:%s/mmr/v1/control", media_listen: "127.0.0.1:0"}
`, filepath.Join(a.dir, "m1"), proxy.address, a.port("zc1"), a.port("mmr")))
	controller := begin(t, kindZone, "--config", zone, "--enroll", first, "--ready-json")
	controller.ready(new(serverReady))
	mmr := begin(t, kindMMR, "--config", router, "--enroll", token("token", "create", "--zone", "factory", "--role", "mmr"), "--ready-json")
	mmr.ready(new(serverReady))

	m := decode[created](t, token("meeting", "create", "--json"))
	until(t, "the house offers the zone first", func() bool {
		_, answer := fetch(t, http.DefaultClient, "POST", line.HTTP+protocol.PathMeetings+"/"+m.Number+"/lookup", `{"passcode":"`+m.Passcode+`","name":"Ada"}`)
		p := decode[protocol.Package](t, answer)
		return len(p.Zones) == 2 && p.Zones[0].ID == "factory" && p.Zones[0].OnPremises
	})
	if n := proxy.seen(hub); n < 3 { // two enrolments and the bus
		t.Errorf("%d connections to the hub by the proxy", n)
	}
	list := token("zone", "list")
	for _, want := range []string{"zone/factory ", "zone/factory/controller/zc1", "zone/factory/mmr/m1", "until "} {
		if !strings.Contains(list, want) {
			t.Errorf("zone list has no %q:\n%s", want, list)
		}
	}

	until(t, "both have written down what they know", func() bool {
		for _, dir := range []string{"zc1", "m1"} {
			if data, err := os.ReadFile(filepath.Join(a.dir, dir, "known.json")); err != nil || !strings.Contains(string(data), `"keys":{"keys":{"`) {
				return false
			}
		}
		return true
	})

	proxy.stop()
	for _, r := range []*running{mmr, controller, house} {
		if status := r.end(); status != 0 {
			t.Errorf("ended with status %d: %s", status, r.stderr)
		}
	}
	controller = begin(t, kindZone, "--config", zone, "--ready-json")
	mmr = begin(t, kindMMR, "--config", router, "--ready-json")
	controller.ready(new(serverReady))
	mmr.ready(new(serverReady))
	c := clientOf(t, filepath.Join(a.dir, "ca", "ca.pem"))
	until(t, "the zone is open though it is cut off", func() bool {
		_, body := fetch(t, c, "GET", "https://localhost:"+a.port("zc1")+protocol.PathProbe, "")
		return decode[protocol.ProbeAnswer](t, body).State == protocol.ZoneOpen
	})
}

// TestRevokedRouter is cut off from its zone, and comes back with a new token.
func TestRevokedRouter(t *testing.T) {
	a := &apart{t: t, dir: t.TempDir(), ports: map[string]string{}}
	all := []*running{a.web(), a.zone("zc1", "zc2")}
	router := a.mmr("127.0.0.1")
	for _, r := range append(all, router) {
		r.ready(new(serverReady))
	}
	c := clientOf(t, filepath.Join(a.dir, "ca", "ca.pem"))
	state := func() protocol.ZoneStatus {
		_, body := fetch(t, c, "GET", "https://localhost:"+a.port("zc1")+protocol.PathProbe, "")
		return decode[protocol.ProbeAnswer](t, body).State
	}
	until(t, "the zone is open", func() bool { return state() == protocol.ZoneOpen })
	if status, _, stderr := command(t, "revoke", "zone/taipei/mmr/m1", "--config", filepath.Join(a.dir, "web.yaml")); status != 0 || stderr != "zone/taipei/mmr/m1 is revoked.\n" {
		t.Errorf("status %d, said %q", status, stderr)
	}
	until(t, "the zone has no router", func() bool { return state() == protocol.ZoneEmpty })
	if status := router.end(); status != 0 {
		t.Errorf("the router ended with status %d: %s", status, router.stderr)
	}
	file := filepath.Join(a.dir, "mmr.yaml")
	status, out, stderr := command(t, "token", "create", "--zone", "taipei", "--role", "mmr", "--name", "m1", "--config", filepath.Join(a.dir, "web.yaml"))
	if status != 0 || !strings.Contains(stderr, "It works once, until ") {
		t.Fatal(stderr)
	}
	router = begin(t, kindMMR, "--config", file, "--enroll", strings.TrimSpace(out), "--ready-json")
	router.ready(new(serverReady))
	until(t, "the zone is open again", func() bool { return state() == protocol.ZoneOpen })
	for _, r := range append(all, router) {
		if status := r.end(); status != 0 {
			t.Errorf("ended with status %d: %s", status, r.stderr)
		}
	}
}

func TestEnrolmentCommandsRefuse(t *testing.T) {
	a := &apart{t: t, dir: t.TempDir(), ports: map[string]string{}}
	web := a.webFile()
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"zone", "add", "Taipei"}, 1, "lower-case letters"},
		{[]string{"zone", "remove", "nowhere"}, 1, "there is no zone nowhere"},
		{[]string{"token", "create", "--role", "mmr"}, 1, "controllers and routers have a zone"},
		{[]string{"token", "create", "--role", "mmr", "--zone", "nowhere"}, 1, "add it with 'causeway zone add nowhere'"},
		{[]string{"token", "create", "--role", "web"}, 2, "must be one of"},
		{[]string{"revoke", "everybody"}, 1, "is not a server"},
		{[]string{"revoke", "tunnel/nobody"}, 1, "there is no server tunnel/nobody"},
	} {
		status, out, stderr := command(t, append(c.args, "--config", web)...)
		if status != c.status || out != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: status %d, printed %q, said %q", c.args, status, out, stderr)
		}
	}
	if status, out, stderr := command(t, "keys", "rotate", "--config", web); status != 0 || !strings.Contains(out, "signing") {
		t.Errorf("keys rotate: status %d, printed %q, said %q", status, out, stderr)
	}
}
