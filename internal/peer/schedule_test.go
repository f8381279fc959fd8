package peer

import (
	"slices"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// While nothing is sent checks become rarer, never so fast that the remote takes
// the pause for silence, and the first packet is followed by one at once.
func TestAgentIdle(t *testing.T) {
	now := epoch
	a := newAgent(1, now)
	var remote liveness
	var checks []time.Duration
	for ; now.Before(at(30000)); now = now.Add(25 * time.Millisecond) {
		a.rest(now.Sub(epoch) >= idleFlow && now.Before(at(25000)), now)
		if from, to := a.due(now, now, false); from < to {
			checks = append(checks, now.Sub(epoch))
			remote.check(now)
			remote.hear(now)
			id := transaction{byte(len(checks))}
			a.sent(id, 0, 0, now)
			a.answer(id, now)
		}
		if remote.advance(now) {
			t.Fatalf("taken for silent after %v", now.Sub(epoch))
		}
	}
	longest := time.Duration(0)
	for i := range checks[1:] {
		longest = max(longest, checks[i+1]-checks[i])
	}
	if longest != idleConsent {
		t.Errorf("checks at %v", checks)
	}
	if !slices.Contains(checks, 25*time.Second) {
		t.Errorf("something was sent after 25 s; checks at %v", checks)
	}
}

// The agent's whole life as a transcript: what happens when, and which checks
// it wants to send.
func TestAgent(t *testing.T) {
	type step struct {
		ms       int
		heard    int // ms; 0: at ms
		busy     bool
		answer   int // index of the probe answered before asking, 1-based; 0: none
		from, to int // checks due
		selected int
		lost     bool
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"backs off until one answers, then once a second", []step{
			{ms: 0, to: 3, selected: -1},
			{ms: 25, selected: -1},
			{ms: 100, to: 3, selected: -1},
			{ms: 275, selected: -1},
			{ms: 300, to: 3, selected: -1},
			{ms: 700, to: 3, selected: -1},
			{ms: 1200, to: 3, selected: -1},
			{ms: 1650, answer: 14, selected: 1}, // the second candidate's, sent at 1200
			{ms: 2175, selected: 1},
			{ms: 2200, from: 1, to: 2, selected: 1},
			{ms: 2300, answer: 16, selected: 1},
			{ms: 3175, selected: 1},
			{ms: 3200, from: 1, to: 2, selected: 1},
		}},
		{"a late answer of another candidate changes nothing", []step{
			{ms: 0, to: 3, selected: -1},
			{ms: 30, answer: 3, selected: 2},
			{ms: 40, answer: 1, selected: 2},
			{ms: 1000, from: 2, to: 3, selected: 2},
		}},
		{"an unanswered check is repeated soon", []step{
			{ms: 0, to: 3, selected: -1},
			{ms: 20, answer: 1, selected: 0},
			{ms: 1000, to: 1, selected: 0},
			{ms: 1075, selected: 0},
			{ms: 1100, to: 1, selected: 0},
			{ms: 1150, selected: 0},
			{ms: 1175, to: 1, selected: 0},
			{ms: 1200, answer: 6, selected: 0},
			{ms: 2150, selected: 0},
			{ms: 2175, to: 1, selected: 0},
		}},
		{"while media flows, twice a second", []step{
			{ms: 0, to: 3, selected: -1},
			{ms: 20, answer: 1, busy: true, selected: 0},
			{ms: 25, busy: true, selected: 0},
			{ms: 1000, busy: true, to: 1, selected: 0},
			{ms: 1020, busy: true, answer: 4, selected: 0},
			{ms: 1475, busy: true, selected: 0},
			{ms: 1500, busy: true, to: 1, selected: 0},
		}},
		{"a busy flow that stalls is checked out of turn, then doubted", []step{
			{ms: 0, to: 3, selected: -1},
			{ms: 20, answer: 1, selected: 0},
			{ms: 400, heard: 390, busy: true, selected: 0},
			{ms: 675, heard: 390, busy: true, selected: 0},
			{ms: 700, heard: 390, busy: true, to: 1, selected: 0},
			{ms: 750, heard: 390, selected: 0},
			{ms: 775, heard: 390, to: 1, selected: 0},
			{ms: 850, heard: 390, lost: true, to: 1, selected: 0},
			{ms: 900, answer: 5, selected: 0},
			{ms: 1100, selected: 0},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAgent(3, at(0))
			var sent int
			for _, s := range test.steps {
				now, heard := at(s.ms), at(s.ms)
				if s.heard > 0 {
					heard = at(s.heard)
				}
				if s.answer > 0 {
					if _, _, ok := a.answer(transaction{byte(s.answer)}, now); !ok {
						t.Fatalf("%d ms: probe %d not known", s.ms, s.answer)
					}
				}
				if lost := a.lost(now); lost != s.lost {
					t.Errorf("%d ms: lost is %v", s.ms, lost)
				}
				from, to := a.due(now, heard, s.busy)
				if from != s.from || to != s.to {
					t.Errorf("%d ms: checks %d to %d, want %d to %d", s.ms, from, to, s.from, s.to)
				}
				for i := from; i < to; i++ {
					sent++
					a.sent(transaction{byte(sent)}, i, 0, now)
				}
				if a.selected != s.selected {
					t.Errorf("%d ms: selected %d, want %d", s.ms, a.selected, s.selected)
				}
			}
		})
	}
}

