package port443

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync/atomic"
	"time"
)

// alpnTURN is TURN's name where a client gives one (RFC 7443 §3). Browsers
// give none.
const alpnTURN = "stun.turn"

// isSTUN reports whether a connection that begins with b speaks STUN: the
// first two bits are zero (RFC 8489 §5), and the method of a request that a
// TURN client may begin with leaves the other high bits zero too. Requests of
// HTTP begin with a letter. TURN's ChannelData (0x40 to 0x4f, RFC 8656 §12.4)
// never comes first.
func isSTUN(b byte) bool { return b < 4 }

// peeked is a connection whose first byte was read to tell what it is.
type peeked struct {
	*tls.Conn
	first byte
	given atomic.Bool
}

// firstByte waits for it. The end of ctx, and an end of the connection from
// elsewhere, end the wait.
func firstByte(ctx context.Context, c *tls.Conn) (byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(headerTimeout)); err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var b [1]byte
	for { // RFC 5246 §6.2.1: a record of application data may be empty
		n, err := c.Read(b[:])
		if n == 1 {
			if !stop() {
				return 0, ctx.Err()
			}
			return b[0], c.SetReadDeadline(time.Time{})
		}
		if err != nil {
			return 0, err
		}
	}
}

// Read gives the first byte again, then the rest.
func (p *peeked) Read(b []byte) (int, error) {
	if len(b) > 0 && !p.given.Swap(true) {
		b[0] = p.first
		return 1, nil
	}
	return p.Conn.Read(b)
}

type peekedKey struct{}

// remember puts a connection without ALPN into the context of its requests.
func remember(ctx context.Context, c any) context.Context {
	if p, ok := c.(*peeked); ok {
		return context.WithValue(ctx, peekedKey{}, p)
	}
	return ctx
}

// tellTLS sets Request.TLS for requests on connections without ALPN: net/http
// knows of TLS only when it gets the *tls.Conn itself.
func tellTLS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := r.Context().Value(peekedKey{}).(*peeked); ok && r.TLS == nil {
			r = r.WithContext(r.Context())
			state := p.ConnectionState()
			r.TLS = &state
		}
		next.ServeHTTP(w, r)
	})
}
