package port443

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"causeway/internal/base/pki"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a port in use, and how to reach it.
type site struct {
	t      *testing.T
	addr   string
	client *tls.Config
	stop   context.CancelFunc
	ended  chan error
}

func serve(t *testing.T, cfg Config) *site {
	t.Helper()
	authority, err := pki.Open(t.TempDir(), []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLS = authority.TLSConfig()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &site{
		t: t, addr: ln.Addr().String(), stop: stop, ended: make(chan error, 1),
		client: &tls.Config{RootCAs: authority.Pool(), ServerName: "127.0.0.1"},
	}
	go func() { s.ended <- Serve(ctx, ln, cfg) }()
	t.Cleanup(s.end)
	return s
}

// end stops the port and waits for it.
func (s *site) end() {
	s.stop()
	if err, first := <-s.ended; first && err != nil {
		s.t.Errorf("Serve: %v", err)
	}
	select {
	case <-s.ended:
	default:
		close(s.ended)
	}
}

func (s *site) dial(protocols ...string) *tls.Conn {
	s.t.Helper()
	cfg := s.client.Clone()
	cfg.NextProtos = protocols
	c, err := tls.Dial("tcp", s.addr, cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *site) raw() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "hello over "+r.Proto)
})

func (s *site) get(protocols http.Protocols) string {
	s.t.Helper()
	tr := &http.Transport{TLSClientConfig: s.client, Protocols: &protocols}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get("https://" + s.addr + "/")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}

func TestTellsApart(t *testing.T) {
	echo := func(_ context.Context, c net.Conn) { _, _ = io.Copy(c, c) }
	s := serve(t, Config{HTTP: hello, Streams: map[string]func(context.Context, net.Conn){"causeway-echo": echo}})

	var one, two http.Protocols
	one.SetHTTP1(true)
	two.SetHTTP2(true)
	if got := s.get(one); got != "hello over HTTP/1.1" {
		t.Errorf("HTTP/1.1 client: %q", got)
	}
	if got := s.get(two); got != "hello over HTTP/2.0" {
		t.Errorf("HTTP/2 client: %q", got)
	}

	c := s.dial("causeway-echo")
	if _, err := io.WriteString(c, "ping\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "ping\n" {
		t.Errorf("stream: %q, %v", line, err)
	}

	c = s.dial() // no ALPN at all is HTTP
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200 OK") {
		t.Errorf("without ALPN: %q, %v", line, err)
	}

	cfg := s.client.Clone()
	cfg.NextProtos = []string{"nonsense"}
	if _, err := tls.Dial("tcp", s.addr, cfg); err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("unknown protocol: %v", err)
	}
	_ = c.Close()
}

func TestGarbage(t *testing.T) {
	s := serve(t, Config{HTTP: hello})
	for name, sent := range map[string]string{
		"zeros":         strings.Repeat("\x00", 64),
		"plain text":    "hello, is anybody there?\r\n\r\n",
		"huge record":   "\x16\x03\x01\xff\xff" + strings.Repeat("\xaa", 1<<16),
		"empty record":  "\x16\x03\x01\x00\x00",
		"not handshake": "\x17\x03\x03\x00\x05hello",
		"ssh":           "SSH-2.0-OpenSSH_9.9\r\n",
	} {
		c := s.raw()
		_, _ = io.WriteString(c, sent)
		_ = c.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(c) // ends, by a close or a reset
		if strings.Contains(string(answer), "hello over") {
			t.Errorf("%s: served %q", name, answer)
		}
	}
	var one http.Protocols
	one.SetHTTP1(true)
	if got := s.get(one); got != "hello over HTTP/1.1" {
		t.Errorf("after garbage: %q", got)
	}
}

func TestPlainHTTPIsToldWhatToDo(t *testing.T) {
	s := serve(t, Config{HTTP: hello})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "PATCH"} {
		c := s.raw()
		_, _ = io.WriteString(c, method+" / HTTP/1.1\r\nHost: x\r\n\r\n")
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 400") {
			t.Errorf("%s: %q, %v", method, line, err)
		}
	}
}

// TestSilentConnections holds more connections open than may be pending, none
// of which says anything: the oldest is closed, and HTTP is still served.
func TestSilentConnections(t *testing.T) {
	const limit = 8
	s := serve(t, Config{HTTP: hello, MaxPending: limit})
	first := s.raw()
	for range 4 * limit {
		s.raw()
	}
	// The oldest gets nothing but its end.
	if n, err := first.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the oldest reads %d bytes, %v", n, err)
	}
	var one http.Protocols
	one.SetHTTP1(true)
	if got := s.get(one); got != "hello over HTTP/1.1" {
		t.Errorf("among silent connections: %q", got)
	}
}

func TestShutdown(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	streaming := make(chan struct{})
	s := serve(t, Config{
		HTTP: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-release
			_, _ = io.WriteString(w, "finished")
		}),
		Streams: map[string]func(context.Context, net.Conn){
			"forever": func(ctx context.Context, _ net.Conn) {
				close(streaming)
				<-ctx.Done()
			},
		},
	})
	s.raw()                    // in its handshake
	idle := s.dial("http/1.1") // brings no request
	s.dial("forever")
	<-streaming
	answer := make(chan string, 1)
	go func() {
		var one http.Protocols
		one.SetHTTP1(true)
		answer <- s.get(one)
	}()
	<-entered
	s.stop()
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("a connection without a request stays open")
	}
	close(release)
	if got := <-answer; got != "finished" {
		t.Errorf("the running request got %q", got)
	}
	s.end()
	if c, err := net.Dial("tcp", s.addr); err == nil {
		_ = c.Close()
		t.Error("the port still listens")
	}
}

func TestPlain(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Plain(ctx, ln, hello, slog.New(slog.DiscardHandler)) }()
	idle, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idle.Close() }()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "hello over HTTP/1.1" {
		t.Errorf("got %q, %v", body, err)
	}
	_ = res.Body.Close()
	stop()
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("a connection without a request stays open")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := Plain(t.Context(), ln, hello, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("served on a closed listener")
	}
}

// broken fails as a listener may.
type broken struct {
	net.Listener
	errors chan error
}

func (b *broken) Accept() (net.Conn, error) { return nil, <-b.errors }

func TestListenerFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &broken{Listener: ln, errors: make(chan error, 3)}
	for _, err := range passingErrors[:2] {
		b.errors <- &net.OpError{Op: "accept", Err: err} // waited out
	}
	b.errors <- errors.New("the roof is gone")
	err = Serve(t.Context(), b, Config{HTTP: hello, TLS: &tls.Config{}})
	if err == nil || !strings.Contains(err.Error(), "the roof is gone") {
		t.Errorf("Serve: %v", err)
	}
	if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error("Serve left the listener open")
	}
}
