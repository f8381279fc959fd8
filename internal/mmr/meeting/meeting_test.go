package meeting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/mmr/control"
	"causeway/internal/mmr/forward"
	"causeway/protocol"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeShard is a shard without sockets, fakeWire a connection that forgets.
type fakeShard struct {
	mu     sync.Mutex
	router *forward.Router
}

func (s *fakeShard) Run(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.router.Deliver(0)
}

type fakeWire struct{}

func (fakeWire) SendRTP([]byte) error        { return nil }
func (fakeWire) Prefetch(int)                {}
func (fakeWire) SendVerbatim(p []byte) error { return nil }
func (fakeWire) SendRTCP([]byte) error       { return nil }

// house is a meeting on a router with one fake shard, in a synctest bubble.
type house struct {
	t      *testing.T
	router *forward.Router
	shard  *fakeShard
	m      *Meeting
	stop   context.CancelFunc

	mu    sync.Mutex
	gone  []string
	count int
	ended []string
}

func newHouse(t *testing.T, change func(*Config)) *house {
	h := &house{t: t, router: forward.New(time.Now())}
	h.shard = &fakeShard{router: h.router}
	h.router.Start([]forward.Shard{h.shard})
	cfg := Config{
		Info:   protocol.MeetingInfo{ID: "m", Number: "123456789", Topic: "Tea"},
		Router: h.router,
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
		Gone:   func(s string) { h.mu.Lock(); h.gone = append(h.gone, s); h.mu.Unlock() },
		Count:  func(n int) { h.mu.Lock(); h.count = n; h.mu.Unlock() },
		Ended:  func(by string) { h.mu.Lock(); h.ended = append(h.ended, by); h.mu.Unlock() },
	}
	if change != nil {
		change(&cfg)
	}
	h.m = New(cfg)
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	go h.m.Run(ctx)
	t.Cleanup(func() { stop(); <-h.m.Done() })
	return h
}

// member is one participation.
type member struct {
	*house
	id, session string
	media       Media
	audio       *forward.Link
	video       *forward.Link
	content     *forward.Link
	channel     *control.Channel
	voice       control.Session
	closed      atomic.Bool
	sent        uint16 // packets of sound
	restarted   []protocol.Credentials
	told        map[protocol.SlotID]string // what the slots carry
}

var (
	opus = offer.Codec{PayloadType: 111, Name: offer.Opus, ClockRate: 48000, Channels: 2}
	vp8  = offer.Codec{PayloadType: 96, Name: offer.VP8, ClockRate: 90000, RTX: 97}
	h264 = offer.Codec{PayloadType: 102, Name: offer.H264, ClockRate: 90000, Fmtp: "packetization-mode=1;profile-level-id=42e01f"}
)

// link makes a link that publishes kinds and has slots.
func (m *member) link(connection protocol.MediaKind, publish map[protocol.Source]offer.Codec, slots map[protocol.Source]int, video ...offer.Codec) *forward.Link {
	cfg := forward.LinkConfig{Kind: connection, Notify: m.m.Wake}
	for kind, codec := range publish {
		src := m.router.NewSource(forward.SourceConfig{
			Owner: m.id, Kind: kind.Shown(), Codec: codec, Clock: m.router.NewClock(), Loudest: m.m.LoudestOf(kind),
		})
		m.media.Sources[kind] = src
		cfg.Publish = append(cfg.Publish, forward.Publish{
			Source: src, Codecs: []offer.Codec{codec},
			Line: offer.Line{Extensions: []offer.Extension{{ID: 1, URI: offer.URIAudioLevel}}},
		})
	}
	prefixes := map[protocol.Source]string{protocol.Mic: "a", protocol.Camera: "v", protocol.Screen: "c", protocol.ScreenAudio: "s"}
	for kind, n := range slots {
		codecs := []offer.Codec{opus}
		if kind == protocol.Camera || kind == protocol.Screen {
			codecs = video
		}
		for i := range n {
			cfg.Slots = append(cfg.Slots, forward.SlotConfig{
				ID: protocol.SlotID(fmt.Sprint(prefixes[kind], i+1)), Kind: kind, SSRC: uint32(1000 + i), Codecs: codecs,
			})
		}
	}
	l := m.router.NewLink(cfg)
	m.media.Links = append(m.media.Links, l)
	m.media.Slots = append(m.media.Slots, l.Slots()...)
	return l
}

