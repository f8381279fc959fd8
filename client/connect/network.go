package connect

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"

	"causeway/internal/route"
	"causeway/protocol"
)

// Whoever does not take a connection has dialBudget. Whoever has taken it is
// there: a server that a crowd has come to is slow, and is waited for, since to
// begin anew would cost it the same work once more.
const (
	dialBudget      = 10 * time.Second
	handshakeBudget = 20 * time.Second // of TLS
)

// Options say how to reach the system.
type Options struct {
	// DialContext dials the network itself; nil dials directly. Proxies and
	// tunnels are dialled by it too.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS holds the trusted roots, for servers with an authority of their
	// own; nil trusts what the system trusts.
	TLS *tls.Config
	// Proxy says where to look for a proxy.
	Proxy ProxyOptions
	// UserAgent names the client to servers.
	UserAgent string
	// Log takes what an operator should know; nil discards it.
	Log *slog.Logger
}

// ProxyOptions say where to look for a proxy: in Proxy, in PAC, in the
// environment, in the system's settings; the first that names one decides.
// Addresses of this machine are never reached through a proxy.
type ProxyOptions struct {
	// Proxy is [SCHEME://][USER:PASSWORD@]HOST[:PORT] with the scheme http,
	// https or socks5, or "direct" for none at all.
	Proxy string
	// PAC is the file or the address of a PAC script, or "auto" for WPAD.
	PAC string
	// User is USER[:PASSWORD] for whichever proxy asks.
	User string
	// CredentialsFile has lines of "HOST[:PORT] USER PASSWORD".
	CredentialsFile string
	// NoSystem leaves the settings of the operating system alone.
	NoSystem bool
	// Password asks a person, when a proxy asks for credentials that are not
	// known or not accepted. The user may be "" to keep the one of User.
	Password func(proxy string) (user, password string, ok bool)
}

// A Network is one way in which all phases reach the system: direct or by
// the proxy that is prescribed or, if it came of Reach or Attach, through a
// tunnel. It keeps connections warm, so that a later phase finds what an
// earlier one opened.
type Network struct {
	options   Options
	finder    *route.Finder
	route     *route.Route
	tunnel    *route.Tunnel // nil: no tunnel
	base      *Network      // what the tunnel is reached by; itself without a tunnel
	client    *http.Client  // HTTP/2 or 1.1: phases 1 to 3
	webSocket *http.Client  // HTTP/1.1 only: the control channel

	// Of the base only.
	mu       sync.Mutex
	token    string              // join token, for tunnels
	listed   []string            // addresses of the tunnels of the latest package
	tunnels  map[string]*Network // by address
	tunneled bool                // the zones were reached through a tunnel last time
}

// NewNetwork makes a Network, to be closed when no longer needed. Problem:
// proxy_settings_invalid.
func NewNetwork(o Options) (*Network, error) {
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{Timeout: dialBudget}).DialContext
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	credentials, err := o.Proxy.credentials()
	if err != nil {
		return nil, protocol.Wrap(protocol.ProblemProxySettings, err)
	}
	n := &Network{options: o, tunnels: map[string]*Network{}}
	n.base = n
	n.finder, err = route.NewFinder(o.Proxy.settings(), o.DialContext, o.Log)
	if err != nil {
		return nil, protocol.Wrap(protocol.ProblemProxySettings, err)
	}
	n.route = route.New(route.Config{
		Finder: n.finder, Credentials: credentials, Dial: o.DialContext, TLS: o.TLS, Log: o.Log,
	})
	n.makeClients()
	return n, nil
}

func (o ProxyOptions) settings() route.Settings {
	s := route.Settings{Proxy: o.Proxy, PAC: o.PAC, Environment: httpproxy.FromEnvironment()}
	if !o.NoSystem {
		s.System = route.SystemSettings
	}
	return s
}

