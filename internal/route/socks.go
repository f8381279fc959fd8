package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/proxy"
)

// dialSOCKS goes through a SOCKS5 proxy (RFC 1928, RFC 1929). Names are
// resolved by the proxy.
func (r *Route) dialSOCKS(ctx context.Context, way Proxy, address string) (net.Conn, error) {
	user, password, known := r.auth.known(way)
	if known {
		conn, err := r.socks(ctx, way, &proxy.Auth{User: user, Password: password}, address)
		return conn, refusedSOCKS(err, "password")
	}
	conn, err := r.socks(ctx, way, nil, address)
	err = refusedSOCKS(err, "")
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Status != http.StatusProxyAuthRequired || r.cfg.Credentials == nil {
		return conn, err
	}
	if user, password, known = r.cfg.Credentials(ctx, way); !known {
		return nil, err
	}
	r.auth.login(way, user, password)
	conn, err = r.socks(ctx, way, &proxy.Auth{User: user, Password: password}, address)
	return conn, refusedSOCKS(err, "password")
}

// refusedSOCKS turns the refusals that the library has only words for into
// RefusedErrors with the status that HTTP has for them.
func refusedSOCKS(err error, tried string) error {
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "authentication"):
		return &RefusedError{Status: http.StatusProxyAuthRequired, Schemes: []string{"password"}, Tried: tried}
	case strings.Contains(err.Error(), "not allowed by ruleset"):
		return &RefusedError{Status: http.StatusForbidden}
	}
	return err
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
	conn, err := f.r.cfg.Dial(ctx, network, f.way.Address)
	if err != nil {
		return nil, &ProxyError{Proxy: f.way, Err: err}
	}
	return conn, nil
}
