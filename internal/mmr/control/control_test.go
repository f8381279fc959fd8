package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"causeway/protocol"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipeListener makes a server and its clients meet without a network, so that
// both can live in a synctest bubble.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// house is a control server with one session behind it.
type house struct {
	t        *testing.T
	listener *pipeListener
	stop     context.CancelFunc
	session  *recorder
	busy     time.Duration // what a hello and each message take to be dealt with
}

// recorder is a Session that records.
type recorder struct {
	busy     *time.Duration
	mu       sync.Mutex
	channel  *Channel
	received []protocol.ControlMessage
	detached int
}

func (r *recorder) Receive(_ context.Context, _ *Channel, m protocol.ControlMessage) {
	time.Sleep(*r.busy)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received = append(r.received, m)
}

func (r *recorder) Detached(*Channel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.detached++
}

func (r *recorder) state() (received []protocol.ControlMessage, detached int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.received, r.detached
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, listener: newPipeListener()}
	h.session = &recorder{busy: &h.busy}
	s := &Server{
		Hello: func(_ context.Context, ch *Channel, hello protocol.Hello) (Session, error) {
			if hello.Session != "good" {
				return nil, protocol.NewProblem(protocol.ProblemSessionUnknown, "")
			}
			time.Sleep(h.busy)
			h.session.channel = ch
			ch.Send(protocol.Welcome{Participant: "me"})
			return h.session, nil
		},
		NowMS: func() float64 { return 42 },
		Log:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	var served sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		defer served.Done()
		if serve := s.Upgrade(w, r); serve != nil {
			served.Go(func() { serve(ctx) })
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(h.listener) }()
	t.Cleanup(func() {
		stop()
		served.Wait()
		_ = server.Close()
		<-done
	})
	return h
}

// client is a WebSocket client of the house.
type client struct {
	t  *testing.T
	ws *websocket.Conn
}

func (h *house) dial() *client {
	h.t.Helper()
	ws, _, err := websocket.Dial(context.Background(), "ws://router"+protocol.PathControl, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: h.listener.dial, DisableKeepAlives: true}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { ws.CloseNow() })
	return &client{h.t, ws}
}

func (c *client) say(text string) {
	c.t.Helper()
	if err := c.ws.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) hear() (protocol.ControlMessage, error) {
	_, data, err := c.ws.Read(context.Background())
	if err != nil {
		return nil, err
	}
	return protocol.DecodeFromRouter(data)
}

func (c *client) mustHear() protocol.ControlMessage {
	c.t.Helper()
	m, err := c.hear()
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// hello says a good hello and takes the welcome.
func (c *client) hello() {
	c.t.Helper()
	c.say(`{"type":"hello","session":"good","token":"t"}`)
	if m, ok := c.mustHear().(*protocol.Welcome); !ok || m.Participant != "me" {
		c.t.Fatalf("got %#v, want a welcome", m)
	}
}

// wantClosed reads until the channel is closed, and checks how.
func (c *client) wantClosed(code websocket.StatusCode) {
	c.t.Helper()
	for {
		if _, err := c.hear(); err != nil {
			if got := websocket.CloseStatus(err); got != code {
				c.t.Errorf("closed with %v (%v), want %v", got, err, code)
			}
			return
		}
	}
}

func TestMessagesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.dial()
		c.hello()
		c.say(`{"type":"send_chat","text":"one"}`)
		c.say(`{"type":"ping","n":7}`)
		if m, ok := c.mustHear().(*protocol.Pong); !ok || m.N != 7 || m.NowMS != 42 {
			t.Errorf("got %#v, want pong 7", m)
		}
		c.say(`{"type":"leave"}`)
		synctest.Wait()
		received, _ := h.session.state()
		if len(received) != 2 || received[0].ControlType() != "send_chat" || received[1].ControlType() != "leave" {
			t.Errorf("session received %v", received)
		}
		_ = c.ws.Close(websocket.StatusNormalClosure, "")
		synctest.Wait()
		if _, detached := h.session.state(); detached != 1 {
			t.Errorf("detached %d times, want once", detached)
		}
	})
}

