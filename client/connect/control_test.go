package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"causeway/protocol"
)

const controlURL = "wss://mmr-1.test/mmr/v1/control"

// router serves a control channel: session is run once the socket is open.
func (n *internet) router(session func(ctx context.Context, c *websocket.Conn)) *host {
	return n.serve("mmr-1.test:443", 20*ms, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead { // a knock
			w.WriteHeader(http.StatusUpgradeRequired)
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			n.t.Errorf("accept: %v", err)
			return
		}
		defer c.CloseNow()
		session(n.ctx, c) // the request's context does not end with a hijacked connection
	}), serving{})
}

func tell(ctx context.Context, c *websocket.Conn, m protocol.ControlMessage) {
	if b, err := protocol.EncodeControl(m); err == nil {
		_ = c.Write(ctx, websocket.MessageText, b)
	}
}

func hear(ctx context.Context, c *websocket.Conn) protocol.ControlMessage {
	_, b, err := c.Read(ctx)
	if err != nil {
		return nil
	}
	m, _ := protocol.DecodeFromClient(b)
	return m
}

// welcomes takes the hello and welcomes, then goes on with rest.
func welcomes(rest func(ctx context.Context, c *websocket.Conn)) func(context.Context, *websocket.Conn) {
	return func(ctx context.Context, c *websocket.Conn) {
		h, _ := hear(ctx, c).(*protocol.Hello)
		if h == nil || *h != (protocol.Hello{Session: "s", Token: "t"}) {
			tell(ctx, c, protocol.Refusal{Problem: *protocol.NewProblem(protocol.ProblemSessionUnknown, ""), Fatal: true})
			return
		}
		tell(ctx, c, protocol.Welcome{Participant: "p1"})
		rest(ctx, c)
	}
}

// pongs answers pings until the channel ends, and hands on the rest.
func pongs(others chan<- protocol.ControlMessage) func(context.Context, *websocket.Conn) {
	return func(ctx context.Context, c *websocket.Conn) {
		for {
			switch m := hear(ctx, c).(type) {
			case nil:
				return
			case *protocol.Ping:
				tell(ctx, c, protocol.Pong{N: m.N})
			default:
				if others != nil {
					others <- m
				}
			}
		}
	}
}

func dialControl(t *testing.T, n *internet, hello protocol.Hello) (*Control, *protocol.Welcome, protocol.Report, error) {
	t.Helper()
	rec := NewRecorder(time.Now())
	rec.Begin(protocol.PhaseMMR, time.Now())
	c, w, err := OpenControl(t.Context(), n.network(), controlURL, hello, rec)
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, w, rec.Report(), err
}

var hello = protocol.Hello{Session: "s", Token: "t"}

func TestControl(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		others := make(chan protocol.ControlMessage, 16)
		n.router(welcomes(func(ctx context.Context, c *websocket.Conn) {
			tell(ctx, c, protocol.Chat{Text: "hi"})
			_ = c.Write(ctx, websocket.MessageText, []byte(`{"type":"from_the_future","x":1}`))
			tell(ctx, c, protocol.Muted{By: "p2"})
			pongs(others)(ctx, c)
		}))
		c, w, report, err := dialControl(t, n, hello)
		if err != nil {
			t.Fatal(err)
		}
		if w.Participant != "p1" {
			t.Errorf("welcome %+v", w)
		}
		a := report.Phases[0].Attempts[0]
		if !report.Phases[0].OK || a.Transport != "wss" || a.ConnectMS != 20 || a.TLSMS != 20 || a.RTTMS != 20 {
			t.Errorf("reported %+v", report.Phases)
		}
		for _, want := range []string{"*protocol.Chat", "*protocol.Muted"} {
			m, err := c.Receive(t.Context())
			if err != nil || fmt.Sprintf("%T", m) != want {
				t.Fatalf("received %T, %v; want %s", m, err, want)
			}
		}
		if err := c.Send(protocol.SendChat{Text: "hello"}); err != nil {
			t.Fatal(err)
		}
		if m, ok := (<-others).(*protocol.SendChat); !ok || m.Text != "hello" {
			t.Errorf("router heard %+v", m)
		}
		wait(t.Context(), time.Minute)
		if c.RTT() != 20*ms || c.Err() != nil {
			t.Errorf("after a minute: round trip %v, %v", c.RTT(), c.Err())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) || c.Err() != nil {
			t.Errorf("Receive whose context ended: %v, channel %v", err, c.Err())
		}
	})
}

