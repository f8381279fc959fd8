package client

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"causeway/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A sink gathers frames and lets a test wait for them.
type sink struct {
	mu     sync.Mutex
	frames []Frame
	more   chan struct{}
}

func newSink() *sink { return &sink{more: make(chan struct{}, 1)} }

func (s *sink) take(f Frame) {
	s.mu.Lock()
	s.frames = append(s.frames, f)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// await waits until ok is satisfied by the frames so far, and returns them.
func (s *sink) await(t *testing.T, what string, ok func([]Frame) bool) []Frame {
	t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		s.mu.Lock()
		frames := s.frames
		s.mu.Unlock()
		if ok(frames) {
			return frames
		}
		select {
		case <-s.more:
		case <-deadline:
			t.Fatalf("no %s within 15 s, only %d frames", what, len(frames))
		}
	}
}

func pictures(frames []Frame) (n int) {
	for _, f := range frames {
		if f.Source == protocol.Camera {
			n++
		}
	}
	return n
}

// awaitEvent reads events up to one of a kind.
func awaitEvent(t *testing.T, m *Meeting, kind EventKind) Event {
	t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		select {
		case e, ok := <-m.Events():
			if !ok {
				t.Fatalf("the meeting was over before %s", kind)
			}
			if e.Kind == kind {
				return e
			}
		case <-deadline:
			t.Fatalf("no event %s", kind)
		}
	}
}

