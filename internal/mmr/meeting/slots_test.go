package meeting

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/mmr/control"
	"causeway/internal/mmr/forward"
	"causeway/internal/mmr/legs"
	"causeway/protocol"
)

// talk sends n packets of sound at a level, 20 ms apart, in virtual time.
func (h *house) talk(n int, levels map[*member]byte) {
	for range n {
		for m, level := range levels {
			m.sent++
			h.shard.Run(func() { m.audio.RTP(sound(m.sent, level), time.Now()) })
		}
		time.Sleep(20 * time.Millisecond) // virtual time
	}
	synctest.Wait()
}

func sound(seq uint16, level byte) []byte {
	p := make([]byte, 20, 64)
	p[0], p[1] = 0x90, 111
	binary.BigEndian.PutUint16(p[2:], seq)
	binary.BigEndian.PutUint32(p[4:], uint32(seq)*960)
	p[11] = 9
	p[12], p[13], p[15], p[16], p[17] = 0xBE, 0xDE, 1, 0x10, 0x80|level
	return append(p, "some sound"...)
}

// slots follows the slot states that a member is told.
func (m *member) slots() map[protocol.SlotID]string {
	m.t.Helper()
	if m.told == nil {
		m.told = map[protocol.SlotID]string{}
	}
	for _, msg := range m.hear() {
		var news []protocol.SlotState
		switch msg := msg.(type) {
		case *protocol.Slots:
			news = msg.Slots
		case *protocol.Welcome:
			news = msg.Slots
		}
		for _, s := range news {
			if s.Participant == "" {
				delete(m.told, s.Slot)
			} else {
				m.told[s.Slot] = s.Participant + " " + string(s.Source)
			}
		}
	}
	return m.told
}

func TestAudioSlotsAreSticky(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		var people []*member
		for i := range 5 {
			people = append(people, h.join(fmt.Sprint("p", i), protocol.Guest))
		}
		for _, p := range people {
			p.say(&protocol.SetState{AudioMuted: ptr(false)})
		}
		listener := people[4]
		h.talk(50, map[*member]byte{people[0]: 30})
		h.talk(50, map[*member]byte{people[0]: 30, people[1]: 30})
		if got := listener.slots(); got["a1"] != "p0 mic" || got["a2"] != "p1 mic" {
			t.Errorf("slots %v", got)
		}
		if got := people[0].slots(); len(got) != 1 || got["a1"] != "p1 mic" {
			t.Errorf("p0 hears %v", got)
		}
		people[0].say(&protocol.SetState{AudioMuted: ptr(true)})
		if got := listener.slots(); len(got) != 1 || got["a2"] != "p1 mic" {
			t.Errorf("after muting %v: the other one should have stayed where it was", got)
		}
		h.talk(50, map[*member]byte{people[1]: 30, people[2]: 30, people[3]: 30})
		got := listener.slots()
		if got["a2"] != "p1 mic" || len(got) != 3 {
			t.Errorf("slots %v", got)
		}
		people[1].say(&protocol.Leave{})
		if got := listener.slots(); len(got) != 2 || got["a2"] != "" {
			t.Errorf("after leaving %v", got)
		}
	})
}

func TestSpeakersAreTold(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob := h.join("ada", protocol.Guest), h.join("bob", protocol.Guest)
		bob.say(&protocol.SetState{AudioMuted: ptr(false)})
		speakers := func() (n int, last protocol.Speakers) {
			data, _ := ada.channel.Drain()
			for _, d := range data {
				if m, err := protocol.DecodeFromRouter(d); err == nil && m.ControlType() == "speakers" {
					n, last = n+1, *m.(*protocol.Speakers)
				}
			}
			return n, last
		}
		h.talk(100, map[*member]byte{bob: 30})
		if n, s := speakers(); n < 1 || n > 3 || len(s.Speakers) != 1 || s.Speakers[0].Participant != "bob" || s.Speakers[0].Level < 28 || s.Speakers[0].Level > 36 {
			t.Errorf("%d messages, last %+v", n, s)
		}
		later(2 * time.Second)
		if n, s := speakers(); n != 1 || len(s.Speakers) != 0 {
			t.Errorf("silence: %d messages, last %+v", n, s)
		}
	})
}

