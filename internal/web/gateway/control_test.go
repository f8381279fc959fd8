package gateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"causeway/internal/token"
	"causeway/protocol"

	"github.com/coder/websocket"
	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

// open opens a control channel to the router through the gateway.
func (w *world) open() *websocket.Conn {
	w.t.Helper()
	c, _, err := websocket.Dial(w.t.Context(), "wss://"+w.address+protocol.PathGatewayControl+"?to="+url.QueryEscape(w.routerURL()),
		&websocket.DialOptions{HTTPClient: w.http})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(maxDown)
	return c
}

func (w *world) say(c *websocket.Conn, text string) {
	w.t.Helper()
	if err := c.Write(w.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) hear(c *websocket.Conn) string {
	w.t.Helper()
	_, data, err := c.Read(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// hello is a client's first message.
func hello(token string) string {
	return fmt.Sprintf(`{"type":"hello","session":"s1","token":%q}`, token)
}

// withRouter says what the router does.
func (w *world) withRouter(f func(context.Context, *websocket.Conn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.channel = f
}

func TestControlIsCarried(t *testing.T) {
	w := newWorld(t, nil)
	c := w.open()
	first := hello(w.token("ann", time.Hour))
	w.say(c, first)
	if got := w.hear(c); got != first {
		t.Errorf("the router heard %q", got)
	}
	for _, text := range []string{`{"type":"ping","n":1}`, strings.Repeat("a", protocol.MaxControlMessage)} {
		w.say(c, text)
		if got := w.hear(c); got != text {
			t.Errorf("%d bytes came back as %d", len(text), len(got))
		}
	}
	if n := w.gateway.addresses.taken(); n != 1 {
		t.Errorf("%d channels", n)
	}
	if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("close: %v", err)
	}
	w.until("the channel is gone", func() bool { return w.gateway.addresses.taken() == 0 && w.gateway.persons.taken() == 0 })
}

// TestExpiredTokenComesBack holds that a long meeting's channel can be opened
// anew, as at the router.
func TestExpiredTokenComesBack(t *testing.T) {
	w := newWorld(t, nil)
	c := w.open()
	w.say(c, hello(w.token("ann", -2*time.Hour)))
	w.hear(c)
}

func TestControlRefusals(t *testing.T) {
	w := newWorld(t, nil)
	called := make(chan struct{}, 16)
	w.withRouter(func(context.Context, *websocket.Conn) { called <- struct{}{} })
	for _, c := range []struct {
		name, first string
		want        protocol.Code
	}{
		{"forged token", hello(w.token("ann", time.Hour) + "x"), protocol.ProblemTokenInvalid},
		{"expired days ago", hello(w.token("ann", -48*time.Hour)), protocol.ProblemTokenExpired},
		{"no token", `{"type":"hello"}`, protocol.ProblemTokenInvalid},
		{"no hello", `{"type":"ping"}`, protocol.ProblemBadRequest},
		{"unknown", `{"type":"x"}`, protocol.ProblemBadRequest},
		{"garbage", "\x00\x01", protocol.ProblemBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := w.open()
			w.say(conn, c.first)
			var r protocol.Refusal
			if text := w.hear(conn); json.Unmarshal([]byte(text), &r) != nil || r.Problem.Code != c.want || !r.Fatal {
				t.Errorf("said %s, want %s", text, c.want)
			}
			if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
				t.Errorf("then %v", err)
			}
		})
	}
	t.Run("too long", func(t *testing.T) {
		conn := w.open()
		w.say(conn, strings.Repeat("a", protocol.MaxControlMessage+1))
		if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
			t.Errorf("%v", err)
		}
	})
	t.Run("binary", func(t *testing.T) {
		conn := w.open()
		_ = conn.Write(t.Context(), websocket.MessageBinary, []byte("x"))
		if text := w.hear(conn); !strings.Contains(text, string(protocol.ProblemBadRequest)) {
			t.Error(text)
		}
		_, _, _ = conn.Read(t.Context()) // its end
	})
	select {
	case <-called:
		t.Error("the router was called")
	default:
	}
	w.until("all are gone", func() bool { return w.gateway.addresses.taken() == 0 })
}

// TestRoutersEndIsPassedOn holds that a client learns how the router ended.
func TestRoutersEndIsPassedOn(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		name string
		ends func(*websocket.Conn)
		want websocket.StatusCode
	}{
		{"reason", func(c *websocket.Conn) { _ = c.Close(websocket.StatusPolicyViolation, "because") }, websocket.StatusPolicyViolation},
		{"private status", func(c *websocket.Conn) { _ = c.Close(4001, "because") }, 4001},
		{"broken", func(c *websocket.Conn) { _ = c.CloseNow() }, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.withRouter(func(ctx context.Context, conn *websocket.Conn) {
				_, data, _ := conn.Read(ctx)
				_ = conn.Write(ctx, websocket.MessageText, data)
				c.ends(conn)
			})
			conn := w.open()
			w.say(conn, hello(w.token("ann", time.Hour)))
			w.hear(conn)
			_, _, err := conn.Read(t.Context())
			var closed websocket.CloseError
			if websocket.CloseStatus(err) != c.want || errors.As(err, &closed) && closed.Reason != "because" {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("gone", func(t *testing.T) {
		w.router.Close()
		conn := w.open()
		w.say(conn, hello(w.token("ann", time.Hour)))
		if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
			t.Errorf("%v", err)
		}
	})
}

func TestChannelsAreLimited(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ChannelsPerAddress = perParticipant + 2 })
	token := w.token("ann", time.Hour)
	var conns []*websocket.Conn
	for range perParticipant {
		c := w.open()
		w.say(c, hello(token))
		w.hear(c)
		conns = append(conns, c)
	}
	c := w.open()
	w.say(c, hello(token))
	if text := w.hear(c); !strings.Contains(text, string(protocol.ProblemTunnelFull)) {
		t.Errorf("one participant too many times: %s", text)
	}
	_, _, _ = c.Read(t.Context()) // its end
	w.until("it is gone", func() bool { return w.gateway.addresses.taken() == perParticipant })
	for range 2 {
		c := w.open()
		w.say(c, hello(w.token("bob", time.Hour)))
		w.hear(c)
	}
	if status, _, body := w.ask("GET", protocol.PathGatewayControl+"?to="+url.QueryEscape(w.routerURL()), "", ""); status != 503 || !strings.Contains(body, "tunnel_full") {
		t.Errorf("one address too many times: %d %s", status, body)
	}
	_ = conns[0].CloseNow()
	w.until("there is room again", func() bool { return w.gateway.addresses.taken() == perParticipant+1 })
	c = w.open()
	w.say(c, hello(token))
	w.hear(c)
}