func join(t *testing.T, f *fakeSystem, o Options) *Meeting {
	t.Helper()
	o.Roots = f.roots()
	if o.Name == "" {
		o.Name = "Ada"
	}
	m, err := Join(context.Background(), f.link(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Leave)
	return m
}

// The test card goes out and comes back over a path that loses one packet in
// twelve: everything must arrive, in order and in sync.
func TestEcho(t *testing.T) {
	f := newFakeSystem(t)
	f.lossy = true
	s := newSink()
	m := join(t, f, Options{Feed: TestCard(), Receive: s.take})
	frames := s.await(t, "75 pictures", func(list []Frame) bool { return pictures(list) >= 75 })
	report := m.Report()
	m.Leave()

	when := feedTimes(t)
	last := map[protocol.Source]time.Duration{}
	var skew [2]struct {
		sum float64
		n   int
	}
	zero := frames[0].Captured
	sound := 0
	for _, fr := range frames {
		at, ok := when[string(fr.Data)]
		if !ok {
			t.Fatalf("a frame of %s that was never sent", fr.Source)
		}
		if fr.Source == protocol.Mic {
			sound++
		}
		if at < 0 && fr.Source == protocol.Mic {
			continue // it occurs more than once, and one before it may have come too late
		}
		if at < 0 {
			at = last[fr.Source] + 40*time.Millisecond
		}
		if before, ok := last[fr.Source]; ok && fr.Source == protocol.Camera && at != before+40*time.Millisecond {
			t.Errorf("picture of %v follows on that of %v", at, before)
		}
		last[fr.Source] = at
		i := 0
		if fr.Source == protocol.Camera {
			i = 1
		}
		skew[i].sum += float64(fr.Captured.Sub(zero)-at) / float64(time.Millisecond)
		skew[i].n++
		if fr.Participant != "echo" || fr.Name != "Echo" {
			t.Fatalf("frame of %q, %q", fr.Participant, fr.Name)
		}
	}
	if skew[0].n == 0 || sound < 140 {
		t.Errorf("%d pieces of sound, %d of them told apart, for %d pictures", sound, skew[0].n, skew[1].n)
	}
	off := skew[1].sum/float64(skew[1].n) - skew[0].sum/float64(skew[0].n)
	if off < -5 || off > 5 {
		t.Errorf("pictures are %.1f ms off the sound", off)
	}
	checkEchoReport(t, report)
}

// feedTimes maps the test card's samples to their times, -1 for those that
// occur more than once: white pictures look alike.
func feedTimes(t *testing.T) map[string]time.Duration {
	t.Helper()
	feed := TestCard()
	defer feed.Close()
	when := map[string]time.Duration{}
	for {
		s, err := feed.Next()
		if err != nil {
			t.Fatal(err)
		}
		if s.At >= testCardLength {
			return when
		}
		if _, twice := when[string(s.Data)]; twice {
			s.At = -1
		}
		when[string(s.Data)] = s.At
	}
}

func checkEchoReport(t *testing.T, r protocol.Report) {
	t.Helper()
	if !r.OK || r.Meeting != fakeNumber || r.Participant != "me" || r.Zone != "z" || r.MMR != "r1" || r.FirstMediaMS <= 0 {
		t.Errorf("report %+v", r)
	}
	names := []protocol.PhaseName{}
	for _, p := range r.Phases {
		names = append(names, p.Name)
		if !p.OK || len(p.Attempts) == 0 {
			t.Errorf("phase %+v", p)
		}
	}
	if len(names) != 4 {
		t.Errorf("phases %v", names)
	}
	for _, k := range protocol.MediaKinds {
		if media, ok := r.Media[k]; !ok || media.DSCP != k.DSCP() || media.Remote == "" || media.Transport != protocol.UDP {
			t.Errorf("%s: %+v", k, media)
		}
	}
	if v := r.Media[protocol.Video]; v.PacketsSent == 0 || v.PacketsReceived == 0 || v.PacketsLost != 0 || v.FirstPacketMS <= 0 {
		t.Errorf("video: %+v", v)
	}
}

// The router asks for packets again and gets them.
func TestRetransmission(t *testing.T) {
	f := newFakeSystem(t)
	s := newSink()
	m := join(t, f, Options{Feed: TestCard(), Receive: s.take})
	s.await(t, "25 pictures", func(list []Frame) bool { return pictures(list) >= 25 })
	awaitEvent(t, m, KeyWanted)
	m.Leave()
	f.port.Shards()[0].Run(func() {
		for _, c := range f.conns {
			if c.kind == protocol.Video && c.again == 0 {
				t.Error("nothing came again")
			}
			if c.kind == protocol.Video && len(c.packets) != 2 {
				t.Errorf("%d streams of pictures, want 2 layers", len(c.packets))
			}
		}
	})
}

func TestControlChannel(t *testing.T) {
	f := newFakeSystem(t)
	m := join(t, f, Options{Feed: TestCard()})
	if err := errors.Join(m.Say("hello"), m.RaiseHand(true), m.SetMuted(protocol.Mic, true), m.Host(protocol.HostMute, "echo")); err != nil {
		t.Fatal(err)
	}
	f.await("everything", func(said []protocol.ControlMessage) bool {
		var chat, hand, muted, host bool
		for _, msg := range said {
			switch msg := msg.(type) {
			case *protocol.SendChat:
				chat = msg.Text == "hello"
			case *protocol.SetState:
				hand = hand || msg.HandRaised != nil && *msg.HandRaised
				muted = msg.AudioMuted != nil && *msg.AudioMuted && !*msg.VideoMuted
			case *protocol.HostAction:
				host = msg.Participant == "echo"
			}
		}
		return chat && hand && muted && host
	})
	if p := m.Participants(); len(p) != 2 || m.Self().ID != "me" || m.Info().Topic != "Tulips" {
		t.Errorf("participants %v, self %v, meeting %v", p, m.Self(), m.Info())
	}
	f.broadcast(protocol.Roster{Changed: []protocol.Participant{{ID: "p3", Name: "Carol"}}})
	if e := awaitEvent(t, m, Appeared); e.Participant.Name == "Echo" {
		e = awaitEvent(t, m, Appeared)
		if e.Participant.Name != "Carol" {
			t.Errorf("%v appeared", e.Participant)
		}
	}
	f.broadcast(protocol.Roster{Left: []protocol.Left{{ID: "p3", Reason: protocol.FarewellRemoved}}})
	if e := awaitEvent(t, m, Disappeared); e.Reason != protocol.FarewellRemoved {
		t.Errorf("event %v", e)
	}
	f.broadcast(protocol.Chat{From: "echo", Name: "Echo", Text: "hi"})
	if e := awaitEvent(t, m, Said); e.Chat.Text != "hi" {
		t.Errorf("event %v", e)
	}
	f.broadcast(protocol.Muted{By: "echo"})
	if e := awaitEvent(t, m, HostMuted); e.Participant == nil || e.Participant.Name != "Echo" {
		t.Errorf("event %v", e)
	}
	f.broadcast(protocol.Refusal{Problem: *protocol.NewProblem(protocol.ProblemNotHost, "")})
	if e := awaitEvent(t, m, Refused); e.Problem.Code != protocol.ProblemNotHost {
		t.Errorf("event %v", e)
	}
	f.broadcast(protocol.Farewell{Reason: protocol.FarewellRemoved, By: "echo"})
	if e := awaitEvent(t, m, Over); e.Problem.Code != protocol.ProblemRemoved {
		t.Errorf("event %v", e)
	}
	<-m.Done()
	if !errors.Is(m.Err(), protocol.NewProblem(protocol.ProblemRemoved, "")) {
		t.Errorf("error %v", m.Err())
	}
}

// A control channel that breaks is opened again with the same session, and
// media does not notice.
func TestControlChannelReopens(t *testing.T) {
	f := newFakeSystem(t)
	s := newSink()
	m := join(t, f, Options{Feed: TestCard(), Receive: s.take})
	s.await(t, "a picture", func(list []Frame) bool { return pictures(list) > 0 })
	f.hangUp()
	awaitEvent(t, m, Reconnecting)
	awaitEvent(t, m, Reconnected)
	n := len(s.await(t, "a frame", func([]Frame) bool { return true }))
	s.await(t, "25 more frames", func(list []Frame) bool { return len(list) > n+25 })
	f.attachedAgain("s1")
}

// The session of a join may have been replaced by that of another controller
// before its client comes: it joins once more, as the same participant.
func TestSessionReplaced(t *testing.T) {
	for forget, code := range map[int]protocol.Code{1: "", 2: protocol.ProblemSessionUnknown} {
		f := newFakeSystem(t)
		f.forget = forget
		m, err := Join(t.Context(), f.link(), Options{Name: "ada", Roots: f.roots()})
		if err == nil {
			m.Leave()
		}
		if (err == nil) != (code == "") || err != nil && protocol.ProblemOf(err).Code != code {
			t.Errorf("%d times forgotten: %v", forget, err)
		}
		f.mu.Lock()
		if len(f.joins) != 2 || f.lookups[1].Token == "" {
			t.Errorf("%d times forgotten: %d joins, lookups %+v", forget, len(f.joins), f.lookups)
		}
		f.mu.Unlock()
	}
}

// When the router has closed the media connections the meeting is joined again
// as the same participant, without asking web.
func TestResume(t *testing.T) {
	f := newFakeSystem(t)
	s := newSink()
	m := join(t, f, Options{Feed: TestCard(), Receive: s.take})
	s.await(t, "a picture", func(list []Frame) bool { return pictures(list) > 0 })
	f.crash()
	awaitEvent(t, m, Reconnecting)
	awaitEvent(t, m, Reconnected)
	before := pictures(s.await(t, "frames", func([]Frame) bool { return true }))
	s.await(t, "10 more pictures", func(list []Frame) bool { return pictures(list) > before+10 })
	f.mu.Lock()
	lookups, joins := f.lookups, f.joins
	f.mu.Unlock()
	if len(lookups) != 1 || len(joins) < 2 || joins[0].Resume != nil || joins[1].Resume == nil {
		t.Fatalf("lookups %+v, joins %+v", lookups, joins)
	}
	want := protocol.Resume{Session: "s1", Zone: "z", MMR: "r1", Reason: protocol.ResumeMedia, Admitted: 1}
	if got := *joins[1].Resume; got != want {
		t.Errorf("resumed %+v, want %+v", got, want)
	}
}

// A token that has expired is renewed on the way.
func TestResumeWithExpiredToken(t *testing.T) {
	f := newFakeSystem(t)
	m := join(t, f, Options{})
	f.setRefusal(protocol.PathJoin, protocol.NewProblem(protocol.ProblemTokenExpired, ""))
	f.crash()
	f.await("another lookup", func([]protocol.ControlMessage) bool { return len(f.lookups) >= 2 })
	f.setRefusal(protocol.PathJoin, nil)
	awaitEvent(t, m, Reconnected)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lookups[0].Token != "" || f.lookups[1].Token != "ticket" {
		t.Errorf("lookups %+v", f.lookups)
	}
}

// A problem that time does not heal ends the participation.
func TestResumeRefused(t *testing.T) {
	f := newFakeSystem(t)
	m := join(t, f, Options{})
	f.setRefusal(protocol.PathJoin, protocol.NewProblem(protocol.ProblemMeetingEnded, ""))
	f.crash()
	if e := awaitEvent(t, m, Over); e.Problem == nil || e.Problem.Code != protocol.ProblemMeetingEnded {
		t.Errorf("event %v", e)
	}
	<-m.Done()
}

// Leaving works while coming back does not.
func TestLeaveWhileReconnecting(t *testing.T) {
	f := newFakeSystem(t)
	m := join(t, f, Options{})
	f.setRefusal(protocol.PathJoin, protocol.NewProblem(protocol.ProblemInternal, ""))
	f.crash()
	awaitEvent(t, m, Reconnecting)
	m.Leave()
	if err := m.Err(); err != nil {
		t.Errorf("error %v", err)
	}
}

func TestJoinFails(t *testing.T) {
	f := newFakeSystem(t)
	tests := []struct {
		name   string
		link   string
		o      Options
		refuse string
		code   protocol.Code
	}{
		{"link", "https://example.org/x", Options{Name: "A"}, "", protocol.ProblemBadLink},
		{"no name", f.link(), Options{}, "", protocol.ProblemBadRequest},
		{"stranger's certificate", f.link(), Options{Name: "A"}, "", protocol.ProblemCertificate},
		{"lookup refused", f.link(), Options{Name: "A", Roots: f.roots()}, "lookup", protocol.ProblemWrongPasscode},
		{"join refused", f.link(), Options{Name: "A", Roots: f.roots()}, protocol.PathJoin, protocol.ProblemWrongPasscode},
		{"control refused", f.link(), Options{Name: "A", Roots: f.roots()}, protocol.PathControl, protocol.ProblemWrongPasscode},
		{"impossible feed", f.link(), Options{Name: "A", Feed: oddFeed{}}, "", protocol.ProblemSourceUnreadable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.setRefusal(tt.refuse, protocol.NewProblem(protocol.ProblemWrongPasscode, ""))
			defer f.setRefusal(tt.refuse, nil)
			m, err := Join(context.Background(), tt.link, tt.o)
			if got := protocol.ProblemOf(err).Code; got != tt.code {
				t.Errorf("problem %s (%v), want %s", got, err, tt.code)
			}
			if r := m.Report(); r.OK {
				t.Errorf("report %+v", r)
			}
			m.Leave()
		})
	}
}

