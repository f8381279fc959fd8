package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"causeway/internal/base/pki"
	"causeway/internal/route"
	"causeway/protocol"
)

// audioOffer is an offer that a router takes.
const audioOffer = `v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=sendonly
a=rtcp-mux
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F
a=setup:actpass
a=rtpmap:111 opus/48000/2
`

// browser is a client that reaches nothing but web.
type browser struct {
	t    *testing.T
	http *http.Client
	web  string
	pack protocol.Package
}

func newBrowser(t *testing.T, web, ca string, m created) *browser {
	t.Helper()
	b := &browser{t: t, http: clientOf(t, ca), web: web}
	_, answer := fetch(t, b.http, "POST", web+protocol.PathMeetings+"/"+m.Number+"/lookup", `{"passcode":"`+m.Passcode+`","name":"Ada"}`)
	b.pack = decode[protocol.Package](t, answer)
	if b.pack.Gateway != protocol.PathGateway || len(b.pack.Zones) == 0 {
		t.Fatalf("package %s", answer)
	}
	return b
}

// join joins through the gateway.
func (b *browser) join() protocol.JoinAnswer {
	b.t.Helper()
	at := "?controller=" + url.QueryEscape(b.pack.Zones[0].Controllers[0].URL)
	if status, body := fetch(b.t, b.http, "GET", b.web+protocol.PathGatewayProbe+at, ""); status != 200 {
		b.t.Fatalf("probe: %d %s", status, body)
	}
	a := decode[protocol.JoinAnswer](b.t, b.joinAt(b.web+protocol.PathGatewayJoin+at))
	if a.Session == "" {
		b.t.Fatalf("joined: %+v", a)
	}
	return a
}

// control opens the control channel and waits for its welcome.
func (b *browser) control(a protocol.JoinAnswer) *websocket.Conn {
	b.t.Helper()
	if want := "wss" + strings.TrimPrefix(b.web, "https") + protocol.PathGatewayControl; !strings.HasPrefix(a.ControlURL, want) {
		b.t.Fatalf("the control channel is at %s, not at %s", a.ControlURL, want)
	}
	transport := b.http.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2, transport.TLSClientConfig.NextProtos = false, []string{"http/1.1"}
	c, _, err := websocket.Dial(b.t.Context(), a.ControlURL, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.CloseNow() })
	hello, err := protocol.EncodeControl(protocol.Hello{Session: a.Session, Token: b.pack.Token})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := c.Write(b.t.Context(), websocket.MessageText, hello); err != nil {
		b.t.Fatal(err)
	}
	if _, data, err := c.Read(b.t.Context()); err != nil || !strings.HasPrefix(string(data), `{"type":"welcome"`) {
		b.t.Fatalf("instead of a welcome: %s, %v", data, err)
	}
	return c
}

// relay allocates a relay at a TURN server of an answer.
func (b *browser) relay(a protocol.JoinAnswer) net.PacketConn {
	b.t.Helper()
	if len(a.TURN) != 1 || len(a.TURN[0].URLs) != 1 {
		b.t.Fatalf("TURN %+v", a.TURN)
	}
	at := strings.TrimSuffix(strings.TrimPrefix(a.TURN[0].URLs[0], "turns:"), "?transport=tcp")
	cfg := b.http.Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.NextProtos = nil // as browsers do
	conn, err := tls.Dial("tcp", at, cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: at, Conn: turn.NewSTUNConn(conn), Username: a.TURN[0].Username, Password: a.TURN[0].Credential,
		LoggerFactory: logging.NewDefaultLoggerFactory(),
	})
	if err == nil {
		err = c.Listen()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	relay, err := c.Allocate()
	if err != nil {
		b.t.Fatalf("allocate at %s: %v", at, err)
	}
	b.t.Cleanup(func() { _ = relay.Close() })
	return relay
}

