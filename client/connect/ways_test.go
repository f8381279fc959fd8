package connect

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"causeway/protocol"
)

// errSilent makes a firewall drop what it does not pass.
var errSilent = errors.New("dropped")

// A visitor is a client behind a firewall of its own: block says what happens
// to what it dials, nil passes.
type visitor struct {
	*internet
	block func(address string) error

	mu    sync.Mutex
	start time.Time
	dials []dialled
}

type dialled struct {
	address string
	at      time.Duration // since the visitor came
}

func (n *internet) visitor(block func(address string) error) *visitor {
	return &visitor{internet: n, block: block, start: time.Now()}
}

func (v *visitor) network(p ProxyOptions) *Network {
	p.NoSystem = true
	nw, err := NewNetwork(Options{DialContext: v.dial, TLS: &tls.Config{RootCAs: v.pool}, UserAgent: "test", Proxy: p})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(nw.Close)
	return nw
}

func (v *visitor) dial(ctx context.Context, network, address string) (net.Conn, error) {
	v.mu.Lock()
	v.dials = append(v.dials, dialled{address, time.Since(v.start)})
	block := v.block
	v.mu.Unlock()
	var err error
	if block != nil {
		err = block(address)
	}
	switch {
	case errors.Is(err, errSilent):
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	case err != nil:
		if e := wait(ctx, ms); e != nil {
			return nil, e
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return v.internet.dial(ctx, network, address)
}

func (v *visitor) setBlock(block func(address string) error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.block = block
}

// dialledAt tells when an address was first dialled, and how often.
func (v *visitor) dialledAt(address string) (at time.Duration, times int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, d := range v.dials {
		if d.address == address {
			if times++; times == 1 {
				at = d.at
			}
		}
	}
	return at, times
}

// only lists the addresses dialled, each once.
func (v *visitor) only() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []string
	for _, d := range v.dials {
		if !slices.Contains(list, d.address) {
			list = append(list, d.address)
		}
	}
	slices.Sort(list)
	return list
}

// blocking drops or refuses all addresses with one of the prefixes.
func blocking(err error, prefixes ...string) func(string) error {
	return func(address string) error {
		for _, p := range prefixes {
			if strings.HasPrefix(address, p) {
				return err
			}
		}
		return nil
	}
}

// passing drops or refuses all but the addresses with one of the prefixes.
func passing(err error, prefixes ...string) func(string) error {
	pass := blocking(errSilent, prefixes...)
	return func(address string) error {
		if pass(address) != nil {
			return nil
		}
		return err
	}
}

// proxy is a proxy at proxy.test:3128 that speaks CONNECT (RFC 9110 §9.3.6)
// and asks for ann with the password secret by a scheme, or for SOCKS5. It
// has a firewall of its own behind it.
func (n *internet) proxy(scheme string, block func(address string) error) *host {
	out := n.visitor(block)
	o := n.add("proxy.test:3128", &host{rtt: 10 * ms})
	n.tasks.Go(func() {
		for {
			c, err := o.Accept()
			if err != nil {
				return
			}
			n.tasks.Go(func() {
				defer c.Close()
				if scheme == "socks5" {
					out.socks(c)
					return
				}
				out.connect(c, scheme)
			})
		}
	})
	n.t.Cleanup(func() { o.Close() })
	return o
}

func (n *visitor) connect(c net.Conn, scheme string) {
	br := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		challenge := judge(scheme, req.Host, req.Header.Get("Proxy-Authorization"))
		if challenge != "" {
			fmt.Fprintf(c, "HTTP/1.1 407 Who are you\r\nProxy-Authenticate: %s\r\nContent-Length: 0\r\n\r\n", challenge)
			continue
		}
		if strings.HasPrefix(req.Host, "forbidden") || scheme == "forbids" {
			fmt.Fprint(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		far, err := n.dial(n.ctx, "tcp", req.Host)
		if err != nil {
			fmt.Fprint(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
		n.splice(c, br, far)
		return
	}
}

// judge gives the challenge to a request, "" when it may pass.
func judge(scheme, host, auth string) string {
	ok := false
	challenge := "Mystery"
	switch scheme {
	case "", "forbids":
		ok = true
	case "basic":
		challenge = `Basic realm="corp"`
		ok = auth == "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:secret"))
	case "digest":
		challenge = `Digest realm="corp", nonce="abc", qop="auth", algorithm=MD5`
		ok = strings.HasPrefix(auth, "Digest ") && strings.Contains(auth, `username="ann"`) && strings.Contains(auth, `uri="`+host+`"`)
	case "ntlm":
		challenge = "NTLM"
		raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(auth, "NTLM "))
		if len(raw) > 12 && raw[8] == 1 {
			challenge = "NTLM " + base64.StdEncoding.EncodeToString(ntlmChallenge())
		}
		ok = len(raw) > 12 && raw[8] == 3
	}
	if ok {
		return ""
	}
	return challenge
}

// ntlmChallenge is a minimal CHALLENGE_MESSAGE (MS-NLMP 2.2.1.2).
func ntlmChallenge() []byte {
	m := make([]byte, 56)
	copy(m, "NTLMSSP\x00")
	m[8] = 2
	m[16] = 56                          // offset of the empty target name
	m[20], m[21], m[22] = 1, 0x82, 0x88 // unicode, NTLM, target info, extended session security
	copy(m[24:32], "challeng")
	m[40], m[42], m[44] = 4, 4, 52 // target info: only its end
	return m
}

// socks speaks SOCKS5 with a password (RFC 1928, RFC 1929).
func (n *visitor) socks(c net.Conn) {
	read := func(k int) []byte {
		b := make([]byte, k)
		if _, err := io.ReadFull(c, b); err != nil {
			return make([]byte, k)
		}
		return b
	}
	if !slices.Contains(read(int(read(2)[1])), 2) {
		_, _ = c.Write([]byte{5, 0xff})
		return
	}
	_, _ = c.Write([]byte{5, 2})
	user := string(read(int(read(2)[1])))
	if password := string(read(int(read(1)[0]))); user != "ann" || password != "secret" {
		_, _ = c.Write([]byte{1, 1})
		return
	}
	_, _ = c.Write([]byte{1, 0})
	read(4)
	name := string(read(int(read(1)[0])))
	port := read(2)
	far, err := n.dial(n.ctx, "tcp", fmt.Sprintf("%s:%d", name, int(port[0])<<8|int(port[1])))
	if err != nil {
		_, _ = c.Write([]byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	_, _ = c.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 80})
	n.splice(c, c, far)
}

// splice joins two connections until one ends.
func (n *internet) splice(a net.Conn, from io.Reader, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(b, from); _ = b.Close() })
	both.Go(func() { _, _ = io.Copy(a, b); _ = a.Close() })
	both.Wait()
}

