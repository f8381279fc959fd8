package route

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"causeway/protocol"
)

// tunnelTimeout bounds a ping and the opening of a stream.
const tunnelTimeout = 5 * time.Second

// TunnelConfig is what dialling through a tunnel needs.
type TunnelConfig struct {
	URL  string // the tunnel's base, https://host[:port]
	Dial DialFunc
	TLS  *tls.Config   // roots for the tunnel's certificate
	Auth func() string // the join token
}

// Tunnel dials the system's servers through one HTTP tunnel. Each connection
// is a stream of its own: a WebSocket or, where WebSocket does not get
// through, plain requests.
type Tunnel struct {
	cfg    TunnelConfig
	client *http.Client
	plain  atomic.Bool // WebSocket was refused by something on the way
}

// NewTunnel makes a Tunnel; nothing is sent yet.
func NewTunnel(cfg TunnelConfig) *Tunnel {
	transport := &http.Transport{
		DialContext: cfg.Dial, TLSClientConfig: cfg.TLS.Clone(), Proxy: nil,
		TLSHandshakeTimeout: tunnelTimeout, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute,
	}
	return &Tunnel{cfg: cfg, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// URL is the tunnel's base.
func (t *Tunnel) URL() string { return t.cfg.URL }

// Plain tells whether streams are carried by plain requests.
func (t *Tunnel) Plain() bool { return t.plain.Load() }

// Close closes idle connections; streams go on until they are closed.
func (t *Tunnel) Close() { t.client.CloseIdleConnections() }

// Ping asks the tunnel whether it takes streams.
func (t *Tunnel) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	resp, err := t.do(ctx, http.MethodGet, protocol.PathTunnelPing, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return answerError(resp)
	}
	return nil
}

// Race pings tunnels at once; the first to answer wins. ping is Tunnel.Ping,
// or what wraps it.
func Race(ctx context.Context, tunnels []*Tunnel, ping func(*Tunnel, context.Context) error) (*Tunnel, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		t   *Tunnel
		err error
	}
	done := make(chan outcome, len(tunnels))
	for _, t := range tunnels {
		go func() { done <- outcome{t, ping(t, ctx)} }()
	}
	errs := []error{errors.New("no tunnel answered")}
	var winner *Tunnel
	for range tunnels {
		o := <-done
		if o.err == nil && winner == nil {
			winner = o.t
			cancel()
		} else if o.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.t.cfg.URL, o.err))
		}
	}
	if winner == nil {
		return nil, errors.Join(errs...)
	}
	return winner, nil
}

// DialContext opens a stream to address (host:port), one of the system's own
// servers.
func (t *Tunnel) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	if !t.plain.Load() {
		c, err := t.dialWebSocket(ctx, address)
		var p *protocol.Problem
		if err == nil || errors.As(err, &p) || ctx.Err() != nil {
			return c, err
		}
		pc, plainErr := t.dialPlain(ctx, address)
		if plainErr != nil {
			return nil, errors.Join(err, plainErr)
		}
		t.plain.Store(true)
		return pc, nil
	}
	return t.dialPlain(ctx, address)
}

func (t *Tunnel) dialWebSocket(ctx context.Context, address string) (net.Conn, error) {
	dialCtx, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	target := t.cfg.URL + protocol.PathTunnelConnect + "?to=" + url.QueryEscape(address)
	ws, resp, err := websocket.Dial(dialCtx, target, &websocket.DialOptions{
		HTTPClient: t.client, HTTPHeader: t.header(), CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			return nil, answerError(resp)
		}
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	ws.SetReadLimit(protocol.MaxTunnelChunk)
	// The stream outlives the dialling.
	return wsStream{websocket.NetConn(context.WithoutCancel(ctx), ws, websocket.MessageBinary), ws}, nil
}

// wsStream is a stream in a WebSocket.
type wsStream struct {
	net.Conn
	ws *websocket.Conn
}

// Close ends the stream at once. NetConn's own Close waits up to five seconds
// for the far end to say goodbye, which a tunnel that has died never does.
func (s wsStream) Close() error { return s.ws.CloseNow() }

func (t *Tunnel) header() http.Header {
	return http.Header{"Authorization": {"Bearer " + t.cfg.Auth()}}
}

func (t *Tunnel) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, t.cfg.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	req.Header = t.header()
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	return resp, nil
}

// answerError reads an answer that is not the wanted one: the tunnel's own
// problem, or words about something else that answered in its place.
func answerError(resp *http.Response) error {
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		p := new(protocol.Problem)
		if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(p) == nil && p.Code != "" {
			return p
		}
	}
	return fmt.Errorf("tunnel: answered %s", resp.Status)
}

// dialPlain opens a stream of plain requests. Two goroutines carry it; they
// end when the connection is closed or the tunnel ends the stream.
func (t *Tunnel) dialPlain(ctx context.Context, address string) (net.Conn, error) {
	openCtx, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	resp, err := t.do(openCtx, http.MethodPost, protocol.PathTunnelStreams+"?to="+url.QueryEscape(address), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, answerError(resp)
	}
	var s protocol.TunnelStream
	if err := json.NewDecoder(io.LimitReader(resp.Body, 4096)).Decode(&s); err != nil || s.ID == "" {
		return nil, errors.New("tunnel: the answer cannot be read")
	}
	ours, theirs := net.Pipe()
	p := &plainStream{tunnel: t, path: protocol.PathTunnelStreams + "/" + url.PathEscape(s.ID), pipe: theirs}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go p.up()
	go p.down()
	return ours, nil
}

// plainStream carries a pipe by plain requests.
type plainStream struct {
	tunnel *Tunnel
	path   string
	pipe   net.Conn
	ctx    context.Context
	cancel context.CancelFunc
}

// plainRetries is how often a request is repeated before the stream ends.
const plainRetries = 3

// up sends what is written to the pipe.
func (p *plainStream) up() {
	defer p.end()
	buf := make([]byte, 32<<10)
	var offset int64
	for {
		n, err := p.pipe.Read(buf)
		if n > 0 {
			resp, rerr := p.request(http.MethodPost, offset, buf[:n])
			if rerr != nil {
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusNoContent {
				return
			}
			offset += int64(n)
		}
		if err != nil {
			return
		}
	}
}

// down asks for what follows, again and again.
func (p *plainStream) down() {
	defer p.end()
	var offset int64
	for {
		resp, err := p.request(http.MethodGet, offset, nil)
		if err != nil {
			return
		}
		if resp.StatusCode == http.StatusOK {
			n, err := io.Copy(p.pipe, io.LimitReader(resp.Body, protocol.MaxTunnelChunk))
			offset += n
			_ = resp.Body.Close()
			if err != nil && p.ctx.Err() != nil {
				return
			}
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			return
		}
	}
}

// request sends one request, again when it was lost: offsets make that safe.
func (p *plainStream) request(method string, offset int64, body []byte) (*http.Response, error) {
	path := p.path + "?offset=" + strconv.FormatInt(offset, 10)
	var resp *http.Response
	var err error
	for range plainRetries {
		if resp, err = p.tunnel.do(p.ctx, method, path, body); err == nil || p.ctx.Err() != nil {
			break
		}
	}
	return resp, err
}

func (p *plainStream) end() {
	_ = p.pipe.Close()
	if p.ctx.Err() != nil {
		return
	}
	p.cancel()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), tunnelTimeout)
	defer cancel()
	if resp, err := p.tunnel.do(ctx, http.MethodDelete, p.path, nil); err == nil {
		_ = resp.Body.Close()
	}
}