// admit admits a participant whose media are not connected yet.
func (h *house) admit(id string, role protocol.Role, video ...offer.Codec) *member {
	h.t.Helper()
	if len(video) == 0 {
		video = []offer.Codec{vp8, h264}
	}
	cameras := map[protocol.Source]offer.Codec{protocol.Camera: video[0]}
	if i := slices.IndexFunc(video, forward.Scalable); i > 0 {
		cameras[protocol.CameraScalable] = video[i]
	}
	m := &member{house: h, id: id, session: fmt.Sprintf("%s@%d", id, time.Now().UnixNano())}
	m.media.Sources = map[protocol.Source]*forward.Source{}
	m.audio = m.link(protocol.Audio, map[protocol.Source]offer.Codec{protocol.Mic: opus}, map[protocol.Source]int{protocol.Mic: 3})
	m.video = m.link(protocol.Video, cameras, map[protocol.Source]int{protocol.Camera: 4}, video...)
	m.content = m.link(protocol.Content, map[protocol.Source]offer.Codec{protocol.Screen: vp8, protocol.ScreenAudio: opus},
		map[protocol.Source]int{protocol.Screen: 1, protocol.ScreenAudio: 1}, video...)
	m.media.Restart = func(c protocol.Credentials) error {
		if c.Kind != protocol.Audio && c.Kind != protocol.Video {
			return errors.New("no such connection")
		}
		m.restarted = append(m.restarted, c)
		return nil
	}
	m.media.Close = func() {
		m.closed.Store(true)
		for _, l := range m.media.Links {
			h.shard.Run(l.Closed)
		}
	}
	_, err := h.m.Admit(context.Background(), Admission{Session: m.session, ID: id, Name: "Name of " + id, Role: role, Media: m.media})
	if err != nil {
		h.t.Fatalf("admit %s: %v", id, err)
	}
	return m
}

// up connects the media.
func (m *member) up() {
	for _, l := range m.media.Links {
		m.shard.Run(func() { l.Ready(0, fakeWire{}, time.Now()) })
	}
	synctest.Wait()
}

// state sets how well all media connections are heard of.
func (m *member) state(s forward.LinkState) {
	for _, l := range m.media.Links {
		m.shard.Run(func() { l.SetState(s) })
	}
	synctest.Wait()
}

// attach opens a control channel.
func (m *member) attach() {
	m.t.Helper()
	m.channel = control.NewDetached()
	var err error
	if m.voice, err = m.m.Attach(context.Background(), m.session, m.channel); err != nil {
		m.t.Fatalf("attach %s: %v", m.id, err)
	}
	synctest.Wait()
}

// join admits, connects and attaches, and forgets what was heard so far.
func (h *house) join(id string, role protocol.Role, video ...offer.Codec) *member {
	h.t.Helper()
	m := h.admit(id, role, video...)
	m.up()
	m.attach()
	m.hear()
	return m
}

func (m *member) say(msg protocol.ControlMessage) {
	m.voice.Receive(context.Background(), m.channel, msg)
	synctest.Wait()
}

// hear returns the messages that wait, without Sync and Speakers.
func (m *member) hear() []protocol.ControlMessage {
	m.t.Helper()
	synctest.Wait()
	data, _ := m.channel.Drain()
	var out []protocol.ControlMessage
	for _, d := range data {
		msg, err := protocol.DecodeFromRouter(d)
		if err != nil {
			m.t.Fatal(err)
		}
		if t := msg.ControlType(); t != "sync" && t != "speakers" {
			out = append(out, msg)
		}
	}
	return out
}

