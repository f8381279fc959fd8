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
// the way this network goes. The attempt is for the report; its error is in
// words.
func (n *Network) MediaDial(ctx context.Context, transport protocol.Transport, address string) (net.Conn, protocol.Attempt, error) {
	a := protocol.Attempt{Target: address, Transport: string(transport), Via: "direct"}
	conn, err := n.dialMedia(ctx, transport, address, &a)
	if transport == protocol.TLS {
		a.Via = n.Via(address)
	}
	if a.OK = err == nil; !a.OK {
		a.Error = explain(err, address)
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
