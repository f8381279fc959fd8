package route

import (
	"context"
	"io"
	"net"
	"testing"
)

// serveSOCKS is a SOCKS5 proxy for one connection (RFC 1928, RFC 1929); with
// a password it takes nothing else.
func serveSOCKS(c net.Conn, password string) {
	defer c.Close()
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(c, b); err != nil {
			return make([]byte, n)
		}
		return b
	}
	methods := read(int(read(2)[1]))
	want := byte(0)
	if password != "" {
		want = 2
	}
	found := false
	for _, m := range methods {
		found = found || m == want
	}
	if !found {
		_, _ = c.Write([]byte{5, 0xff})
		return
	}
	_, _ = c.Write([]byte{5, want})
	if want == 2 {
		read(int(read(2)[1]))
		if got := string(read(int(read(1)[0]))); got != password {
			_, _ = c.Write([]byte{1, 1})
			return
		}
		_, _ = c.Write([]byte{1, 0})
	}
	read(4)
	read(int(read(1)[0]) + 2)
	_, _ = c.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 80})
	_, _ = io.Copy(c, c)
}

func TestSOCKS5(t *testing.T) {
	asked := 0
	ask := func(context.Context, Proxy) (string, string, bool) { asked++; return "ann", "secret", true }
	for name, tc := range map[string]struct {
		proxy    Proxy
		password string
		asked    int
		ok       bool
	}{
		"open":                 {Proxy{Kind: SOCKS5}, "", 0, true},
		"password in the name": {Proxy{Kind: SOCKS5, User: "ann", Password: "secret"}, "secret", 0, true},
		"password asked for":   {Proxy{Kind: SOCKS5}, "secret", 1, true},
		"wrong password":       {Proxy{Kind: SOCKS5, User: "ann", Password: "x"}, "secret", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			asked = 0
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					serveSOCKS(c, tc.password)
				}
			}()
			tc.proxy.Address = l.Addr().String()
			_, c, err := dialVia(t, tc.proxy, ask, "meet.example.org:443")
			if (err == nil) != tc.ok || asked != tc.asked {
				t.Errorf("%v, asked %d times", err, asked)
			}
			if err == nil {
				_ = c.Close()
			}
			_ = l.Close()
			<-done
		})
	}
}
