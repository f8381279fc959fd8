package port443

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// stun is how a TURN client begins: an Allocate request (RFC 8656 §6.1).
const stun = "\x00\x03\x00\x00\x21\x12\xa4\x42transaction."

// secure says whether a request came over TLS, and how.
var secure = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil || !r.TLS.HandshakeComplete {
		_, _ = io.WriteString(w, "no TLS")
		return
	}
	body, _ := io.ReadAll(r.Body)
	_, _ = io.WriteString(w, "secure "+r.Method+" "+string(body))
})

// rawSite is a port whose raw streams are echoed, after "raw:".
func rawSite(t *testing.T, limit int) *site {
	return serve(t, Config{HTTP: secure, MaxPending: limit, Raw: func(ctx context.Context, c net.Conn) {
		defer context.AfterFunc(ctx, func() { _ = c.Close() })()
		_, _ = io.WriteString(c, "raw:")
		_, _ = io.Copy(c, c)
	}})
}

func TestUnnamedIsToldByItsFirstByte(t *testing.T) {
	s := rawSite(t, 0)
	for _, c := range []struct {
		name, sent, want string
		protocols        []string
	}{
		{"STUN", stun, "raw:" + stun, nil},
		{"STUN binding", "\x00\x01", "raw:\x00\x01", nil},
		{"one byte", "\x03", "raw:\x03", nil},
		{"STUN by name", stun, "raw:" + stun, []string{"stun.turn"}},
		{"anything by that name", "GET / HTTP/1.1\r\n", "raw:GET / HTTP/1.1\r\n", []string{"stun.turn"}},
		{"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n", nil},
		{"HTTP/1.0", "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.0 200 OK\r\n", nil},
		{"HTTP by name", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n", []string{"http/1.1"}},
		{"ChannelData before anything", "\x40\x00\x00\x04", "HTTP/1.1 400 Bad Request", nil},
		{"garbage", "\xff\xff\xff\xff", "HTTP/1.1 400 Bad Request", nil},
		{"STUN under the name of HTTP", stun + "\r\n\r\n", "HTTP/1.1 400 Bad Request", []string{"http/1.1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := s.dial(c.protocols...)
			if _, err := io.WriteString(conn, c.sent); err != nil {
				t.Fatal(err)
			}
			if c.name == "garbage" || strings.HasPrefix(c.name, "ChannelData") {
				_, _ = io.WriteString(conn, "\r\n\r\n")
			}
			got := make([]byte, len(c.want))
			if n, err := io.ReadFull(conn, got); err != nil || string(got) != c.want {
				t.Errorf("%q, %v", got[:n], err)
			}
		})
	}
}

// TestUnnamedHTTP holds that requests without ALPN are as good as others: TLS
// is known, bodies arrive whole, and connections are kept.
func TestUnnamedHTTP(t *testing.T) {
	s := rawSite(t, 0)
	conn := s.dial()
	read := bufio.NewReader(conn)
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://x/", strings.NewReader("a body"))
		if err != nil {
			t.Fatal(err)
		}
		if err := req.Write(conn); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(read, req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != "secure POST a body" {
			t.Errorf("%q, %v", body, err)
		}
	}
}

// TestUnnamedSilence holds more connections that shake hands and then say
// nothing than may be pending: the oldest end, and neither HTTP nor TURN is
// kept out.
func TestUnnamedSilence(t *testing.T) {
	const limit = 8
	s := rawSite(t, limit)
	first := s.dial()
	for range 4 * limit {
		s.dial()
	}
	if n, err := first.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the oldest reads %d bytes, %v", n, err)
	}
	var one http.Protocols
	one.SetHTTP1(true)
	if got := s.get(one); got != "secure GET " {
		t.Errorf("among silent connections: %q", got)
	}
	conn := s.dial()
	if _, err := io.WriteString(conn, stun); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "raw:" {
		t.Errorf("TURN among silent connections: %q, %v", got, err)
	}
}

func TestUnnamedEnds(t *testing.T) {
	s := rawSite(t, 0)
	silent, streaming := s.dial(), s.dial()
	if _, err := io.WriteString(streaming, stun); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(streaming, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	s.end() // waits for both
	for name, c := range map[string]net.Conn{"silent": silent, "streaming": streaming} {
		if _, err := io.ReadAll(c); err == nil {
			continue // a close
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: still open", name)
		}
	}
}

// TestWithoutRaw holds that nothing is peeked at where nobody wants it.
func TestWithoutRaw(t *testing.T) {
	s := serve(t, Config{HTTP: secure})
	cfg := s.client.Clone()
	cfg.NextProtos = []string{"stun.turn"}
	if c, err := tls.Dial("tcp", s.addr, cfg); err == nil {
		_ = c.Close()
		t.Error("stun.turn was agreed on")
	}
	conn := s.dial()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(got), "secure GET ") {
		t.Errorf("%q, %v", got, err)
	}
}