// heard returns the one message of a type that waits; the zero value and
// false if there is none.
func heard[T protocol.ControlMessage](m *member) (T, bool) {
	m.t.Helper()
	var last T
	ok := false
	for _, msg := range m.hear() {
		if t, is := msg.(any).(*T); is {
			last, ok = *t, true
		}
	}
	return last, ok
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// later lets time pass, and the roster with it.
func later(d time.Duration) {
	time.Sleep(d) // virtual time
	synctest.Wait()
}

func ptr[T any](v T) *T { return &v }

func run(t *testing.T, f func(t *testing.T, h *house)) {
	synctest.Test(t, func(t *testing.T) { f(t, newHouse(t, nil)) })
}

func TestWelcomeAndRoster(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada := h.admit("ada", protocol.Host)
		ada.attach()
		w, ok := heard[protocol.Welcome](ada)
		if !ok || w.Participant != "ada" || w.Meeting.Topic != "Tea" || len(w.Slots) != 9 || w.NowMS == 0 {
			t.Fatalf("welcome: %s", text(w))
		}
		if len(w.Participants) != 1 || w.Participants[0].Path != protocol.PathConnecting || !w.Participants[0].AudioMuted {
			t.Errorf("roster: %s", text(w.Participants))
		}
		ada.up()
		later(time.Second)
		if r, _ := heard[protocol.Roster](ada); len(r.Changed) != 1 || r.Changed[0].Path != protocol.PathOK {
			t.Errorf("path: %s", text(r))
		}
		bob := h.admit("bob", protocol.Guest)
		later(time.Second)
		if got := ada.hear(); len(got) != 0 {
			t.Errorf("told of one who is only admitted: %s", text(got))
		}
		bob.attach()
		later(time.Second)
		r, _ := heard[protocol.Roster](ada)
		if len(r.Changed) != 1 || r.Changed[0].ID != "bob" || r.Changed[0].Name != "Name of bob" {
			t.Errorf("roster: %s", text(r))
		}
		bob.say(&protocol.Leave{})
		if f, ok := heard[protocol.Farewell](bob); !ok || f.Reason != protocol.FarewellLeft {
			t.Errorf("farewell: %s", text(f))
		}
		later(time.Second)
		r, _ = heard[protocol.Roster](ada)
		if len(r.Left) != 1 || r.Left[0] != (protocol.Left{ID: "bob", Reason: protocol.FarewellLeft}) {
			t.Errorf("left: %s", text(r))
		}
		if !bob.closed.Load() || h.count != 1 || !slices.Contains(h.gone, bob.session) {
			t.Errorf("closed %v, count %d, gone %v", bob.closed.Load(), h.count, h.gone)
		}
	})
}

func TestSetState(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob := h.join("ada", protocol.Host), h.join("bob", protocol.Guest)
		later(time.Second)
		ada.hear()
		bob.say(&protocol.SetState{AudioMuted: ptr(false), HandRaised: ptr(true)})
		later(time.Second)
		r, _ := heard[protocol.Roster](ada)
		if len(r.Changed) != 1 || r.Changed[0].AudioMuted || !r.Changed[0].VideoMuted || r.Changed[0].HandRaisedAt.IsZero() {
			t.Fatalf("roster: %s", text(r))
		}
		if bob.media.Sources[protocol.Mic].Muted() || !bob.media.Sources[protocol.Camera].Muted() {
			t.Error("sources are not gated as the roster shows")
		}
		raised := r.Changed[0].HandRaisedAt
		later(time.Second)
		bob.say(&protocol.SetState{HandRaised: ptr(true)})
		later(time.Second)
		if r, told := heard[protocol.Roster](ada); told {
			t.Errorf("raising a raised hand since %v is no news: %s", raised, text(r))
		}
		bob.say(&protocol.SetState{HandRaised: ptr(false)})
		later(time.Second)
		r, _ = heard[protocol.Roster](ada)
		if !r.Changed[0].HandRaisedAt.IsZero() {
			t.Error("hand still raised")
		}
	})
}

func TestChat(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada := h.join("ada", protocol.Host)
		ada.say(&protocol.SendChat{Text: "  hello \n"})
		if c, ok := heard[protocol.Chat](ada); !ok || c.Text != "hello" || c.From != "ada" || c.ID == "" || c.At.IsZero() {
			t.Errorf("chat: %s", text(c))
		}
		for _, bad := range []string{"", "  ", "\xff", strings.Repeat("x", protocol.MaxChat+1)} {
			ada.say(&protocol.SendChat{Text: bad})
			if _, ok := heard[protocol.Refusal](ada); !ok {
				t.Errorf("%.10q was taken", bad)
			}
		}
		for i := range MaxChatKept + 5 {
			ada.say(&protocol.SendChat{Text: fmt.Sprint(i)})
			ada.hear()
		}
		bob := h.admit("bob", protocol.Guest)
		bob.attach()
		w, _ := heard[protocol.Welcome](bob)
		if len(w.Chat) != MaxChatKept || w.Chat[MaxChatKept-1].Text != fmt.Sprint(MaxChatKept+4) {
			t.Errorf("%d messages kept", len(w.Chat))
		}
	})
}

