package route

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeProxy is a CONNECT proxy that asks by the given scheme, and behind it
// everything is an echo.
type fakeProxy struct {
	net.Listener
	scheme   string
	hangUp   bool // closes the connection after each refusal
	mu       sync.Mutex
	requests []string // Proxy-Authorization of each request
	conns    sync.WaitGroup
}

func startProxy(t *testing.T, scheme string, hangUp bool) *fakeProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &fakeProxy{Listener: l, scheme: scheme, hangUp: hangUp}
	p.conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.conns.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); p.conns.Wait() })
	return p
}

func (p *fakeProxy) serve(c net.Conn) {
	defer c.Close()
	br := bufio.NewReader(c)
	for step := 0; ; step++ {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		auth := req.Header.Get("Proxy-Authorization")
		p.mu.Lock()
		p.requests = append(p.requests, auth)
		p.mu.Unlock()
		challenge, ok := p.judge(req, auth)
		if ok {
			// The first bytes of the far side come in the same segment.
			fmt.Fprintf(c, "HTTP/1.1 200 Connection established\r\n\r\nhello ")
			_, _ = io.Copy(c, br)
			return
		}
		if challenge == "" {
			fmt.Fprintf(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: %s\r\nContent-Length: 4\r\n\r\nsorr", challenge)
		if p.hangUp {
			return
		}
	}
}

func (p *fakeProxy) judge(req *http.Request, auth string) (challenge string, ok bool) {
	if strings.HasPrefix(req.Host, "forbidden") {
		return "", false
	}
	switch p.scheme {
	case "":
		return "", true
	case "basic":
		return `Basic realm="corp"`, auth == "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:secret"))
	case "digest":
		good := strings.HasPrefix(auth, "Digest ") && strings.Contains(auth, `username="ann"`) &&
			strings.Contains(auth, `uri="`+req.Host+`"`) && strings.Contains(auth, `nonce="abc"`)
		return `Digest realm="corp", nonce="abc", qop="auth", algorithm=MD5`, good
	case "ntlm":
		raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(auth, "NTLM "))
		switch {
		case len(raw) > 12 && raw[8] == 1:
			return "NTLM " + base64.StdEncoding.EncodeToString(ntlmChallenge), false
		case len(raw) > 12 && raw[8] == 3:
			return "", true
		}
		return "NTLM", false
	}
	return "Mystery", false
}

// ntlmChallenge is a minimal CHALLENGE_MESSAGE (MS-NLMP 2.2.1.2).
var ntlmChallenge = func() []byte {
	m := make([]byte, 56)
	copy(m, "NTLMSSP\x00")
	m[8] = 2
	m[16] = 56                          // offset of the empty target name
	m[20], m[21], m[22] = 1, 0x82, 0x88 // unicode, NTLM, target info, extended session security
	copy(m[24:32], "challeng")
	m[40], m[42], m[44] = 4, 4, 52 // target info: only its end
	return m
}()

func dialVia(t *testing.T, p Proxy, ask Credentials, address string) (*Route, net.Conn, error) {
	t.Helper()
	f, err := NewFinder(Settings{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.flag = &p
	r := New(Config{Finder: f, Credentials: ask})
	c, err := r.DialContext(t.Context(), "tcp", address)
	return r, c, err
}

func annAsks(context.Context, Proxy) (string, string, bool) { return "ann", "secret", true }

func TestConnectSchemes(t *testing.T) {
	for _, scheme := range []string{"", "basic", "digest", "ntlm"} {
		for _, hangUp := range []bool{false, true} {
			if scheme == "ntlm" && hangUp {
				continue // NTLM lives on one connection
			}
			t.Run(fmt.Sprintf("%s hangUp=%v", scheme, hangUp), func(t *testing.T) {
				p := startProxy(t, scheme, hangUp)
				r, c, err := dialVia(t, Proxy{Kind: HTTP, Address: p.Addr().String()}, annAsks, "meet.example.org:443")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := c.Write([]byte("world")); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, len("hello world"))
				if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello world" {
					t.Errorf("%q, %v", got, err)
				}
				if via := r.Via("meet.example.org:443"); via.Kind != HTTP {
					t.Errorf("via %v", via)
				}
			})
		}
	}
}

// TestConnectRemembers: what a proxy accepted goes with the first request of
// the next connection.
func TestConnectRemembers(t *testing.T) {
	for _, scheme := range []string{"basic", "digest"} {
		p := startProxy(t, scheme, false)
		r, c, err := dialVia(t, Proxy{Kind: HTTP, Address: p.Addr().String()}, annAsks, "a.example:443")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		before := len(p.requests)
		c, err = r.DialContext(t.Context(), "tcp", "b.example:443")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if extra := len(p.requests) - before; extra != 1 {
			t.Errorf("%s: the second connection took %d requests", scheme, extra)
		}
	}
}

func TestConnectRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		scheme string
		ask    Credentials
		target string
		want   string
	}{
		"no credentials":    {"basic", nil, "a.example:443", "there are none for it"},
		"wrong credentials": {"basic", func(context.Context, Proxy) (string, string, bool) { return "ann", "wrong", true }, "a.example:443", "did not accept"},
		"forbidden":         {"", nil, "forbidden.example:443", "forbids"},
		"unknown scheme":    {"mystery", annAsks, "a.example:443", "not known here"},
	} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, tc.scheme, false)
			_, c, err := dialVia(t, Proxy{Kind: HTTP, Address: p.Addr().String()}, tc.ask, tc.target)
			if err == nil {
				_ = c.Close()
				t.Fatal("it connected")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestConnectGivesUpWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	f, _ := NewFinder(Settings{}, nil, nil)
	f.flag = &Proxy{Kind: HTTP, Address: l.Addr().String()}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = New(Config{Finder: f}).DialContext(ctx, "tcp", "a.example:443")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	_ = (<-accepted).Close()
}

func TestWaysAreTriedInOrder(t *testing.T) {
	p := startProxy(t, "", false)
	f, _ := NewFinder(Settings{}, nil, nil)
	f.settings.PAC = "script"
	pac, err := NewPAC(`function FindProxyForURL() { return "PROXY 127.0.0.1:1; PROXY ` + p.Addr().String() + `"; }`)
	if err != nil {
		t.Fatal(err)
	}
	f.scripts["script"] = pac
	r := New(Config{Finder: f})
	c, err := r.DialContext(t.Context(), "tcp", "a.example:443")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if via := r.Via("a.example:443"); via.Address != p.Addr().String() {
		t.Errorf("via %v", via)
	}
}

// TestProxyErrors: it can be told whether a proxy was reached, and what it
// said; and a person's answer is used from then on.
func TestProxyErrors(t *testing.T) {
	unreached := Proxy{Kind: HTTP, Address: "127.0.0.1:1"}
	for _, kind := range []Kind{HTTP, HTTPS, SOCKS5} {
		unreached.Kind = kind
		r, _, err := dialVia(t, unreached, nil, "a.example:443")
		var p *ProxyError
		if !errors.As(err, &p) || p.Reached || p.Proxy != unreached {
			t.Errorf("%s: %#v", kind, err)
		}
		if got := r.Via("a.example:443"); got != unreached {
			t.Errorf("%s: via %v", kind, got)
		}
	}
	strict := startProxy(t, "basic", false)
	way := Proxy{Kind: HTTP, Address: strict.Addr().String()}
	r, _, err := dialVia(t, way, nil, "a.example:443")
	var p *ProxyError
	var refused *RefusedError
	if !errors.As(err, &p) || !p.Reached || !errors.As(err, &refused) || refused.Status != http.StatusProxyAuthRequired || refused.Tried != "" {
		t.Fatalf("%v", err)
	}
	r.Login(way, "ann", "wrong")
	if _, err = r.DialContext(t.Context(), "tcp", "a.example:443"); !errors.As(err, &refused) || refused.Tried != "basic" {
		t.Errorf("%v", err)
	}
	r.Login(way, "ann", "secret")
	c, err := r.DialContext(t.Context(), "tcp", "a.example:443")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// TestNTLMChallengeWithoutTargetInfo takes the short message of an old server.
func TestNTLMChallengeWithoutTargetInfo(t *testing.T) {
	c := make([]byte, 40, 48)
	copy(c, "NTLMSSP\x00")
	c[8] = 2
	c[12], c[14], c[16] = 8, 8, 40 // target name at 40
	c[20], c[21] = 1, 0x82         // unicode, NTLM; no target information
	c = append(c, "C\x00O\x00R\x00P\x00"...)
	n := &ntlmScheme{user: `CORP\ann`, password: "secret", started: true}
	for _, challenge := range [][]byte{c, ntlmChallenge} {
		if got, err := n.next(base64.StdEncoding.EncodeToString(challenge), ""); err != nil || !strings.HasPrefix(got, "NTLM ") {
			t.Errorf("%q, %v", got, err)
		}
	}
	for cut := range c { // whatever is cut off must not panic
		_, _ = n.next(base64.StdEncoding.EncodeToString(c[:cut]), "")
	}
}