// permitted is the first of the answer's candidates to which a relay may send.
func (b *browser) permitted(relay net.PacketConn, a protocol.JoinAnswer) string {
	for line := range strings.Lines(a.Answers.Audio) {
		f := strings.Fields(line)
		if len(f) < 8 || !strings.HasPrefix(f[0], "a=candidate:") || !strings.EqualFold(f[2], "udp") || strings.Contains(f[4], ":") {
			continue
		}
		address, err := net.ResolveUDPAddr("udp", net.JoinHostPort(f[4], f[5]))
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := relay.WriteTo([]byte("no media, but it goes through"), address); err == nil {
			return address.String()
		}
	}
	return ""
}

// TestUpGateway joins at `up` as a browser does that reaches nothing but web,
// under an address that leads nowhere from here, as behind NAT.
func TestUpGateway(t *testing.T) {
	_, line := beginUp(t, t.TempDir())
	status, out, stderr := command(t, "meeting", "create", "--server", line.Web, "--ca", line.CA, "--api-key", line.APIKey, "--json")
	if status != 0 {
		t.Fatal(stderr)
	}
	m := decode[created](t, out)
	b := newBrowser(t, line.Web, line.CA, m)
	var a protocol.JoinAnswer
	for range 3 { // coming back is no different
		a = b.join()
		b.control(a)
	}
	if b.permitted(b.relay(a), a) == "" {
		t.Error("the relay leads to none of the candidates")
	}
	// The router's own credentials are good for the same port.
	direct := decode[protocol.JoinAnswer](t, b.joinAt(line.Web+protocol.PathJoin))
	if len(direct.TURN) == 1 {
		b.relay(direct)
	} else {
		t.Errorf("the router gives TURN %+v", direct.TURN)
	}
	// The tunnel is there too, and leads to the house itself.
	until(t, "web knows the tunnel", func() bool {
		b = newBrowser(t, line.Web, line.CA, m)
		return len(b.pack.Tunnels) > 0
	})
	if diff := cmp.Diff([]protocol.Tunnel{{ID: houseTunnel, URL: line.Web}}, b.pack.Tunnels); diff != "" {
		t.Error(diff)
	}
	checkTunnel(t, line.Web, line.CA, b.pack, line.Web)
}

// joinAt joins at an address.
func (b *browser) joinAt(address string) string {
	b.t.Helper()
	status, body := b.tryJoin(address)
	if status != 200 {
		b.t.Fatalf("join at %s: %d %s", address, status, body)
	}
	return body
}

func (b *browser) tryJoin(address string) (status int, answer string) {
	b.t.Helper()
	body, err := json.Marshal(protocol.JoinRequest{
		Offers: protocol.Offers{Audio: strings.ReplaceAll(audioOffer, "\n", "\r\n")}, Client: protocol.ClientInfo{Kind: "web"},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), "POST", address, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.pack.Token)
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, text.String()
}

// TestEndedMeetingStaysEnded ends a meeting and restarts everything: a router
// that has never heard of the meeting does not open it to a token that is
// still valid.
func TestEndedMeetingStaysEnded(t *testing.T) {
	data := t.TempDir()
	up, line := beginUp(t, data)
	api := func(args ...string) string {
		t.Helper()
		status, out, stderr := command(t, append(args, "--server", line.Web, "--ca", line.CA, "--api-key", line.APIKey, "--json")...)
		if status != 0 {
			t.Fatal(stderr)
		}
		return out
	}
	m := decode[created](t, api("meeting", "create"))
	b := newBrowser(t, line.Web, line.CA, m)
	b.joinAt(line.Web + protocol.PathJoin)
	api("meeting", "end", m.Number)
	up.end()
	up, line = beginUp(t, data)
	defer up.end()
	until(t, "the router knows that the meeting has ended", func() bool {
		status, body := b.tryJoin(line.Web + protocol.PathJoin)
		return status == 410 && strings.Contains(body, string(protocol.ProblemMeetingEnded))
	})
}