// TestSilentChannelsEnd holds that neither who opens a channel and says
// nothing, nor who falls silent later, keeps a place.
func TestSilentChannelsEnd(t *testing.T) {
	w := newWorld(t, nil)
	w.gateway.helloTimeout, w.gateway.silence = 50*time.Millisecond, 100*time.Millisecond
	for _, first := range []string{"", hello(w.token("ann", time.Hour))} {
		c := w.open()
		if first != "" {
			w.say(c, first)
			w.hear(c)
		}
		if _, _, err := c.Read(t.Context()); err == nil {
			t.Errorf("after %q something is said", first)
		}
		w.until("the channel is gone", func() bool { return w.gateway.addresses.taken() == 0 && w.gateway.persons.taken() == 0 })
	}
}

// TestRunEndsChannels holds that Run ends and waits for everything: goleak
// finds what is left.
func TestRunEndsChannels(t *testing.T) {
	w := newWorld(t, nil)
	running, silent := w.open(), w.open()
	w.say(running, hello(w.token("ann", time.Hour)))
	w.hear(running)
	stream := w.turnStream()
	w.stop()
	for name, c := range map[string]*websocket.Conn{"running": running, "silent": silent} {
		if _, _, err := c.Read(t.Context()); err == nil {
			t.Errorf("%s: still open", name)
		}
	}
	if _, err := stream.Read(make([]byte, 1)); err == nil {
		t.Error("TURN is still open")
	}
	if status := w.afterwards(); status != protocol.ProblemMMRUnavailable {
		t.Errorf("after the end: %v", status)
	}
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	w.gateway.ServeTURN(t.Context(), theirs) // returns at once
}

// afterwards asks for a control channel when Run has ended.
func (w *world) afterwards() protocol.Code {
	r, err := http.NewRequestWithContext(w.t.Context(), "GET", protocol.PathGatewayControl+"?to="+url.QueryEscape(w.routerURL()), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return protocol.ProblemOf(w.gateway.control(nil, r)).Code
}

// turnStream gives a TLS connection to the port, without ALPN as of browsers.
func (w *world) turnStream() net.Conn {
	w.t.Helper()
	c, err := tls.Dial("tcp", w.address, w.trusted)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestMediaByTURN joins through the gateway and sends to the router's media
// address with the credentials of the answer, on the port of the page.
func TestMediaByTURN(t *testing.T) {
	w := newWorld(t, nil)
	_, _, body := w.ask("POST", at(protocol.PathGatewayJoin, w.controller.URL), w.token("ann", time.Hour), "{}")
	var a protocol.JoinAnswer
	if err := json.Unmarshal([]byte(body), &a); err != nil || len(a.TURN) != 1 {
		t.Fatalf("%v in %s", err, body)
	}
	for name, password := range map[string]string{"right": a.TURN[0].Credential, "wrong": "x"} {
		client, err := turn.NewClient(&turn.ClientConfig{
			TURNServerAddr: w.address, Conn: turn.NewSTUNConn(w.turnStream()), Username: a.TURN[0].Username, Password: password,
			LoggerFactory: logging.NewDefaultLoggerFactory(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Listen(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		relay, err := client.Allocate()
		if name == "wrong" {
			if err == nil {
				t.Error("a wrong password was taken")
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := relay.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(advertised)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		if n, from, err := relay.ReadFrom(b); err != nil || string(b[:n]) != "hello" || from.String() != advertised.String() {
			t.Errorf("%q from %v, %v", b[:n], from, err)
		}
		if _, err := relay.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 8801}); err == nil {
			t.Error("a stranger was sent to")
		}
		_ = relay.Close()
	}
}

// FuzzWho holds that no hello but one with a token of ours is taken.
func FuzzWho(f *testing.F) {
	f.Add([]byte(hello("a.b.c")))
	f.Add([]byte(`{"type":"hello","token":null}`))
	f.Add([]byte(`{"type":"ping"}`))
	s := New(DefaultConfig(), Deps{Keys: token.NewVerifier()})
	f.Fuzz(func(t *testing.T, raw []byte) {
		who, err := s.who(raw, time.Now())
		var p *protocol.Problem
		if who != "" || !errors.As(err, &p) {
			t.Errorf("%q, %v", who, err)
		}
	})
}