// TestReportIsLeft with web, of joins that work and of those that do not, unless
// it is not wanted.
func TestReportIsLeft(t *testing.T) {
	f := newFakeSystem(t)
	m := join(t, f, Options{NoReport: true})
	m.Leave()
	if _, n := f.lastReport(); n != 0 {
		t.Errorf("%d reports that are not wanted", n)
	}
	m = join(t, f, Options{Feed: TestCard()})
	// No event tells that all of a join has worked, only its report.
	for deadline := time.Now().Add(15 * time.Second); !m.Report().OK && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	m.Leave()
	r, n := f.lastReport()
	if n == 0 || !r.OK || r.Zone != "z" || len(r.Phases) == 0 || len(r.Events) == 0 {
		t.Errorf("%d reports, the last %+v", n, r)
	}
	f.setRefusal(protocol.PathJoin, protocol.NewProblem(protocol.ProblemZoneFull, ""))
	if _, err := Join(t.Context(), f.link(), Options{Name: "Ada", Roots: f.roots()}); err == nil {
		t.Fatal("joined")
	}
	r, after := f.lastReport()
	failed := r.Phases[len(r.Phases)-1].Error
	if after != n+1 || r.OK || failed == nil || failed.Code != protocol.ProblemZoneFull {
		t.Errorf("%d reports more, the last %+v", after-n, r)
	}
}

type oddFeed struct{}

func (oddFeed) Tracks() []Track       { return []Track{{Source: protocol.Mic, Codec: VP8}} }
func (oddFeed) Next() (Sample, error) { return Sample{}, errors.New("not to be read") }
func (oddFeed) Close() error          { return nil }
