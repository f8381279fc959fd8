package route

import (
	"context"
	"fmt"
	"net"
	"strings"

	"golang.org/x/net/proxy"
)

// dialSOCKS goes through a SOCKS5 proxy (RFC 1928, RFC 1929). Names are
// resolved by the proxy.
func (r *Route) dialSOCKS(ctx context.Context, way Proxy, address string) (net.Conn, error) {
	if way.User != "" {
		return r.socks(ctx, way, &proxy.Auth{User: way.User, Password: way.Password}, address)
	}
	conn, err := r.socks(ctx, way, nil, address)
	// The library has no error value for "it wants credentials".
	if err != nil && strings.Contains(err.Error(), "authentication") && r.cfg.Credentials != nil {
		if user, password, ok := r.cfg.Credentials(ctx, way); ok {
			return r.socks(ctx, way, &proxy.Auth{User: user, Password: password}, address)
		}
	}
	return conn, err
}

func (r *Route) socks(ctx context.Context, way Proxy, auth *proxy.Auth, address string) (net.Conn, error) {
	d, err := proxy.SOCKS5("tcp", way.Address, auth, socksForward{r, way})
	if err != nil {
		return nil, fmt.Errorf("SOCKS5: %w", err)
	}
	return d.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
}

// socksForward dials the proxy itself.
type socksForward struct {
	r   *Route
	way Proxy
}

// Dial is there because proxy.SOCKS5 asks for it; DialContext is used.
func (f socksForward) Dial(network, _ string) (net.Conn, error) {
	return f.DialContext(context.Background(), network, "")
}

// DialContext connects to the proxy.
func (f socksForward) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	return f.r.cfg.Dial(ctx, network, f.way.Address)
}