// credentials are those that need no person.
func (o ProxyOptions) credentials() (route.Credentials, error) {
	user, err := route.ParseUser(o.User)
	if err == nil {
		return user, nil
	}
	if o.CredentialsFile == "" {
		return nil, nil
	}
	return route.FileCredentials(o.CredentialsFile)
}

// Transport makes HTTP requests to the system, for what is no phase.
func (n *Network) Transport() http.RoundTripper { return n.client.Transport }

// Unreachable says in words why the web server at target was not reached.
func Unreachable(err error, target string) *protocol.Problem {
	return problem(protocol.ProblemWebUnreachable, err, target)
}

// Close closes the connections that are kept warm, also those of the networks
// that came of this one.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.tunnels {
		t.Close()
		t.tunnel.Close()
	}
	n.client.CloseIdleConnections()
	n.webSocket.CloseIdleConnections()
}

func (n *Network) makeClients() {
	n.client = n.newClient(true)
	n.webSocket = n.newClient(false)
}

func (n *Network) newClient(http2 bool) *http.Client {
	t := &http.Transport{
		DialContext:         n.dial,
		TLSClientConfig:     n.options.TLS.Clone(),
		TLSHandshakeTimeout: handshakeBudget,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   http2,
	}
	if !http2 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
	}
	// None of our servers redirects; on the way to them, captive portals do.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: t, CheckRedirect: stay}
}

// open dials the way this network goes.
func (n *Network) open(ctx context.Context, network, address string) (net.Conn, error) {
	if n.tunnel == nil {
		return n.route.DialContext(ctx, network, address)
	}
	c, err := n.tunnel.DialContext(untraced{ctx}, network, address)
	if err != nil {
		return nil, newTunnelError(n.tunnel.URL(), err)
	}
	return c, nil
}

// untraced is a context without values: the requests of the tunnel are not
// those of whoever dials through it.
type untraced struct{ context.Context }

// Value is nil.
func (untraced) Value(any) any { return nil }

// Via names the way to a target, an address or URL: direct, a proxy, or a
// tunnel.
func (n *Network) Via(target string) string {
	if n.tunnel != nil {
		return n.tunnel.URL()
	}
	return n.route.Via(addressOf(target)).String()
}

// StreamDial opens a byte stream to address (host:port), one of the system's
// servers, the way this network goes.
func (n *Network) StreamDial(ctx context.Context, address string) (net.Conn, error) {
	return n.open(ctx, "tcp", address)
}

// addressOf gives the host:port of a URL, or what is that already.
func addressOf(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return target
	}
	port := u.Port()
	switch {
	case port != "":
	case secure(u):
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// learn takes what a package says of tunnels.
func (n *Network) learn(pkg protocol.Package) {
	b := n.base
	b.mu.Lock()
	defer b.mu.Unlock()
	b.token, b.listed = pkg.Token, nil
	for _, t := range pkg.Tunnels {
		if !slices.Contains(b.listed, t.URL) {
			b.listed = append(b.listed, t.URL)
		}
	}
}

// overTunnels are the networks over all known tunnels.
func (n *Network) overTunnels() []*Network {
	b := n.base
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []*Network
	for _, address := range b.listed {
		t := b.tunnels[address]
		if t == nil {
			t = b.through(address)
			b.tunnels[address] = t
		}
		list = append(list, t)
	}
	return list
}

// through makes the network over a tunnel.
func (n *Network) through(tunnel string) *Network {
	t := &Network{options: n.options, route: n.route, base: n}
	t.tunnel = route.NewTunnel(route.TunnelConfig{
		URL: tunnel, Dial: n.dial, TLS: n.options.TLS,
		Auth: func() string {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.token
		},
	})
	t.makeClients()
	return t
}

// remember notes whether the zones were reached through a tunnel.
func (n *Network) remember(tunneled bool) {
	n.base.mu.Lock()
	defer n.base.mu.Unlock()
	n.base.tunneled = tunneled
}

func (n *Network) wasTunneled() bool {
	n.base.mu.Lock()
	defer n.base.mu.Unlock()
	return n.base.tunneled
}