func TestRefusedHello(t *testing.T) {
	for name, c := range map[string]struct {
		first string
		code  protocol.Code
	}{
		"unknown session": {`{"type":"hello","session":"bad"}`, protocol.ProblemSessionUnknown},
		"not a hello":     {`{"type":"leave"}`, protocol.ProblemBadRequest},
		"not JSON":        {`{`, protocol.ProblemBadRequest},
		"unknown type":    {`{"type":"welcome"}`, protocol.ProblemBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newHouse(t).dial()
				client.say(c.first)
				m, ok := client.mustHear().(*protocol.Refusal)
				if !ok || !m.Fatal || m.Problem.Code != c.code {
					t.Errorf("got %#v, want fatal %s", m, c.code)
				}
				client.wantClosed(websocket.StatusPolicyViolation)
			})
		})
	}
}

func TestSilenceClosesTheChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.dial()
		c.hello()
		for range 3 {
			time.Sleep(SilenceTimeout - time.Second) // virtual time
			c.say(`{"type":"ping"}`)
			c.mustHear()
		}
		if _, detached := h.session.state(); detached != 0 {
			t.Error("closed although the client pinged")
		}
		time.Sleep(SilenceTimeout + time.Second)
		synctest.Wait()
		if _, detached := h.session.state(); detached != 1 {
			t.Error("still open after silence")
		}
	})
}

// A router that takes long to deal with what a client says does not take that
// for the client's silence.
func TestOwnSlownessIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.busy = HelloTimeout + SilenceTimeout
		c := h.dial()
		c.hello()
		c.say(`{"type":"leave"}`)
		c.say(`{"type":"ping"}`)
		if _, pong := c.mustHear().(*protocol.Pong); !pong {
			t.Error("no pong")
		}
		if received, detached := h.session.state(); len(received) != 1 || detached != 0 {
			t.Errorf("%d messages received, detached %d times", len(received), detached)
		}
	})
}

func TestNoHelloInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newHouse(t).dial()
		start := time.Now()
		if _, err := c.hear(); err == nil {
			t.Fatal("heard something before the hello")
		}
		if took := time.Since(start); took != HelloTimeout {
			t.Errorf("closed after %v", took)
		}
	})
}

func TestGarbageIsRefusedThenCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.dial()
		c.hello()
		refused := 0
		for _, garbage := range []string{`garbage`, `{"type":"nope"}`, `[]`, `{"type":"want","slots":7}`, `{"type":"hello","session":"good"}`} {
			c.say(garbage)
			m, ok := c.mustHear().(*protocol.Refusal)
			if !ok || m.Fatal || m.Problem.Code != protocol.ProblemBadRequest {
				t.Errorf("%s: got %#v, want a refusal", garbage, m)
			}
			refused++
		}
		for range MaxStrikes/5 - refused {
			c.say(`garbage`)
		}
		c.wantClosed(websocket.StatusPolicyViolation)
	})
}

func TestBinaryAndHugeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newHouse(t).dial()
		c.hello()
		_ = c.ws.Write(context.Background(), websocket.MessageBinary, []byte{0, 1, 2})
		if m, ok := c.mustHear().(*protocol.Refusal); !ok || m.Fatal {
			t.Errorf("binary: got %#v, want a refusal", m)
		}
		go func() {
			_ = c.ws.Write(context.Background(), websocket.MessageText, []byte(strings.Repeat(" ", protocol.MaxControlMessage+1)))
		}()
		c.wantClosed(websocket.StatusMessageTooBig)
	})
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.dial()
		c.hello()
		heard := make(chan protocol.Code, 1000)
		go func() {
			defer close(heard)
			for {
				m, err := c.hear()
				if err != nil {
					return
				}
				if r, ok := m.(*protocol.Refusal); ok {
					heard <- r.Problem.Code
				}
			}
		}()
		for range MessageBurst + 10 {
			c.say(`{"type":"send_chat","text":"x"}`)
		}
		synctest.Wait()
		if received, _ := h.session.state(); len(received) != MessageBurst {
			t.Errorf("%d messages came through, want %d", len(received), MessageBurst)
		}
		if len(heard) != 10 || <-heard != protocol.ProblemRateLimited {
			t.Errorf("%d refusals", len(heard)+1)
		}
		_ = c.ws.CloseNow()
	})
}

func TestSlowClientIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.dial()
		c.hello()
		for range MaxQueued + 2 { // the client reads nothing: a pipe takes nothing
			h.session.channel.Send(protocol.Chat{Text: "x"})
		}
		c.wantClosed(websocket.StatusPolicyViolation)
		synctest.Wait()
		if _, detached := h.session.state(); detached != 1 {
			t.Error("session not detached")
		}
	})
}

func TestStuckClientIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.dial()
		c.hello()
		h.session.channel.Send(protocol.Chat{Text: "x"})
		time.Sleep(WriteTimeout + 7*time.Second)
		synctest.Wait()
		if _, detached := h.session.state(); detached != 1 {
			t.Error("still there although it took no message")
		}
	})
}

func TestStopSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.dial()
		c.hello()
		h.stop()
		c.wantClosed(websocket.StatusGoingAway)
	})
}

func TestEndFlushesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.dial()
		c.hello()
		h.session.channel.Send(protocol.Chat{Text: "last words"})
		h.session.channel.End(protocol.Farewell{Reason: protocol.FarewellLeft})
		h.session.channel.Send(protocol.Chat{Text: "too late"})
		if m, ok := c.mustHear().(*protocol.Chat); !ok || m.Text != "last words" {
			t.Errorf("got %#v", m)
		}
		if m, ok := c.mustHear().(*protocol.Farewell); !ok || m.Reason != protocol.FarewellLeft {
			t.Errorf("got %#v", m)
		}
		c.wantClosed(websocket.StatusNormalClosure)
	})
}

func TestOnlyTheLatestSpeakersAndSyncWait(t *testing.T) {
	ch := NewDetached()
	encode := func(m protocol.ControlMessage) []byte {
		data, err := protocol.EncodeControl(m)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	ch.SendSpeakers(encode(protocol.Speakers{Speakers: []protocol.Speaker{{Participant: "a"}}}))
	ch.SendSync(protocol.Sync{NowMS: 1, Slots: []protocol.SlotSync{{Slot: "a1", RTP: 1}, {Slot: "v1", RTP: 1}}})
	ch.Send(protocol.Chat{Text: "x"})
	ch.SendSpeakers(encode(protocol.Speakers{Speakers: []protocol.Speaker{{Participant: "b"}}}))
	ch.SendSync(protocol.Sync{NowMS: 2, Slots: []protocol.SlotSync{{Slot: "a1", RTP: 2}, {Slot: "c1", RTP: 2}}})
	out, _ := ch.Drain()
	if len(out) != 3 {
		t.Fatalf("%d messages wait, want 3: %s", len(out), out)
	}
	var speakers protocol.Speakers
	var sync protocol.Sync
	if err := errors.Join(json.Unmarshal(out[1], &speakers), json.Unmarshal(out[2], &sync)); err != nil {
		t.Fatal(err)
	}
	if speakers.Speakers[0].Participant != "b" {
		t.Errorf("old speakers: %s", out[1])
	}
	if len(sync.Slots) != 3 || sync.NowMS != 2 || sync.Slots[0].RTP != 2 || sync.Slots[1].RTP != 1 {
		t.Errorf("sync: %s", out[2])
	}
}

// TestEndedChannelIsSoonGone looks that a client which reads slowly, but does
// read, cannot hold a channel that has ended for long.
func TestEndedChannelIsSoonGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.dial()
		c.hello()
		for range 100 {
			h.session.channel.Send(protocol.Chat{Text: "much to read"})
		}
		h.session.channel.End(nil)
		start := time.Now()
		slowly := time.NewTicker(WriteTimeout - time.Second)
		defer slowly.Stop()
		heard := 0
		for {
			<-slowly.C
			if _, _, err := c.ws.Read(t.Context()); err != nil {
				break
			}
			heard++
		}
		if took := time.Since(start); took > 4*WriteTimeout || heard >= 100 {
			t.Errorf("%d messages were read in %v", heard, took)
		}
	})
}

func TestIdleChannelHasNoWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.dial()
		c.hello()
		for range 2 {
			synctest.Wait()
			ch := h.session.channel
			ch.mu.Lock()
			if ch.writing {
				t.Error("a writer of nothing")
			}
			ch.mu.Unlock()
			ch.Send(protocol.Chat{Text: "x"})
			if _, ok := c.mustHear().(*protocol.Chat); !ok {
				t.Error("nothing was written")
			}
		}
	})
}