func TestWants(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada := h.join("ada", protocol.Guest)
		want := func(slots ...protocol.SlotWant) { ada.say(&protocol.Want{Slots: slots}) }
		want(protocol.SlotWant{Slot: "v1", Participant: "bob", MaxHeight: 360}, protocol.SlotWant{Slot: "v2", Participant: "ada", MaxHeight: 360})
		bob := h.join("bob", protocol.Guest)
		if got := ada.slots(); len(got) != 0 {
			t.Errorf("slots %v before bob's camera is on", got)
		}
		bob.say(&protocol.SetState{VideoMuted: ptr(false)})
		ada.say(&protocol.SetState{VideoMuted: ptr(false)})
		if got := ada.slots(); len(got) != 1 || got["v1"] != "bob camera" {
			t.Errorf("slots %v, want bob and not oneself", got)
		}
		want(protocol.SlotWant{Slot: "v3", Participant: "bob", MaxHeight: 180})
		if got := ada.slots(); len(got) != 1 || got["v3"] != "bob camera" {
			t.Errorf("slots %v: those not named are to be empty", got)
		}
		want(protocol.SlotWant{Slot: "v1", MaxHeight: 720}, protocol.SlotWant{Slot: "v2", MaxHeight: 720})
		if got := ada.slots(); len(got) != 1 || got["v1"] != "bob camera" {
			t.Errorf("slots %v, want whoever is there, once", got)
		}
		want(protocol.SlotWant{Slot: "v1", MaxHeight: 720}, protocol.SlotWant{Slot: "v3", Participant: "bob", MaxHeight: 180})
		if got := ada.slots(); len(got) != 1 || got["v3"] != "bob camera" {
			t.Errorf("slots %v, want somebody who is not named", got)
		}
		for _, bad := range []protocol.SlotID{"v9", "a1", "c1", "", "\xff"} {
			want(protocol.SlotWant{Slot: bad, Participant: "bob"}, protocol.SlotWant{Slot: "v3", Participant: "bob", MaxHeight: 180})
			if r, ok := heard[protocol.Refusal](ada); !ok || r.Problem.Code != protocol.ProblemBadRequest {
				t.Errorf("%q was taken", bad)
			}
		}
		bob.say(&protocol.Leave{})
		if got := ada.slots(); len(got) != 0 {
			t.Errorf("slots %v after bob left", got)
		}
	})
}

// TestAnyone: whoever wants to see anybody is shown somebody whose pictures
// come, rather than who was there first and is gone.
func TestAnyone(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		bob, eve := h.join("bob", protocol.Guest), h.join("eve", protocol.Guest)
		for _, m := range []*member{bob, eve} {
			m.state(forward.LinkActive)
			m.say(&protocol.SetState{VideoMuted: ptr(false)})
		}
		bob.state(forward.LinkSilent)
		later(time.Second)
		ada := h.join("ada", protocol.Guest)
		anybody := &protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", MaxHeight: 720}}}
		ada.say(anybody)
		if got := ada.slots(); got["v1"] != "eve camera" {
			t.Errorf("slots %v, want eve, who is heard", got)
		}
		eve.state(forward.LinkSilent)
		later(time.Second)
		ada.say(anybody)
		if got := ada.slots(); got["v1"] != "bob camera" {
			t.Errorf("slots %v, want bob, who came first", got)
		}
	})
}

// BenchmarkWant is what a wish for anybody in every slot costs in a meeting of
// a thousand.
func BenchmarkWant(b *testing.B) {
	router := forward.New(time.Now())
	router.Start([]forward.Shard{&fakeShard{router: router}})
	m := New(Config{
		Router: router, Self: legs.Address{Zone: "z", MMR: "a"}, Publish: func(legs.Out) {},
		Gone: func(string) {}, Count: func(int) {}, Ended: func(string) {},
	})
	m.settleTimer = time.NewTimer(time.Hour)
	now := time.Now()
	link := forward.LinkConfig{Kind: protocol.Video, Notify: m.Wake}
	wish := &protocol.Want{}
	for i := range protocol.MaxVideoSlots {
		id := protocol.SlotID(fmt.Sprintf("v%d", i+1))
		link.Slots = append(link.Slots, forward.SlotConfig{ID: id, Kind: protocol.Camera, SSRC: uint32(i + 1), Codecs: []offer.Codec{vp8}})
		wish.Slots = append(wish.Slots, protocol.SlotWant{Slot: id, MaxHeight: 180})
	}
	for i := range 1000 {
		id := fmt.Sprintf("p%d", i)
		media := Media{Sources: map[protocol.Source]*forward.Source{
			protocol.Camera: router.NewSource(forward.SourceConfig{Owner: id, Kind: protocol.Camera, Codec: vp8}),
		}}
		if i == 0 {
			media.Slots = router.NewLink(link).Slots()
		}
		p := m.admit(Admission{Session: id, ID: id, Role: protocol.Guest, Media: media}, now)
		p.VideoMuted = false
		m.show(p, now)
	}
	m.settle(now)
	p := m.people["p0"]
	b.ReportAllocs()
	for b.Loop() {
		m.want(p, wish)
	}
	if p.slots[0].want.Participant == "" || p.slots[protocol.MaxVideoSlots-1].want.Participant == "" {
		b.Error("nobody is shown")
	}
}

