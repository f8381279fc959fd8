package connect

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"causeway/protocol"
)

// MediaDial opens a stream for media: protocol.TCP to ip:port directly, since
// proxies let hardly any port through but 443, or protocol.TLS to host:port
// the way this network goes. Where the port answers but something on the way
// opens TLS, which then is not for media, it goes through a tunnel: what is
// inside of that, nobody opens. The attempt is for the report; its error is in
// words.
func (n *Network) MediaDial(ctx context.Context, transport protocol.Transport, address string) (net.Conn, protocol.Attempt, error) {
	a := protocol.Attempt{Target: address, Transport: string(transport), Via: "direct"}
	conn, err := n.dialMedia(ctx, transport, address, &a)
	by := n
	if err != nil && transport == protocol.TLS && a.TLSMS > 0 && n.tunnel == nil && ctx.Err() == nil {
		if inside, tunnel := n.dialMediaInside(ctx, address); inside != nil {
			conn, by, err = inside, tunnel, nil
		}
	}
	if transport == protocol.TLS {
		a.Via = by.Via(address)
	}
	if a.OK = err == nil; !a.OK {
		blame(&a, err, address)
	}
	return conn, a, err
}

func (n *Network) dialMedia(ctx context.Context, transport protocol.Transport, address string, a *protocol.Attempt) (net.Conn, error) {
	start := time.Now()
	dial := n.options.DialContext
	if transport == protocol.TLS {
		dial = n.open
	}
	conn, err := dial(ctx, "tcp", address)
	connected := time.Now()
	a.ConnectMS = millis(connected.Sub(start))
	if err != nil || transport == protocol.TCP {
		return conn, err
	}
	secure, err := n.secureMedia(ctx, conn, address)
	a.TLSMS = millis(time.Since(connected))
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// dialMediaInside dials through all tunnels at once and takes the first that
// leads there; nil if none does.
func (n *Network) dialMediaInside(ctx context.Context, address string) (net.Conn, *Network) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		by   *Network
	}
	tunnels := n.overTunnels()
	results := make(chan result)
	for _, t := range tunnels {
		go func() {
			conn, err := t.dialMedia(ctx, protocol.TLS, address, new(protocol.Attempt))
			if err != nil {
				conn = nil
			}
			results <- result{conn, t}
		}()
	}
	var first result
	for range tunnels {
		switch r := <-results; {
		case r.conn == nil:
		case first.conn == nil:
			first = r
			cancel()
		default:
			_ = r.conn.Close()
		}
	}
	return first.conn, first.by
}

// secureMedia shakes hands for media. A server without that, a middlebox
// maybe, agrees to something else or to nothing.
func (n *Network) secureMedia(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeBudget)
	defer cancel()
	cfg := n.options.TLS.Clone()
	cfg.ServerName, _, _ = net.SplitHostPort(address)
	cfg.NextProtos = []string{protocol.ALPNMedia}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if got := secure.ConnectionState().NegotiatedProtocol; got != protocol.ALPNMedia {
		return nil, fmt.Errorf("%w (no media on this port)", errForeign)
	}
	return secure, nil
}