// TestRestart has a client tell its new credentials.
func TestRestart(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada := h.join("ada", protocol.Guest)
		said := []protocol.Credentials{{Kind: protocol.Audio, Ufrag: "a"}, {Kind: protocol.Video, Ufrag: "v"}}
		ada.say(&protocol.Restart{Connections: said})
		if r, ok := heard[protocol.Refusal](ada); ok || !slices.Equal(ada.restarted, said) {
			t.Errorf("restarted %v; %s", ada.restarted, text(r))
		}
		ada.say(&protocol.Restart{Connections: []protocol.Credentials{{Kind: "smell"}}})
		if r, ok := heard[protocol.Refusal](ada); !ok || r.Problem.Code != protocol.ProblemBadRequest {
			t.Errorf("not refused: %s", text(r))
		}
	})
}

func TestHostVerbs(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob, cyd := h.join("ada", protocol.Host), h.join("bob", protocol.Guest), h.join("cyd", protocol.Guest)
		for _, m := range []*member{ada, bob, cyd} {
			m.say(&protocol.SetState{AudioMuted: ptr(false), HandRaised: ptr(true)})
		}
		clear := func() {
			later(time.Second)
			for _, m := range []*member{ada, bob, cyd} {
				m.hear()
			}
		}
		clear()
		for _, verb := range []protocol.HostVerb{protocol.HostMute, protocol.HostMuteAll, protocol.HostLowerHand, protocol.HostRemove, protocol.HostEnd} {
			bob.say(&protocol.HostAction{Action: verb, Participant: "cyd"})
			if r, ok := heard[protocol.Refusal](bob); !ok || r.Problem.Code != protocol.ProblemNotHost {
				t.Errorf("%s by a guest: %s", verb, text(r))
			}
		}
		ada.say(&protocol.HostAction{Action: protocol.HostMute, Participant: "bob"})
		if m, ok := heard[protocol.Muted](bob); !ok || m.By != "ada" || !bob.media.Sources[protocol.Mic].Muted() {
			t.Error("bob was not muted")
		}
		bob.say(&protocol.SetState{AudioMuted: ptr(false)})
		if bob.media.Sources[protocol.Mic].Muted() {
			t.Error("bob could not unmute himself")
		}
		clear()
		ada.say(&protocol.HostAction{Action: protocol.HostMuteAll})
		_, bobMuted := heard[protocol.Muted](bob)
		_, cydMuted := heard[protocol.Muted](cyd)
		if !bobMuted || !cydMuted || ada.media.Sources[protocol.Mic].Muted() {
			t.Error("mute_all did not mute exactly the others")
		}
		ada.say(&protocol.HostAction{Action: protocol.HostLowerHand, Participant: "cyd"})
		later(time.Second)
		r, _ := heard[protocol.Roster](bob)
		if i := slices.IndexFunc(r.Changed, func(p protocol.Participant) bool { return p.ID == "cyd" }); i < 0 || !r.Changed[i].HandRaisedAt.IsZero() {
			t.Errorf("hand not lowered: %s", text(r))
		}
		for _, bad := range []protocol.HostAction{{Action: "dance", Participant: "bob"}, {Action: protocol.HostMute, Participant: "nobody"}} {
			ada.say(&bad)
			if _, ok := heard[protocol.Refusal](ada); !ok {
				t.Errorf("%+v was not refused", bad)
			}
		}
		ada.say(&protocol.HostAction{Action: protocol.HostRemove, Participant: "cyd"})
		if f, ok := heard[protocol.Farewell](cyd); !ok || f.Reason != protocol.FarewellRemoved || f.By != "ada" {
			t.Errorf("farewell: %s", text(f))
		}
		_, err := h.m.Admit(context.Background(), Admission{Session: "again", ID: "cyd"})
		if !errors.Is(err, protocol.NewProblem(protocol.ProblemForbidden, "")) {
			t.Errorf("a removed participant came back: %v", err)
		}
	})
}

func TestEnd(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob := h.join("ada", protocol.Host), h.join("bob", protocol.Guest)
		ada.say(&protocol.HostAction{Action: protocol.HostEnd})
		for _, m := range []*member{ada, bob} {
			if f, ok := heard[protocol.Farewell](m); !ok || f.Reason != protocol.FarewellEnded || f.By != "ada" {
				t.Errorf("%s heard %s", m.id, text(f))
			}
		}
		<-h.m.Done()
		synctest.Wait()
		if !slices.Equal(h.ended, []string{"ada"}) || h.count != 0 || !ada.closed.Load() || !bob.closed.Load() || len(h.gone) != 2 {
			t.Errorf("ended %v, count %d, gone %v", h.ended, h.count, h.gone)
		}
		if _, err := h.m.Admit(context.Background(), Admission{ID: "cyd", Session: "c"}); !errors.Is(err, ErrOver) {
			t.Errorf("admitted to a meeting that is over: %v", err)
		}
	})
}

