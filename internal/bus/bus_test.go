package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"causeway/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waits for something that must happen; it is no measurement.
const patience = 30 * time.Second

type word struct {
	Text string `json:"text"`
}

// inProcess starts a hub without a network and connects to it.
func inProcess(t *testing.T) (*Server, *Conn) {
	t.Helper()
	s, err := StartHub(HubConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s, connectTo(t, s)
}

func connectTo(t *testing.T, s *Server) *Conn {
	t.Helper()
	c, err := s.Connect(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing arrived")
		panic("unreachable")
	}
}

func TestPublishInOrder(t *testing.T) {
	s, a := inProcess(t)
	b := connectTo(t, s)
	got := make(chan string, 200)
	sub, err := Subscribe(b, "zone.*.state", func(subject string, w word) { got <- subject + "=" + w.Text })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	for i := range 100 {
		if err := Publish(a, "zone.z.state", word{fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if g, w := receive(t, got), fmt.Sprintf("zone.z.state=%d", i); g != w {
			t.Fatalf("message %d is %q, want %q", i, g, w)
		}
	}
}

func TestUndecodableIsDropped(t *testing.T) {
	_, c := inProcess(t)
	got := make(chan word, 1)
	sub, err := Subscribe(c, "s", func(_ string, w word) { got <- w })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	for _, raw := range []string{"{", "[]", "\xff", `{"text":1}`} {
		if err := c.nc.Publish("s", []byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Publish(c, "s", word{"good"}); err != nil {
		t.Fatal(err)
	}
	if w := receive(t, got); w.Text != "good" {
		t.Fatalf("got %q", w.Text)
	}
}

func TestPublishNothing(t *testing.T) {
	_, c := inProcess(t)
	got := make(chan protocol.Empty, 1)
	sub, err := Subscribe(c, "ask", func(_ string, e protocol.Empty) { got <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	if err := c.nc.Publish("ask", nil); err != nil { // as an outside tool may
		t.Fatal(err)
	}
	receive(t, got)
}

func TestUnencodable(t *testing.T) {
	_, c := inProcess(t)
	if err := Publish(c, "s", func() {}); err == nil {
		t.Error("published a function")
	}
	if _, err := Request[word](t.Context(), c, "s", func() {}); err == nil {
		t.Error("asked with a function")
	}
}

func TestRequest(t *testing.T) {
	s, c := inProcess(t)
	sub, err := Answer(connectTo(t, s), "echo", "", func(_ context.Context, w word) (word, error) {
		switch w.Text {
		case "problem":
			return word{}, fmt.Errorf("admit: %w", protocol.NewProblem(protocol.ProblemZoneFull, "all 3 routers"))
		case "failure":
			return word{}, errors.New("secret detail")
		}
		return word{w.Text + "!"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()

	a, err := Request[word](t.Context(), c, "echo", word{"hello"})
	if err != nil || a.Text != "hello!" {
		t.Errorf("answer %q, %v", a.Text, err)
	}
	_, err = Request[word](t.Context(), c, "echo", word{"problem"})
	var p *protocol.Problem
	if !errors.As(err, &p) || p.Code != protocol.ProblemZoneFull || p.Detail != "all 3 routers" {
		t.Errorf("problem came as %#v", err)
	}
	_, err = Request[word](t.Context(), c, "echo", word{"failure"})
	if !errors.As(err, &p) || p.Code != protocol.ProblemInternal || strings.Contains(fmt.Sprintf("%#v", p), "secret") {
		t.Errorf("failure came as %#v", err)
	}
	if _, err = Request[word](t.Context(), c, "echo", 7); !errors.As(err, &p) || p.Code != protocol.ProblemBadRequest {
		t.Errorf("bad request came as %v", err)
	}
	if _, err = Request[int](t.Context(), c, "echo", word{"x"}); err == nil || !strings.Contains(err.Error(), "decode answer") {
		t.Errorf("answer of another type: %v", err)
	}
}

func TestRequestNobodyThere(t *testing.T) {
	s, c := inProcess(t)
	if _, err := Request[word](t.Context(), c, "nobody", word{}); !errors.Is(err, ErrNoResponder) {
		t.Errorf("nobody there: %v", err)
	}
	sub, err := Answer(c, "somebody", "", func(_ context.Context, w word) (word, error) { return w, nil })
	if err != nil {
		t.Fatal(err)
	}
	sub.Stop()
	if _, err := Request[word](t.Context(), c, "somebody", word{}); !errors.Is(err, ErrNoResponder) {
		t.Errorf("after Stop: %v", err)
	}
	s.Stop()
	if _, err := Request[word](t.Context(), c, "somebody", word{}); !errors.Is(err, ErrNoResponder) {
		t.Errorf("server stopped: %v", err)
	}
	c.Close()
	if _, err := Request[word](t.Context(), c, "somebody", word{}); !errors.Is(err, ErrNoResponder) {
		t.Errorf("connection closed: %v", err)
	}
	if err := Publish(c, "somebody", word{}); err == nil {
		t.Error("published on a closed connection")
	}
}

func TestAnswerEndsWithItsAsker(t *testing.T) {
	_, c := inProcess(t)
	ended, release := make(chan error, 1), make(chan struct{})
	sub, err := Answer(c, "slow", "", func(ctx context.Context, _ word) (word, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		<-release
		return word{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := Request[word](ctx, c, "slow", word{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("request: %v", err)
	}
	if err := receive(t, ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("answer's context: %v", err)
	}
	close(release)
}

func TestAnswerRefusesWhenBusy(t *testing.T) {
	_, c := inProcess(t)
	entered, release := make(chan struct{}), make(chan struct{})
	sub, err := Answer(c, "busy", "", func(context.Context, word) (word, error) {
		entered <- struct{}{}
		<-release
		return word{"done"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, maxRequests)
	for range maxRequests {
		go func() {
			_, err := Request[word](context.Background(), c, "busy", word{})
			results <- err
		}()
	}
	for range maxRequests {
		receive(t, entered)
	}
	_, err = Request[word](t.Context(), c, "busy", word{})
	if !errors.Is(err, &protocol.Problem{Code: protocol.ProblemRateLimited}) {
		t.Errorf("one more: %v", err)
	}
	close(release)
	for range maxRequests {
		if err := receive(t, results); err != nil {
			t.Error(err)
		}
	}
	sub.Stop()
}

func TestStopWaitsForHandlers(t *testing.T) {
	_, c := inProcess(t)
	entered, finished := make(chan struct{}), false
	sub, err := Answer(c, "s", "", func(ctx context.Context, _ word) (word, error) {
		close(entered)
		<-ctx.Done() // Stop ends it
		finished = true
		return word{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.nc.PublishMsg(&nats.Msg{Subject: "s", Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	receive(t, entered)
	sub.Stop()
	if !finished {
		t.Error("Stop returned before the handler")
	}
}

func TestQueues(t *testing.T) {
	s, c := inProcess(t)
	got := make(chan string, 10)
	for _, name := range []string{"a", "b", "c"} {
		sub, err := Answer(connectTo(t, s), "work", "crew", func(_ context.Context, w word) (word, error) {
			got <- name
			return word{name}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Stop()
	}
	for range 5 {
		a, err := Request[word](t.Context(), c, "work", word{})
		if err != nil {
			t.Fatal(err)
		}
		if by := receive(t, got); by != a.Text {
			t.Errorf("answered by %s, worked by %s", a.Text, by)
		}
	}
	if len(got) != 0 {
		t.Error("a request went to two members of the queue")
	}
}

func TestBadConfig(t *testing.T) {
	if _, err := Dial(DialConfig{}); err == nil {
		t.Error("dialled nowhere")
	}
	if _, err := DialOutside(OutsideConfig{}); err == nil {
		t.Error("dialled nowhere outside")
	}
	if _, err := DialOutside(OutsideConfig{URLs: []string{"tls://a b:1"}}); err == nil {
		t.Error("dialled a bad address")
	}
	router := newSystem(t).trust("zone/z/mmr/m")
	if s, err := StartLeaf(LeafConfig{Trust: router}); err == nil {
		s.Stop()
		t.Error("a router is a controller")
	}
}