func TestControlCloses(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		others := make(chan protocol.ControlMessage, 16)
		n.router(welcomes(pongs(others)))
		c, _, _, err := dialControl(t, n, hello)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Send(protocol.Leave{}); err != nil {
			t.Fatal(err)
		}
		c.Close()
		c.Close()
		if _, ok := (<-others).(*protocol.Leave); !ok {
			t.Error("what was queued at Close was not sent")
		}
		if _, err := c.Receive(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Receive after Close: %v", err)
		}
		if err := c.Send(protocol.Leave{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send after Close: %v", err)
		}
		<-c.Done()
	})
}

func TestControlIsDead(t *testing.T) {
	forever := func(ctx context.Context, c *websocket.Conn) { <-ctx.Done() }
	for _, c := range []struct {
		name string
		rest func(ctx context.Context, c *websocket.Conn)
		took time.Duration
		say  string
	}{
		{"nothing heard", forever, silenceLimit, "the router did not answer in time"},
		{"router gone", func(context.Context, *websocket.Conn) {}, 0, "the router closed the connection"},
		{"garbage", func(ctx context.Context, c *websocket.Conn) {
			_ = c.Write(ctx, websocket.MessageText, []byte("{"))
			forever(ctx, c)
		}, 0, "the router answered, but not as a server"},
		{"too long", func(ctx context.Context, c *websocket.Conn) {
			_ = c.Write(ctx, websocket.MessageText, make([]byte, protocol.MaxControlMessage+1))
			forever(ctx, c)
		}, 0, "message too big"},
	} {
		bubble(t, c.name, func(t *testing.T, n *internet) {
			n.router(welcomes(c.rest))
			ctl, _, _, err := dialControl(t, n, hello)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err = ctl.Receive(t.Context())
			p := protocol.ProblemOf(err)
			if p.Code != protocol.ProblemConnectionLost || !strings.Contains(p.Detail, c.say) {
				t.Errorf("problem %v", p)
			}
			if took := time.Since(start); took < c.took || took > c.took+100*ms {
				t.Errorf("took %v, want %v", took, c.took)
			}
			if err := ctl.Send(protocol.Leave{}); protocol.ProblemOf(err).Code != protocol.ProblemConnectionLost {
				t.Errorf("Send: %v", err)
			}
		})
	}
}

// TestAbortedControl: that the network went is not put down to the router.
func TestAbortedControl(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		n.router(welcomes(func(ctx context.Context, _ *websocket.Conn) { <-ctx.Done() }))
		ctl, _, _, err := dialControl(t, n, hello)
		if err != nil {
			t.Fatal(err)
		}
		ctl.Abort()
		_, err = ctl.Receive(t.Context())
		if p := protocol.ProblemOf(err); p.Code != protocol.ProblemConnectionLost || p.Detail != "the network that it went by is gone" {
			t.Errorf("problem %v", p)
		}
	})
}