func TestOnlyDecodableSources(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada := h.join("ada", protocol.Guest, vp8)
		eve := h.join("eve", protocol.Guest, h264, vp8)
		eve.say(&protocol.SetState{VideoMuted: ptr(false)})
		ada.say(&protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "eve", MaxHeight: 360}}})
		if got := ada.slots(); len(got) != 0 {
			t.Errorf("slots %v: ada has no H.264", got)
		}
	})
}

func TestShares(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob, cyd := h.join("ada", protocol.Guest), h.join("bob", protocol.Guest), h.join("cyd", protocol.Guest)
		share := func(m *member, on bool) { m.say(&protocol.SetState{Sharing: &on}) }
		share(ada, true)
		if got := cyd.slots(); got["c1"] != "ada screen" || got["s1"] != "ada screen_audio" {
			t.Errorf("slots %v", got)
		}
		share(bob, true)
		if got := cyd.slots(); got["c1"] != "bob screen" {
			t.Errorf("slots %v: the latest share is shown", got)
		}
		if got := bob.slots(); got["c1"] != "ada screen" {
			t.Errorf("slots %v: who shares sees the other share", got)
		}
		share(bob, false)
		if got := cyd.slots(); got["c1"] != "ada screen" {
			t.Errorf("slots %v: the earlier share is back", got)
		}
		share(ada, false)
		if got := cyd.slots(); len(got) != 0 {
			t.Errorf("slots %v", got)
		}
	})
}

func TestSharingNeedsAContentConnection(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada := h.join("ada", protocol.Guest)
		delete(ada.media.Sources, protocol.Screen)
		ada.say(&protocol.SetState{Sharing: ptr(true)})
		if _, ok := heard[protocol.Refusal](ada); !ok {
			t.Error("shared without a content connection")
		}
	})
}

// TestFirstPacketsUnmute has a client that sends before it says anything.
func TestFirstPacketsUnmute(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob := h.join("ada", protocol.Guest), h.join("bob", protocol.Guest)
		cyd := h.join("cyd", protocol.Guest)
		cyd.say(&protocol.SetState{AudioMuted: ptr(true)})
		later(time.Second)
		ada.hear()
		h.talk(50, map[*member]byte{bob: 30, cyd: 30})
		later(time.Second)
		muted := map[string]bool{}
		for _, p := range h.m.rosters().stage {
			muted[p.ID] = p.AudioMuted
		}
		if muted["bob"] || !muted["cyd"] {
			t.Errorf("muted: %v; bob sends and said nothing, cyd said muted", muted)
		}
		if got := ada.slots(); len(got) != 1 || got["a1"] != "bob mic" {
			t.Errorf("ada hears %v", got)
		}
	})
}

func TestRosterBeforeSlots(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada := h.join("ada", protocol.Guest)
		ada.say(&protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "bob", MaxHeight: 360}}})
		bob := h.join("bob", protocol.Guest)
		bob.say(&protocol.SetState{VideoMuted: ptr(false)})
		known := map[string]bool{}
		for _, msg := range ada.hear() {
			switch msg := msg.(type) {
			case *protocol.Roster:
				for _, p := range msg.Changed {
					known[p.ID] = true
				}
			case *protocol.Slots:
				for _, s := range msg.Slots {
					if s.Participant != "" && !known[s.Participant] {
						t.Errorf("a slot carries %s, whom nobody has told of", s.Participant)
					}
				}
			}
		}
		if !known["bob"] {
			t.Error("ada was never told of bob")
		}
	})
}

