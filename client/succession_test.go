package client

import (
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"causeway/protocol"
)

// hears waits until more sound and pictures than so far have come.
func hears(t *testing.T, s *sink, n int) {
	t.Helper()
	s.mu.Lock()
	before := len(s.frames)
	s.mu.Unlock()
	s.await(t, "more frames", func(list []Frame) bool {
		return pictures(list[before:]) >= n && len(list)-before-pictures(list[before:]) >= n
	})
}

// After `move` the participant is at another router, and of the sound nothing
// is lost and nothing comes twice, nor of the pictures.
func TestMove(t *testing.T) {
	f := newFakeSystem(t)
	s := newSink()
	m := join(t, f, Options{Feed: TestCard(), Receive: s.take})
	hears(t, s, 25)
	f.broadcast(protocol.Move{DeadlineMS: 30_000, Reason: protocol.ResumeDrain})
	awaitEvent(t, m, Moving)
	moved := awaitEvent(t, m, Moved)
	t.Log(moved)
	f.broadcastTo("s1", protocol.Farewell{Reason: protocol.FarewellResumed})
	hears(t, s, 60) // past the end of the overlap
	f.mu.Lock()
	joins := f.joins
	f.mu.Unlock()
	if len(joins) < 2 || joins[1].Resume == nil || joins[1].Resume.Reason != protocol.ResumeDrain || joins[1].Resume.Session != "s1" {
		t.Fatalf("joins %+v", joins)
	}
	m.Leave()
	if err := m.Err(); err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	checkUnbroken(t, s.frames, protocol.Mic, 20*time.Millisecond)
	checkUnbroken(t, s.frames, protocol.Camera, 40*time.Millisecond)
}

// checkUnbroken checks that every frame of the test card came once and in
// order, but for a few where the machine is so busy that one session stalls
// (TestSplice has it exactly), and logs how far off their times are.
func checkUnbroken(t *testing.T, frames []Frame, source protocol.Source, step time.Duration) {
	t.Helper()
	when := feedTimes(t)
	var last time.Duration
	var captured time.Time
	n, odd, known := 0, 0, false
	widest := time.Duration(0)
	for _, f := range frames {
		if f.Source != source {
			continue
		}
		at, ok := when[string(f.Data)]
		switch {
		case !ok:
			t.Fatalf("a frame of %s that was never sent", source)
		case at < 0: // one of several that are alike
			at = last + step
		}
		if known && at != (last+step)%testCardLength {
			t.Logf("%s: the frame of %v follows on that of %v", source, at, last)
			odd++
		}
		if known {
			widest = max(widest, (f.Captured.Sub(captured) - step).Abs())
		}
		last, known, captured = at, true, f.Captured
		n++
	}
	t.Logf("%s: %d frames, their times at most %v off", source, n, widest)
	if n < 60 || odd > 5 {
		t.Errorf("%s: only %d frames, or %d out of place", source, n, odd)
	}
}

// A router that says nothing at all, on no connection, is left within
// seconds; whoever is shown, and what is wanted, stays as it was.
func TestFrozenRouter(t *testing.T) {
	f := newFakeSystem(t)
	s := newSink()
	m := join(t, f, Options{Feed: TestCard(), Receive: s.take})
	if err := m.RaiseHand(true); err != nil {
		t.Fatal(err)
	}
	hears(t, s, 10)
	f.freeze()
	lost := awaitEvent(t, m, Reconnecting)
	back := awaitEvent(t, m, Reconnected)
	t.Logf("noticed, then back after %v: %s", back.At.Sub(lost.At), back)
	hears(t, s, 10)
	f.mu.Lock()
	joins, said := f.joins, f.said
	f.mu.Unlock()
	if len(joins) < 2 || joins[1].Resume == nil || joins[1].Resume.Reason != protocol.ResumeDead {
		t.Fatalf("joins %+v", joins)
	}
	i := slices.IndexFunc(said, func(m protocol.ControlMessage) bool {
		h, ok := m.(*protocol.Hello)
		return ok && h.Session == "s2"
	})
	var hand, want bool
	for _, msg := range said[i:] {
		switch msg := msg.(type) {
		case *protocol.SetState:
			hand = hand || *msg.HandRaised
		case *protocol.Want:
			want = want || len(msg.Slots) == 1 && msg.Slots[0].Participant == "echo"
		}
	}
	if !hand || !want {
		t.Errorf("it said %v (hand %v, want %v)", said[i:], hand, want)
	}
	for { // nobody has gone for those who are left
		select {
		case e := <-m.Events():
			if e.Kind == Disappeared {
				t.Errorf("event %v", e)
			}
			continue
		default:
		}
		break
	}
}

