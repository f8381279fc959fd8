// Package route is how a byte stream gets out of the network a client is in:
// direct, or through the proxy that the network prescribes. Everything after
// the lookup is dialled through a Route; no phase knows which way it took.
//
// A Route is made once per join. Its methods may be called from any
// goroutine; it owns none. For each target it asks its Finder which ways
// there are and tries them in order. What it dials is a plain byte stream:
// TLS to the target is the caller's.
package route

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Kind is what a way out speaks.
type Kind string

// The kinds.
const (
	Direct Kind = "none"
	HTTP   Kind = "http"   // CONNECT over plain TCP (RFC 9110 §9.3.6)
	HTTPS  Kind = "https"  // CONNECT to a proxy that itself speaks TLS
	SOCKS5 Kind = "socks5" // RFC 1928
)

// Origin says where a proxy was learned from.
type Origin string

// The origins, most binding first.
const (
	FromFlag        Origin = "flag"
	FromPAC         Origin = "pac"
	FromEnvironment Origin = "environment"
	FromSystem      Origin = "system"
)

// Proxy is one way out. The zero Proxy is not valid; use Kind Direct.
type Proxy struct {
	Kind    Kind
	Address string // host:port, "" for Direct
	Origin  Origin
	// User and Password, when the proxy was named together with them.
	User, Password string
}

// String names the way out, without its password.
func (p Proxy) String() string {
	if p.Kind == Direct {
		return "direct"
	}
	return string(p.Kind) + "://" + p.Address
}

// ParseProxy reads a proxy as people write it: host:port, http://host:port,
// https://…, socks5://…, with user:password@ before the host if it asks for
// them. "direct" is no proxy.
func ParseProxy(s string, origin Origin) (Proxy, error) {
	if s == "direct" {
		return Proxy{Kind: Direct, Origin: origin}, nil
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return Proxy{}, errors.New("a proxy is written as http://[user:password@]host:port")
	}
	p := Proxy{Origin: origin}
	port := "3128"
	switch u.Scheme {
	case "http":
		p.Kind = HTTP
	case "https":
		p.Kind, port = HTTPS, "443"
	case "socks5", "socks5h", "socks":
		p.Kind, port = SOCKS5, "1080"
	default:
		return Proxy{}, fmt.Errorf("proxy scheme %q: use http, https or socks5", u.Scheme)
	}
	if u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return Proxy{}, errors.New("a proxy is written as http://[user:password@]host:port, without a path")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	p.Address = net.JoinHostPort(u.Hostname(), port)
	p.User = u.User.Username()
	p.Password, _ = u.User.Password()
	return p, nil
}

// DialFunc dials a byte stream.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Config is what a Route needs; only Finder is required.
type Config struct {
	Finder      *Finder
	Credentials Credentials
	Dial        DialFunc    // how the network itself is dialled; nil is net.Dialer
	TLS         *tls.Config // for proxies that speak TLS
	Log         *slog.Logger
}

// Route dials targets by the ways out that its Finder gives.
type Route struct {
	cfg  Config
	auth *authMemory

	mu   sync.Mutex
	used map[string]Proxy // by target address
}

// New makes a Route.
func New(cfg Config) *Route {
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Route{cfg: cfg, auth: newAuthMemory(), used: map[string]Proxy{}}
}

// DialContext reaches address (host:port) by the first way out that works.
func (r *Route) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ways := r.cfg.Finder.For(ctx, address)
	var errs []error
	for _, way := range ways {
		r.mu.Lock()
		r.used[address] = way
		r.mu.Unlock()
		conn, err := r.dialBy(ctx, way, network, address)
		if err == nil {
			return conn, nil
		}
		var p *ProxyError
		if way.Kind != Direct && !errors.As(err, &p) {
			err = &ProxyError{Proxy: way, Reached: true, Err: err}
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (r *Route) dialBy(ctx context.Context, way Proxy, network, address string) (net.Conn, error) {
	switch way.Kind {
	case Direct:
		return r.cfg.Dial(ctx, network, address)
	case SOCKS5:
		return r.dialSOCKS(ctx, way, address)
	case HTTP, HTTPS:
		return r.dialCONNECT(ctx, way, address)
	}
	return nil, fmt.Errorf("no way out of kind %q", way.Kind)
}

// ProxyError says that a way out through a proxy did not work.
type ProxyError struct {
	Proxy   Proxy
	Reached bool // false: the proxy itself could not be reached
	Err     error
}

// Error names the proxy and what happened.
func (e *ProxyError) Error() string { return fmt.Sprintf("through %v: %v", e.Proxy, e.Err) }

// Unwrap returns what happened.
func (e *ProxyError) Unwrap() error { return e.Err }

// Login sets what a person has answered to a proxy that asked for
// credentials; it replaces what the proxy did not accept.
func (r *Route) Login(p Proxy, user, password string) { r.auth.login(p, user, password) }

// Via tells which way out the last connection to address took or tried,
// Direct if there was none.
func (r *Route) Via(address string) Proxy {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.used[address]; ok {
		return p
	}
	return Proxy{Kind: Direct}
}

// toProxy connects to a proxy itself.
func (r *Route) toProxy(ctx context.Context, way Proxy) (net.Conn, error) {
	conn, err := r.cfg.Dial(ctx, "tcp", way.Address)
	if err != nil {
		return nil, &ProxyError{Proxy: way, Err: err}
	}
	if way.Kind != HTTPS {
		return conn, nil
	}
	cfg := r.cfg.TLS.Clone()
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg.ServerName, _, _ = net.SplitHostPort(way.Address)
	cfg.NextProtos = []string{"http/1.1"}
	tc := tls.Client(conn, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &ProxyError{Proxy: way, Err: fmt.Errorf("TLS to the proxy: %w", err)}
	}
	return tc, nil
}
