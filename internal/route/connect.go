package route

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxRounds bounds the requests of one authentication: NTLM takes three.
const maxRounds = 5

// maxRefusalBody is how much of a proxy's refusal page is read to keep the
// connection; longer ones cost a new connection.
const maxRefusalBody = 64 << 10

// RefusedError is a proxy's answer other than 2xx to CONNECT.
type RefusedError struct {
	Status  int
	Schemes []string // what it offers, for 407
	Foreign []string // its challenges, for 407, when none of them is known here
	Tried   string   // the scheme that was tried last, "" for none
}

// Error says it in words.
func (e *RefusedError) Error() string {
	switch {
	case len(e.Foreign) > 0:
		return "the proxy asks for an authentication that is not known here: " + strings.Join(e.Foreign, ", ")
	case e.Status == http.StatusProxyAuthRequired && e.Tried == "":
		return fmt.Sprintf("the proxy asks for credentials (%v) and there are none for it", e.Schemes)
	case e.Status == http.StatusProxyAuthRequired:
		return fmt.Sprintf("the proxy did not accept the credentials (%s)", e.Tried)
	case e.Status == http.StatusForbidden:
		return "the proxy forbids this destination (403)"
	}
	return fmt.Sprintf("the proxy answered %d %s", e.Status, http.StatusText(e.Status))
}

// dialCONNECT opens a tunnel through an HTTP proxy (RFC 9110 §9.3.6),
// authenticating as the proxy asks (RFC 9110 §11.7).
func (r *Route) dialCONNECT(ctx context.Context, way Proxy, address string) (net.Conn, error) {
	var conn net.Conn
	var br *bufio.Reader
	stop := func() bool { return true }
	fail := func(err error) (net.Conn, error) {
		stop()
		if conn != nil {
			_ = conn.Close()
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	s := r.auth.session(way, r.cfg.Credentials)
	defer s.close()
	fresh := false // nothing was asked on this connection yet
	for range maxRounds {
		if conn == nil {
			fresh = true
			c, err := r.toProxy(ctx, way)
			if err != nil {
				return nil, err
			}
			conn, br = c, bufio.NewReaderSize(c, 4096)
			stop = context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
		}
		authorization, err := s.authorization(address)
		if err != nil {
			return fail(err)
		}
		resp, err := roundCONNECT(conn, br, address, authorization)
		if err != nil && !fresh && ctx.Err() == nil {
			// Some proxies hang up after a refusal without saying so.
			stop()
			_ = conn.Close()
			conn = nil
			continue
		}
		if err != nil {
			return fail(err)
		}
		fresh = false
		if resp.StatusCode/100 == 2 {
			if !stop() {
				return fail(context.Cause(ctx))
			}
			s.accepted()
			return &bufferedConn{Conn: conn, br: br}, nil
		}
		if resp.StatusCode != http.StatusProxyAuthRequired {
			return fail(&RefusedError{Status: resp.StatusCode})
		}
		if err := s.challenged(ctx, resp.Header.Values("Proxy-Authenticate")); err != nil {
			return fail(err)
		}
		if !reusable(resp) {
			stop()
			_ = conn.Close()
			conn = nil
		}
	}
	return fail(errors.New("the proxy keeps asking for credentials"))
}

func roundCONNECT(conn net.Conn, br *bufio.Reader, address, authorization string) (*http.Response, error) {
	req := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: address},
		Host:   address,
		Header: http.Header{"User-Agent": {"causeway"}, "Proxy-Connection": {"keep-alive"}},
	}
	if authorization != "" {
		req.Header.Set("Proxy-Authorization", authorization)
	}
	if err := req.Write(conn); err != nil {
		return nil, fmt.Errorf("ask the proxy: %w", err)
	}
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		return nil, fmt.Errorf("the proxy's answer: %w", err)
	}
	return resp, nil
}

// reusable drains a refusal and says whether its connection can carry the
// next request.
func reusable(resp *http.Response) bool {
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxRefusalBody))
	return err == nil && n < maxRefusalBody && !resp.Close && resp.Header.Get("Proxy-Connection") != "close"
}

// bufferedConn reads first what came with the proxy's answer.
type bufferedConn struct {
	net.Conn
	br *bufio.Reader
}

// Read drains the buffer, then reads the connection itself.
func (c *bufferedConn) Read(p []byte) (int, error) {
	if c.br == nil {
		return c.Conn.Read(p)
	}
	if c.br.Buffered() == 0 {
		c.br = nil
		return c.Conn.Read(p)
	}
	return c.br.Read(p)
}