// tunnel is an HTTP tunnel (protocol/tunnel.go) that takes streams as
// WebSockets only.
type tunnel struct {
	n       *internet
	host    *host
	name    string
	refuse  protocol.Code // streams
	mu      sync.Mutex
	streams []net.Conn
	dead    bool
}

// tunnel starts a tunnel at NAME.test.
func (n *internet) tunnel(name string, rtt time.Duration) *tunnel {
	t := &tunnel{n: n, name: name}
	t.host = n.serve(name+".test:443", rtt, t, serving{})
	return t
}

func (t *tunnel) listed() protocol.Tunnel {
	return protocol.Tunnel{ID: t.name, URL: "https://" + t.name + ".test"}
}

// die ends all streams and refuses what comes.
func (t *tunnel) die() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead = true
	for _, c := range t.streams {
		_ = c.Close()
	}
}

func (t *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	dead, refuse := t.dead, t.refuse
	t.mu.Unlock()
	switch {
	case dead:
		panic(http.ErrAbortHandler)
	case r.URL.Path == protocol.PathTunnelPing:
		w.WriteHeader(http.StatusNoContent)
		return
	case r.URL.Path != protocol.PathTunnelConnect:
		http.NotFound(w, r)
		return
	case refuse != "":
		protocol.WriteProblem(w, protocol.NewProblem(refuse, ""))
		return
	case r.Header.Get("Authorization") != "Bearer token":
		protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemTokenInvalid, ""))
		return
	}
	far, err := t.n.dial(t.n.ctx, "tcp", r.URL.Query().Get("to"))
	if err != nil {
		protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemTunnelRefused, ""))
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		_ = far.Close()
		return
	}
	near := websocket.NetConn(t.n.ctx, ws, websocket.MessageBinary)
	t.mu.Lock()
	t.streams = append(t.streams, near, far)
	t.mu.Unlock()
	t.n.splice(near, near, far)
}