// TestRosterIsCoalesced has a crowd raise hands at once.
func TestRosterIsCoalesced(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		var people []*member
		for i := range 40 {
			people = append(people, h.join(fmt.Sprint("p", i), protocol.Guest))
		}
		later(time.Second)
		people[0].hear()
		for _, p := range people {
			p.voice.Receive(t.Context(), p.channel, &protocol.SetState{HandRaised: ptr(true)})
		}
		later(rosterEvery)
		raised, messages := 0, 0
		for _, msg := range people[0].hear() {
			if r, ok := msg.(*protocol.Roster); ok {
				messages++
				raised += len(r.Changed)
			}
		}
		if raised != 40 || messages > 2 {
			t.Errorf("%d hands in %d messages", raised, messages)
		}
	})
}

// TestSyncWhenChanged counts the messages of ten seconds in which nothing
// changes.
func TestSyncWhenChanged(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, bob := h.join("ada", protocol.Guest), h.join("bob", protocol.Guest)
		bob.say(&protocol.SetState{AudioMuted: ptr(false)})
		h.talk(100, map[*member]byte{bob: 30})
		ada.channel.Drain()
		var syncs []protocol.Sync
		for range 10 {
			h.talk(50, map[*member]byte{bob: 30})
			data, _ := ada.channel.Drain()
			for _, d := range data {
				if m, err := protocol.DecodeFromRouter(d); err == nil && m.ControlType() == "sync" {
					syncs = append(syncs, *m.(*protocol.Sync))
				}
			}
		}
		if len(syncs) < 2 || len(syncs) > 3 {
			t.Errorf("%d Sync messages in 10 s", len(syncs))
		}
		for _, s := range syncs {
			if len(s.Slots) != 1 || s.Slots[0].Slot != "a1" || s.Slots[0].ClockRate != 48000 || s.NowMS < s.Slots[0].AtMS {
				t.Errorf("%+v", s)
			}
		}
	})
}

// TestDeparts tells which mappings are worth telling.
func TestDeparts(t *testing.T) {
	told := protocol.SlotSync{Slot: "a1", RTP: 1<<32 - 4800, ClockRate: 48000, AtMS: 1000}
	on := protocol.SlotSync{Slot: "a1", RTP: 48000 - 4800, ClockRate: 48000, AtMS: 2000}
	with := func(change func(*protocol.SlotSync)) protocol.SlotSync { s := on; change(&s); return s }
	for name, c := range map[string]struct {
		is   protocol.SlotSync
		want bool
	}{
		"the same clock":         {on, false},
		"half a millisecond off": {with(func(s *protocol.SlotSync) { s.RTP += 24 }), false},
		"a millisecond off":      {with(func(s *protocol.SlotSync) { s.RTP -= 48 }), true},
		"repairs take longer":    {with(func(s *protocol.SlotSync) { s.RepairMS = 80 }), true},
		"another clock rate":     {with(func(s *protocol.SlotSync) { s.ClockRate = 90000 }), true},
		"unknown since":          {protocol.SlotSync{}, true},
		"long ago":               {with(func(s *protocol.SlotSync) { s.RTP += 4 * 48000; s.AtMS += 4000 }), true},
	} {
		if got := departs(told, c.is); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestLateConnection assigns slots before their connection is up.
func TestLateConnection(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		bob := h.join("bob", protocol.Guest)
		bob.say(&protocol.SetState{AudioMuted: ptr(false)})
		h.talk(50, map[*member]byte{bob: 30})
		ada := h.admit("ada", protocol.Guest)
		ada.attach()
		w, _ := heard[protocol.Welcome](ada)
		i := slices.IndexFunc(w.Slots, func(s protocol.SlotState) bool { return s.Slot == "a1" })
		if i < 0 || w.Slots[i].Participant != "bob" {
			t.Errorf("welcome tells %s", text(w.Slots))
		}
		ada.up()
		h.talk(5, map[*member]byte{bob: 30})
		if values := h.router.Sync(ada.audio.Slots()[:1], time.Now()); values[0].ClockRate == 0 {
			t.Error("nothing is sent in the slot although its connection is up")
		}
	})
}

// TestSlowClientDoesNotHoldTheMeeting lets one client take nothing.
func TestSlowClientDoesNotHoldTheMeeting(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ada, slow := h.join("ada", protocol.Guest), h.join("slow", protocol.Guest)
		for i := range 2 * control.MaxQueued {
			ada.say(&protocol.SendChat{Text: fmt.Sprint(i)})
			if _, ok := heard[protocol.Chat](ada); !ok {
				t.Fatalf("ada's message %d went missing", i)
			}
		}
		if _, ended := slow.channel.Drain(); !ended {
			t.Error("the slow client's channel is still open")
		}
	})
}