func TestControlIsNotOpened(t *testing.T) {
	refuse := func(m protocol.ControlMessage) func(*internet) {
		return func(n *internet) {
			n.router(func(ctx context.Context, c *websocket.Conn) {
				hear(ctx, c)
				tell(ctx, c, m)
				<-ctx.Done()
			})
		}
	}
	answer := func(h http.HandlerFunc) func(*internet) {
		return func(n *internet) { n.serve("mmr-1.test:443", 20*ms, h, serving{}) }
	}
	for _, c := range []struct {
		name string
		set  func(*internet)
		code protocol.Code
		say  string
	}{
		{
			"unknown session", refuse(protocol.Refusal{Problem: *protocol.NewProblem(protocol.ProblemSessionUnknown, ""), Fatal: true}),
			protocol.ProblemSessionUnknown, "",
		},
		{"farewell at once", refuse(protocol.Farewell{Reason: protocol.FarewellEnded}), protocol.ProblemControlFailed, "farewell at once (ended)"},
		{"something else", refuse(protocol.Chat{}), protocol.ProblemControlFailed, "chat instead of welcome"},
		{"silence", func(n *internet) {
			n.router(func(ctx context.Context, _ *websocket.Conn) { <-ctx.Done() })
		}, protocol.ProblemControlFailed, "did not answer in time"},
		{"garbage", func(n *internet) {
			n.router(func(ctx context.Context, c *websocket.Conn) {
				_ = c.Write(ctx, websocket.MessageBinary, []byte{0, 1, 2})
				<-ctx.Done()
			})
		}, protocol.ProblemControlFailed, "not as a server of this system"},
		{"refused", func(n *internet) { n.add("mmr-1.test:443", &host{dialErr: syscall.ECONNREFUSED}) }, protocol.ProblemControlFailed, "mmr-1.test refused the connection"},
		{
			"no WebSocket", answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }),
			protocol.ProblemControlFailed, "(403 Forbidden, no WebSocket)",
		},
		{"a problem", answer(func(w http.ResponseWriter, _ *http.Request) {
			protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemTokenExpired, ""))
		}), protocol.ProblemTokenExpired, ""},
		{"certificate", func(n *internet) {
			n.serve("mmr-1.test:443", 20*ms, http.NotFoundHandler(), serving{name: "other.test"})
		}, protocol.ProblemCertificate, "for another name"},
	} {
		bubble(t, c.name, func(t *testing.T, n *internet) {
			c.set(n)
			_, _, report, err := dialControl(t, n, hello)
			p := protocol.ProblemOf(err)
			if p.Code != c.code || !strings.Contains(p.Detail, c.say) {
				t.Errorf("problem %v", p)
			}
			ph := report.Phases[0]
			if ph.OK || ph.Error == nil || ph.Error.Code != c.code || ph.Attempts[0].OK || ph.Attempts[0].Error == "" {
				t.Errorf("reported %+v", ph)
			}
		})
	}
}

// What is not fetched keeps the router waiting; it is not taken for silence.
func TestControlWithASlowReader(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		const many = 3 * controlQueue
		n.router(welcomes(func(ctx context.Context, c *websocket.Conn) {
			for i := range many {
				tell(ctx, c, protocol.Chat{ID: fmt.Sprint(i)})
			}
			pongs(nil)(ctx, c)
		}))
		c, _, _, err := dialControl(t, n, hello)
		if err != nil {
			t.Fatal(err)
		}
		wait(t.Context(), time.Minute)
		for i := range many {
			m, err := c.Receive(t.Context())
			if chat, ok := m.(*protocol.Chat); !ok || chat.ID != fmt.Sprint(i) {
				t.Fatalf("message %d: %+v, %v", i, m, err)
			}
		}
	})
}

// A network that takes nothing ends the channel rather than the memory.
func TestControlThatCannotSend(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		n.router(welcomes(pongs(nil)))
		c, _, _, err := dialControl(t, n, hello)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 * controlQueue { // the writer does not run meanwhile, or keeps up
			if err = c.Send(protocol.SendChat{Text: "x"}); err != nil {
				break
			}
		}
		synctest.Wait()
		if err != nil && !errors.Is(err, ErrSlow) {
			t.Errorf("Send: %v", err)
		}
	})
	full := &Control{out: make(chan protocol.ControlMessage)}
	full.ctx, full.cancel = context.WithCancelCause(context.Background())
	if err := full.Send(protocol.Leave{}); !errors.Is(err, ErrSlow) || full.Err() == nil {
		t.Errorf("full queue: %v", err)
	}
}