// system is a whole system: web, a controller, a router, two tunnels and the
// one on the web server itself.
type system struct {
	*internet
	zone             *controller
	near, far, onWeb *tunnel
	control          chan protocol.ControlMessage
}

func newSystem(n *internet) *system {
	a := &controller{zone: "a", id: "a1"}
	s := &system{internet: n, zone: a, control: make(chan protocol.ControlMessage, 64)}
	n.controller(a, 50*ms, serving{})
	s.near, s.far = n.tunnel("near", 30*ms), n.tunnel("far", 90*ms)
	s.onWeb = &tunnel{n: n, name: "meet"}
	p := protocol.Package{
		Meeting: protocol.MeetingInfo{ID: "m1", Number: "123456789"}, Participant: protocol.Identity{ID: "p1", Name: "Ada"},
		Token: "token", Zones: zones(a), WebClient: "https://meet.test/j/123456789",
		Tunnels: []protocol.Tunnel{s.near.listed(), s.far.listed(), s.onWeb.listed()},
	}
	site := &web{pkg: p}
	n.serve("meet.test:443", 120*ms, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/tunnel/") {
			s.onWeb.ServeHTTP(w, r)
			return
		}
		site.ServeHTTP(w, r)
	}), serving{})
	n.router(func(ctx context.Context, c *websocket.Conn) {
		if h, _ := hear(ctx, c).(*protocol.Hello); h == nil || h.Session != "s" {
			return
		}
		tell(ctx, c, protocol.Welcome{Participant: "p1"})
		pongs(s.control)(ctx, c)
	})
	return s
}

// A stay is what a client has after going through the phases.
type stay struct {
	rec     *Recorder
	base    *Network
	way     *Network
	control *Control
	reached time.Duration // when the zones were
	joined  time.Duration
}

// enter goes through all phases.
func (v *visitor) enter(t *testing.T, n *Network) (*stay, error) {
	t.Helper()
	s := &stay{rec: NewRecorder(time.Now()), base: n}
	start := time.Now()
	pkg, err := Lookup(t.Context(), n, link, protocol.LookupRequest{Name: "Ada"}, s.rec)
	if err != nil {
		return s, err
	}
	return s, s.again(t, start, pkg)
}

// again goes through the phases after the lookup.
func (s *stay) again(t *testing.T, start time.Time, pkg protocol.Package) error {
	survey, err := Reach(t.Context(), s.base, pkg, "", s.rec)
	if err != nil {
		return err
	}
	defer survey.Close()
	s.reached = time.Since(start)
	answer, err := Join(t.Context(), survey, pkg.Token, joinRequest, s.rec)
	if err != nil {
		return err
	}
	hello := protocol.Hello{Session: answer.Session, Token: pkg.Token}
	s.control, _, s.way, err = Attach(t.Context(), survey.Network(), answer.ControlURL, hello, s.rec)
	if err != nil {
		return err
	}
	s.joined = time.Since(start)
	t.Cleanup(s.control.Close)
	return nil
}

// path says by which way a stay goes, as the report tells it.
func (s *stay) path() string {
	r := s.rec.Report()
	p := r.Route
	if r.Proxy.Kind != "none" && r.Proxy.Kind != "" {
		p += " " + r.Proxy.Kind
	}
	if s.way != nil && s.way.tunnel != nil {
		p += " " + s.way.tunnel.URL()
	}
	return p
}