// checkTunnel probes a controller through a tunnel.
func checkTunnel(t *testing.T, tunnel, ca string, pack protocol.Package, controller string) {
	t.Helper()
	pool, err := pki.Pool(ca)
	if err != nil {
		t.Fatal(err)
	}
	way := route.NewTunnel(route.TunnelConfig{
		URL: tunnel, TLS: &tls.Config{RootCAs: pool}, Auth: func() string { return pack.Token }, Dial: (&net.Dialer{}).DialContext,
	})
	if err := way.Ping(t.Context()); err != nil {
		t.Errorf("%s: ping: %v", tunnel, err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DialContext: way.DialContext}
	defer transport.CloseIdleConnections()
	_, body := fetch(t, &http.Client{Transport: transport}, "GET", controller+protocol.PathProbe, "")
	if p := decode[protocol.ProbeAnswer](t, body); p.State != protocol.ZoneOpen {
		t.Errorf("through %s: %s", tunnel, body)
	}
	if c, err := way.DialContext(t.Context(), "tcp", "127.0.0.1:22"); err == nil {
		_ = c.Close()
		t.Errorf("%s leads to a stranger", tunnel)
	}
}

// TestTunnelAndGatewayApart runs servers each on its own, and joins through
// web, with a tunnel on its own and that of web beside it.
func TestTunnelAndGatewayApart(t *testing.T) {
	a := &apart{t: t, dir: t.TempDir(), ports: map[string]string{}}
	all := []*running{a.web(), a.zone("zc1", "zc2"), a.mmr(""), a.tunnel()}
	for _, r := range all {
		r.ready(new(serverReady))
	}
	ca := filepath.Join(a.dir, "ca", "ca.pem")
	web := "https://localhost:" + a.port("web")
	status, out, stderr := command(t, "meeting", "create", "--server", web, "--ca", ca, "--json")
	if status != 0 {
		t.Fatal(stderr)
	}
	m := decode[created](t, out)
	until(t, "web knows the zone and both tunnels", func() bool {
		_, answer := fetch(t, clientOf(t, ca), "POST", web+protocol.PathMeetings+"/"+m.Number+"/lookup", `{"passcode":"`+m.Passcode+`","name":"Ada"}`)
		p := decode[protocol.Package](t, answer)
		return len(p.Zones) == 1 && len(p.Tunnels) == 2
	})
	b := newBrowser(t, web, ca, m)
	answer := b.join()
	until(t, "the gateway knows the router", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), "GET", strings.Replace(answer.ControlURL, "wss:", "https:", 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := b.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusUpgradeRequired
	})
	b.control(answer)
	// The router tells all addresses of its machine; those by which others
	// could reach it are relayed to.
	relay := b.relay(answer)
	if got := b.permitted(relay, answer); thisMachine().primary.IsValid() != (got != "") || strings.HasPrefix(got, "127.") {
		t.Errorf("relayed to %q", got)
	}
	for _, tunnel := range b.pack.Tunnels {
		checkTunnel(t, tunnel.URL, ca, b.pack, "https://localhost:"+a.port("zc1"))
	}
	for _, r := range all {
		if status := r.end(); status != 0 {
			t.Errorf("ended with status %d: %s", status, r.stderr)
		}
	}
}

func (a *apart) tunnel() *running {
	return a.begin(kindTunnel, "tunnel", a.identity("t1", "--role", "tunnel")+fmt.Sprintf(`
bus: {hubs: ["127.0.0.1:%s"]}
tunnel: {id: t1, url: "https://localhost:%s"}
`, a.port("web"), a.port("tunnel")))
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !holds() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestReachable(t *testing.T) {
	for listener, want := range map[string]string{
		"0.0.0.0:8443": "127.0.0.1:8443", "[::]:8443": "127.0.0.1:8443", "192.0.2.1:443": "192.0.2.1:443", "[2001:db8::1]:443": "[2001:db8::1]:443",
	} {
		addr, err := net.ResolveTCPAddr("tcp", listener)
		if err != nil {
			t.Fatal(err)
		}
		if got := reachable(addr); got != want {
			t.Errorf("%s: %s, want %s", listener, got, want)
		}
	}
	for address, want := range map[string]string{
		"https://meet.example.org": "meet.example.org:443", "https://192.0.2.1:8443": "192.0.2.1:8443", "https://[2001:db8::1]": "[2001:db8::1]:443",
	} {
		if got := hostPort(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
