package connect

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"causeway/protocol"
)

// maxAnswer bounds an HTTP answer, in bytes.
const maxAnswer = 1 << 20

// Options say how to reach the system.
type Options struct {
	// DialContext opens byte streams; nil dials directly.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS holds the trusted roots, for servers with an authority of their
	// own; nil trusts what the system trusts.
	TLS *tls.Config
	// Via names the way in the report; "" is "direct".
	Via string
	// UserAgent names the client to servers.
	UserAgent string
}

// A Network is how all phases reach the system. It keeps connections warm, so
// that a later phase finds what an earlier one opened.
type Network struct {
	options   Options
	client    *http.Client // HTTP/2 or 1.1: phases 1 to 3
	webSocket *http.Client // HTTP/1.1 only: the control channel
}

// NewNetwork makes a Network, to be closed when no longer needed.
func NewNetwork(o Options) *Network {
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{}
	}
	if o.Via == "" {
		o.Via = "direct"
	}
	n := &Network{options: o}
	n.client = n.newClient(true)
	n.webSocket = n.newClient(false)
	return n
}

// Close closes the connections that are kept warm.
func (n *Network) Close() {
	n.client.CloseIdleConnections()
	n.webSocket.CloseIdleConnections()
}

func (n *Network) newClient(http2 bool) *http.Client {
	t := &http.Transport{
		DialContext:         n.dial,
		TLSClientConfig:     n.options.TLS.Clone(),
		TLSHandshakeTimeout: 10 * time.Second,
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

// A timing is where the time of one request went. Dialling may outlive the
// request that caused it, hence the lock.
type timing struct {
	mu      sync.Mutex
	dns     time.Duration
	dialled time.Duration // name look-up and connect
	tls     time.Duration
	wait    time.Duration // request written to first byte of the answer
	http2   bool

	dnsAt, tlsAt time.Time
	sentAt       time.Time // the connection was there, then: the request was written
}

type timingKey struct{}

// dial times the dialling, whoever does it.
func (n *Network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	start := time.Now()
	c, err := n.options.DialContext(ctx, network, address)
	if t, ok := ctx.Value(timingKey{}).(*timing); ok {
		t.set(func() { t.dialled = time.Since(start) })
	}
	return c, err
}

func (t *timing) set(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}

// watch returns a context under which a request fills in t.
func (t *timing) watch(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, timingKey{}, t)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { t.set(func() { t.dnsAt = time.Now() }) },
		DNSDone:           func(httptrace.DNSDoneInfo) { t.set(func() { t.dns = time.Since(t.dnsAt) }) },
		TLSHandshakeStart: func() { t.set(func() { t.tlsAt = time.Now() }) },
		TLSHandshakeDone: func(tls.ConnectionState, error) {
			t.set(func() { t.tls = time.Since(t.tlsAt) })
		},
		// On HTTP/2 the answer may be there before it is told that the
		// request was written, so the connection's time stands in for that.
		GotConn:              func(httptrace.GotConnInfo) { t.set(func() { t.sentAt = time.Now() }) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { t.set(func() { t.sentAt = time.Now() }) },
		GotFirstResponseByte: func() { t.set(func() { t.wait = time.Since(t.sentAt) }) },
	})
}

// attempt begins a report entry from what was timed. The transport is the
// scheme of the target's address.
func (t *timing) attempt(target, via string) protocol.Attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	transport, _, _ := strings.Cut(target, "://")
	return protocol.Attempt{
		Target: target, Transport: transport, Via: via,
		DNSMS: millis(t.dns), ConnectMS: millis(max(t.dialled-t.dns, 0)), // not dialled to the end: 0
		TLSMS: millis(t.tls), RTTMS: millis(t.wait),
	}
}

// A call is one request to one of our servers.
type call struct {
	method, url, bearer string
	in                  any // JSON body, nil for none
}

// errForeign is in the chain when whatever answered is not one of our servers.
var errForeign = errors.New("answered, but not as a server of this system would")

// do runs a call and decodes the answer into out. A problem that the server
// answers comes back as *protocol.Problem.
func (n *Network) do(ctx context.Context, c call, out any, t *timing) error {
	req, err := n.request(t.watch(ctx), c)
	if err != nil {
		return err
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	t.set(func() { t.http2 = resp.ProtoMajor == 2 })
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("%w (more than %d bytes)", errForeign, maxAnswer)
	}
	return decode(resp, body, out)
}

func (n *Network) request(ctx context.Context, c call) (*http.Request, error) {
	var body io.Reader
	if c.in != nil {
		b, err := json.Marshal(c.in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if c.in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if n.options.UserAgent != "" {
		req.Header.Set("User-Agent", n.options.UserAgent)
	}
	return req, nil
}

// decode takes an answer apart: what was asked for, a problem (RFC 9457), or
// the word of a stranger in between.
func decode(resp *http.Response, body []byte, out any) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "application/problem+json" {
		var p protocol.Problem
		if err := json.Unmarshal(body, &p); err == nil && p.Code != "" {
			return &p
		}
	}
	if resp.StatusCode/100 == 2 && kind == "application/json" {
		if err := json.Unmarshal(body, out); err != nil {
			return fmt.Errorf("%w: %w", errForeign, err)
		}
		return nil
	}
	what := resp.Status
	if to := resp.Header.Get("Location"); to != "" {
		what += ", to " + to
	}
	if strings.HasPrefix(kind, "text/html") {
		what += ", a web page"
	}
	return fmt.Errorf("%w (%s)", errForeign, what)
}

// waited is how long the answer's first byte took.
func (t *timing) waited() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wait
}

// isHTTP2 reports whether many requests share the connection.
func (t *timing) isHTTP2() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.http2
}