// A router that was only slow is stayed with.
func TestSlowRouter(t *testing.T) {
	f := newFakeSystem(t)
	s := newSink()
	m := join(t, f, Options{Feed: TestCard(), Receive: s.take})
	hears(t, s, 10)
	f.setRefusal(protocol.PathJoin, protocol.NewProblem(protocol.ProblemMMRUnavailable, ""))
	thaw := f.freeze()
	awaitEvent(t, m, Reconnecting)
	thaw()
	awaitEvent(t, m, Reconnected)
	hears(t, s, 10)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.joins) != 1 {
		t.Errorf("joins %+v", f.joins)
	}
}

// Another address of this machine: the same session goes on.
func TestNetworkChanges(t *testing.T) {
	f := newFakeSystem(t)
	s := newSink()
	var at atomic.Pointer[netip.Addr]
	set := func(address string) {
		a := netip.MustParseAddr(address)
		at.Store(&a)
	}
	set("192.0.2.1")
	o := Options{Feed: TestCard(), Receive: s.take}
	looked := make(chan struct{}, 1)
	o.source = func(netip.Addr) netip.Addr {
		select {
		case looked <- struct{}{}:
		default:
		}
		return *at.Load()
	}
	m := join(t, f, o)
	hears(t, s, 10)
	<-looked
	<-looked
	set("198.51.100.7") // and the address before is none of ours
	if e := awaitEvent(t, m, NetworkChanged); e.Text != "198.51.100.7" {
		t.Errorf("event %v", e)
	}
	awaitEvent(t, m, Reconnecting) // the control channel
	awaitEvent(t, m, Reconnected)
	hears(t, s, 10)
	f.attachedAgain("s1")
}

// attachedAgain checks that the control channel of a session was opened a
// second time.
func (f *fakeSystem) attachedAgain(session string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	hellos := 0
	for _, m := range f.said {
		if h, ok := m.(*protocol.Hello); ok && h.Session == session {
			hellos++
		}
	}
	if hellos < 2 {
		f.t.Errorf("%d hellos of session %s; %d joins, %d channels", hellos, session, len(f.joins), len(f.channels))
	}
}

// Who is asked to go, but finds no other router, stays until the router
// itself goes.
func TestMoveNowhere(t *testing.T) {
	f := newFakeSystem(t)
	s := newSink()
	m := join(t, f, Options{Feed: TestCard(), Receive: s.take})
	f.setRefusal(protocol.PathJoin, protocol.NewProblem(protocol.ProblemMMRUnavailable, ""))
	f.broadcast(protocol.Move{DeadlineMS: 60_000, Reason: protocol.ResumeDrain})
	awaitEvent(t, m, Moving)
	hears(t, s, 25)
	f.setRefusal(protocol.PathJoin, nil)
	f.broadcastTo("s1", protocol.Farewell{Reason: protocol.FarewellMoved})
	awaitEvent(t, m, Moved)
	hears(t, s, 25)
}

// broadcastTo says something on the control channel of a session.
func (f *fakeSystem) broadcastTo(session string, m protocol.ControlMessage) {
	f.t.Helper()
	f.mu.Lock()
	ws := f.attached[session]
	f.mu.Unlock()
	if ws == nil {
		f.t.Fatalf("session %s has no control channel; there are %v", session, slices.Collect(maps.Keys(f.attached)))
	}
	f.tell(f.t.Context(), ws, m)
}