func TestCommandEnds(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada := h.join("ada", protocol.Host)
		if err := h.m.Command(context.Background(), protocol.MeetingCommand{End: true}); err != nil {
			t.Fatal(err)
		}
		if f, ok := heard[protocol.Farewell](ada); !ok || f.Reason != protocol.FarewellEnded || f.By != "" {
			t.Errorf("heard %s", text(f))
		}
		<-h.m.Done()
		if !slices.Equal(h.ended, []string{""}) {
			t.Errorf("ended %q", h.ended)
		}
	})
}

func TestEmptyMeetingEnds(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada := h.join("ada", protocol.Host)
		later(2 * EmptyFor)
		ada.say(&protocol.Leave{})
		later(EmptyFor - 2*time.Second)
		select {
		case <-h.m.Done():
			t.Fatal("ended too early")
		default:
		}
		later(4 * time.Second)
		<-h.m.Done()
		if len(h.ended) != 0 {
			t.Error("an empty meeting was ended for good")
		}
	})
}

func TestNoControlChannelInTime(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada := h.admit("ada", protocol.Host)
		ada.up()
		later(ControlDeadline - time.Second)
		if ada.closed.Load() {
			t.Fatal("removed too early")
		}
		later(3 * time.Second)
		if !ada.closed.Load() || h.count != 0 {
			t.Error("still there without a control channel")
		}
	})
}

func TestLostAndBack(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob := h.join("ada", protocol.Host), h.join("bob", protocol.Guest)
		path := func() protocol.PathState {
			later(time.Second)
			r, _ := heard[protocol.Roster](ada)
			for _, p := range r.Changed {
				if p.ID == "bob" {
					return p.Path
				}
			}
			return "unchanged"
		}
		path()
		bob.state(forward.LinkSilent)
		if p := path(); p != protocol.PathSilent {
			t.Errorf("silent media: path %s", p)
		}
		bob.state(forward.LinkActive)
		if p := path(); p != protocol.PathOK {
			t.Errorf("media heard again: path %s", p)
		}
		bob.voice.Detached(bob.channel)
		if p := path(); p != "unchanged" {
			t.Errorf("only the control channel is gone: path %s", p)
		}
		bob.state(forward.LinkLost)
		if p := path(); p != protocol.PathLost {
			t.Errorf("all is gone: path %s", p)
		}
		later(LostFor / 2)
		bob.attach() // the same session on a new WebSocket
		if w, ok := heard[protocol.Welcome](bob); !ok || w.Participant != "bob" {
			t.Errorf("no welcome on the new channel: %s", text(w))
		}
		if p := path(); p != protocol.PathSilent {
			t.Errorf("control channel is back: path %s", p)
		}
		bob.voice.Detached(bob.channel)
		if p := path(); p != protocol.PathLost {
			t.Errorf("gone again: path %s", p)
		}
		later(LostFor - 2*time.Second)
		if bob.closed.Load() {
			t.Fatal("removed too early")
		}
		later(4 * time.Second)
		r, _ := heard[protocol.Roster](ada)
		if len(r.Left) != 1 || r.Left[0].Reason != protocol.FarewellLost || !bob.closed.Load() {
			t.Errorf("left: %s", text(r))
		}
	})
}

func TestSecondChannelReplacesTheFirst(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		bob := h.join("bob", protocol.Guest)
		first := bob.channel
		bob.attach()
		if _, ended := first.Drain(); !ended {
			t.Error("the first channel is still open")
		}
		bob.voice.Detached(first) // its reader ends after that
		later(time.Second)
		bob.say(&protocol.SendChat{Text: "still here"})
		if _, ok := heard[protocol.Chat](bob); !ok {
			t.Error("the second channel does not work")
		}
	})
}

// TestNobodyIsAdmittedWhoseAskerHasGone: a session that nobody was told of would
// keep its place until a control channel had been waited for.
func TestNobodyIsAdmittedWhoseAskerHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		gone, leave := context.WithCancel(context.Background())
		leave()
		late := admit{gone, Admission{Session: "s", ID: "a"}, make(chan error, 1), make(chan int64, 1)}
		if err := h.m.ask(context.Background(), late, late.answer); !errors.Is(err, context.Canceled) {
			t.Errorf("admitted: %v", err)
		}
		if _, err := h.m.Attach(context.Background(), "s", control.NewDetached()); err == nil {
			t.Error("there is a session")
		}
	})
}