func TestAgentAnswersOnce(t *testing.T) {
	a := newAgent(1, at(0))
	a.sent(transaction{1}, 0, 0, at(0))
	if _, chosen, ok := a.answer(transaction{1}, at(40)); !chosen || !ok {
		t.Error("not taken")
	}
	if _, _, ok := a.answer(transaction{1}, at(41)); ok {
		t.Error("taken twice")
	}
	if _, _, ok := a.answer(transaction{}, at(41)); ok {
		t.Error("an unused probe was answered")
	}
	for i := range maxProbes {
		a.sent(transaction{2, byte(i)}, 0, 0, at(100))
	}
	a.sent(transaction{3}, 0, 0, at(100))
	if _, _, ok := a.answer(transaction{2, 0}, at(101)); ok {
		t.Error("the oldest was not forgotten")
	}
	if a.srtt != 40*time.Millisecond {
		t.Errorf("round trip %v", a.srtt)
	}
}

func TestAgentRestart(t *testing.T) {
	a := newAgent(2, at(0))
	a.sent(transaction{1}, 0, 0, at(0))
	a.sent(transaction{2}, 1, 0, at(0))
	a.answer(transaction{2}, at(20))
	a.restart(at(500))
	if _, chosen, ok := a.answer(transaction{1}, at(510)); chosen || !ok {
		t.Error("an answer to the old socket's check chose a path")
	}
	if from, to := a.due(at(500), at(500), false); from != 0 || to != 2 || a.selected != 1 {
		t.Errorf("checks %d to %d, selected %d", from, to, a.selected)
	}
}

func TestLiveness(t *testing.T) {
	type step struct {
		ms      int
		do      string // hear, check (an authentic check is both), advance
		changed bool
		state   PathState
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"silent, lost and heard again", []step{
			{0, "hear", false, PathActive},
			{2000, "advance", false, PathActive},
			{2001, "advance", true, PathSilent},
			{2500, "advance", false, PathSilent},
			{10000, "advance", false, PathSilent},
			{10001, "advance", true, PathLost},
			{20000, "advance", false, PathLost},
			{20001, "hear", true, PathActive},
			{20002, "hear", false, PathActive},
		}},
		{"lost at once after a long pause of ours", []step{
			{0, "hear", false, PathActive},
			{11000, "advance", true, PathLost},
		}},
		{"a browser that checks every 2.5 s is not silent", []step{
			{0, "check", false, PathActive},
			{2500, "check", false, PathActive},
			{4999, "advance", false, PathActive},
			{5000, "check", false, PathActive},
			{8750, "advance", false, PathActive},
			{8751, "advance", true, PathSilent},
		}},
		{"an outage is no habit", []step{
			{0, "check", false, PathActive},
			{7000, "check", false, PathActive},
			{9001, "advance", true, PathSilent},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var l liveness
			for _, s := range test.steps {
				var changed bool
				switch s.do {
				case "hear":
					changed = l.hear(at(s.ms))
				case "check":
					l.check(at(s.ms))
					changed = l.hear(at(s.ms))
				case "advance":
					changed = l.advance(at(s.ms))
				}
				if changed != s.changed || l.state != s.state {
					t.Errorf("%d ms: %v, changed %v", s.ms, l.state, changed)
				}
			}
		})
	}
}

func TestPathStateString(t *testing.T) {
	for s, want := range map[PathState]string{PathActive: "active", PathSilent: "silent", PathLost: "lost", 9: "invalid"} {
		if s.String() != want {
			t.Errorf("%d is %q", s, s)
		}
	}
}

// The DTLS layer offers the flight every 250 ms.
func TestPacer(t *testing.T) {
	var p pacer
	var passed []int
	for ms := 0; ms <= 4000; ms += 250 {
		for datagram := range 2 {
			allowed := p.allow(at(ms + datagram))
			if allowed && datagram == 0 {
				passed = append(passed, ms)
			} else if allowed != (len(passed) > 0 && passed[len(passed)-1] == ms) {
				t.Errorf("the datagrams at %d ms are told apart", ms)
			}
		}
	}
	want := []int{0, 250, 750, 1750, 2750, 3750}
	if len(passed) != len(want) {
		t.Fatalf("passed at %v, want %v", passed, want)
	}
	for i := range want {
		if passed[i] != want[i] {
			t.Errorf("passed at %v, want %v", passed, want)
			break
		}
	}
	p.heard.Store(true)
	if !p.allow(at(4001)) {
		t.Error("an answer to what was heard must pass at once")
	}
}

func TestFlow(t *testing.T) {
	var f flow
	for i := range 50 {
		f.count(uint64(i*2), at(i*25)) // 80 packets/s
	}
	if !f.busy() {
		t.Error("80 packets a second are busy")
	}
	f.count(98, at(5000))
	if !f.busy() {
		t.Error("time without packets changes nothing")
	}
	for i := range 50 {
		f.count(uint64(100+i), at(6000+i*400)) // DTX
	}
	if f.busy() {
		t.Error("a packet every 400 ms is not busy")
	}
}
