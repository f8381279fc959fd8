package twcc

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtcp"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// told is what feedback tells, in ticks since the first that came.
type told struct {
	Seq  uint16
	Came bool
	At   int64
}

func tell(t testing.TB, packets [][]byte) []told {
	t.Helper()
	var all []told
	for _, p := range packets {
		f, ok := Parse(p)
		if !ok {
			t.Fatalf("not parsed: %x", p)
		}
		for {
			seq, came, at, ok := f.Next()
			if !ok {
				break
			}
			e := told{Seq: seq, Came: came}
			if came {
				e.At = int64((time.Duration(f.Reference)*referenceTick + at) / tick)
			}
			all = append(all, e)
		}
	}
	return all
}

// drain takes all feedback that a recorder has.
func drain(r *Recorder) [][]byte {
	var all [][]byte
	for r.Pending() {
		all = append(all, r.Append(nil))
	}
	return all
}

func TestRecorder(t *testing.T) {
	ms := time.Millisecond
	type arrival struct {
		seq uint16
		at  time.Duration
	}
	tests := []struct {
		name     string
		arrivals []arrival
		want     []told
	}{
		{"one", []arrival{{7, 0}}, []told{{7, true, 0}}},
		{"in order", []arrival{{7, 0}, {8, ms}, {9, 5 * ms}}, []told{{7, true, 0}, {8, true, 4}, {9, true, 20}}},
		{"wraps", []arrival{{65534, 0}, {65535, ms}, {0, 2 * ms}, {1, 3 * ms}}, []told{{65534, true, 0}, {65535, true, 4}, {0, true, 8}, {1, true, 12}}},
		{"lost", []arrival{{7, 0}, {10, ms}}, []told{{7, true, 0}, {8, false, 0}, {9, false, 0}, {10, true, 4}}},
		{"reordered", []arrival{{7, 0}, {9, 10 * ms}, {8, 11 * ms}}, []told{{7, true, 0}, {8, true, 44}, {9, true, 40}}},
		{"first of all comes late", []arrival{{7, 0}, {6, ms}}, []told{{6, true, 4}, {7, true, 0}}},
		{"twice", []arrival{{7, 0}, {7, 10 * ms}, {8, 11 * ms}}, []told{{7, true, 0}, {8, true, 44}}},
		{"a long pause", []arrival{{7, 0}, {8, 20 * time.Second}}, []told{{7, true, 0}, {8, true, 80000}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRecorder(1)
			for _, a := range tt.arrivals {
				r.Record(2, a.seq, start.Add(a.at))
			}
			if diff := cmp.Diff(tt.want, tell(t, drain(r))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRecorderTellsLateOnes: what comes after it was told of as missing is
// told of once more, and losses at a feedback's beginning are told.
func TestRecorderTellsLateOnes(t *testing.T) {
	r := NewRecorder(1)
	r.Record(2, 10, start)
	drain(r)
	r.Record(2, 12, start.Add(10*time.Millisecond))
	if diff := cmp.Diff([]told{{11, false, 0}, {12, true, 40}}, tell(t, drain(r))); diff != "" {
		t.Error(diff)
	}
	r.Record(2, 11, start.Add(20*time.Millisecond))
	if diff := cmp.Diff([]told{{11, true, 80}, {12, true, 40}}, tell(t, drain(r))); diff != "" {
		t.Error(diff)
	}
	r.Record(2, 0xffff-maxBehind, start.Add(30*time.Millisecond))
	if r.Pending() {
		t.Error("tells of one that came far too late")
	}
	r.Record(2, 30000, start.Add(40*time.Millisecond))
	if diff := cmp.Diff([]told{{30000, true, 160}}, tell(t, drain(r))); diff != "" {
		t.Error("after a jump", diff)
	}
}

// TestRecorderAgainstPion: pion/rtcp reads what was recorded, whatever
// arrives when.
func TestRecorderAgainstPion(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := NewRecorder(0xdeadbeef)
		seq := rapid.Uint16().Draw(rt, "first")
		now := start
		var want []told
		for range rapid.IntRange(1, 600).Draw(rt, "packets") {
			gap := rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, 20}).Draw(rt, "gap")
			for range gap {
				if len(want) > 0 {
					want = append(want, told{Seq: seq})
				}
				seq++
			}
			want = append(want, told{seq, true, int64(now.Sub(start) / tick)})
			r.Record(0x1234, seq, now)
			seq++
			now = now.Add(rapid.SampledFrom([]time.Duration{0, 300 * time.Microsecond, 20 * time.Millisecond, 70 * time.Millisecond, 9 * time.Second}).Draw(rt, "step"))
		}
		packets := drain(r)
		if diff := cmp.Diff(want, tell(t, packets)); diff != "" {
			rt.Fatal(diff)
		}
		var pion []told
		for i, p := range packets {
			if len(p) > maxFeedback+40 {
				rt.Fatalf("%d bytes", len(p))
			}
			var f rtcp.TransportLayerCC
			if err := f.Unmarshal(p); err != nil {
				rt.Fatal(err)
			}
			if f.SenderSSRC != 0xdeadbeef || f.MediaSSRC != 0x1234 || int(f.FbPktCount) != i&0xff {
				rt.Fatalf("%+v", f)
			}
			pion = append(pion, unpack(&f)...)
		}
		if diff := cmp.Diff(want, pion); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// unpack goes through feedback as pion/rtcp has read it.
func unpack(f *rtcp.TransportLayerCC) []told {
	var symbols []uint16
	for _, c := range f.PacketChunks {
		switch c := c.(type) {
		case *rtcp.RunLengthChunk:
			symbols = append(symbols, slices.Repeat([]uint16{c.PacketStatusSymbol}, int(c.RunLength))...)
		case *rtcp.StatusVectorChunk:
			symbols = append(symbols, c.SymbolList...)
		}
	}
	var all []told
	at, deltas := int64(f.ReferenceTime)*256, f.RecvDeltas
	for i, s := range symbols[:f.PacketStatusCount] {
		e := told{Seq: f.BaseSequenceNumber + uint16(i)}
		if s == smallDelta || s == largeDelta {
			at += deltas[0].Delta / tick.Microseconds()
			e.Came, e.At = true, at
			deltas = deltas[1:]
		}
		all = append(all, e)
	}
	return all
}

func TestRefuses(t *testing.T) {
	r := NewRecorder(1)
	for i := range uint16(40) {
		r.Record(2, 3*i, start.Add(time.Duration(i)*70*time.Millisecond))
	}
	good := r.Append(nil)
	for n := range good {
		if _, ok := Parse(good[:n]); ok {
			t.Errorf("took %d bytes of %d", n, len(good))
		}
	}
	change := func(f func(p []byte)) []byte { p := slices.Clone(good); f(p); return p }
	for name, p := range map[string][]byte{
		"another format":   change(func(p []byte) { p[0]++ }),
		"another type":     change(func(p []byte) { p[1]++ }),
		"another version":  change(func(p []byte) { p[0] ^= 0xc0 }),
		"far too many":     change(func(p []byte) { binary.BigEndian.PutUint16(p[14:], 0xffff) }),
		"chunk of nothing": change(func(p []byte) { p[20], p[21] = 0, 0 }),
		"no chunks":        {2<<6 | format, transportFeedback, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0},
	} {
		if _, ok := Parse(p); ok {
			t.Error("took", name)
		}
	}
	// Deltas that are missing end the walk.
	f, ok := Parse([]byte{2<<6 | format, transportFeedback, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0x20, 9, 1, 1})
	n := 0
	for ok {
		if _, _, _, ok = f.Next(); ok {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d packets of two deltas", n)
	}
}

// outcomes lists what a history says of feedback, in short: + came, - lost,
// ~ late; with the size as the packet's name.
func outcomes(h *History, packets [][]byte) (short string, list []Outcome) {
	for _, p := range packets {
		f, _ := Parse(p)
		list = h.Feedback(f, list)
	}
	for _, o := range list {
		mark := "+"
		switch {
		case o.Lost:
			mark = "-"
		case o.Late:
			mark = "~"
		}
		short += mark + string(rune('a'+o.Size))
	}
	return short, list
}

func TestHistory(t *testing.T) {
	for _, first := range []uint64{0, 0xfffd, 0x1fffe} {
		var h History
		h.next, h.open = first, first
		r := NewRecorder(1)
		now := start
		seqs := make([]uint16, 8)
		for i := range seqs {
			seqs[i] = h.Sent(i, uint16(i/4), now)
			now = now.Add(10 * time.Millisecond)
		}
		if h.InFlight() != 28 || seqs[0] != uint16(first) || seqs[7] != uint16(first+7) {
			t.Errorf("%d bytes in flight, %v", h.InFlight(), seqs)
		}
		come := func(list ...int) {
			for _, i := range list {
				r.Record(2, seqs[i], start.Add(time.Duration(i)*10*time.Millisecond+time.Hour))
			}
		}
		come(0, 1, 3)
		if s, list := outcomes(&h, drain(r)); s != "+a+b+d" || list[2].Arrived-list[0].Arrived != 30*time.Millisecond ||
			!list[2].Sent.Equal(start.Add(30*time.Millisecond)) || list[2].Probe != 0 {
			t.Errorf("%d: %s %+v", first, s, list)
		}
		come(4, 6)
		if s, list := outcomes(&h, drain(r)); s != "+e+g" || list[0].Probe != 1 {
			t.Errorf("%d: %s", first, s)
		}
		come(2, 7) // told of again from 2 on; 5 is too recent to be lost
		if s, _ := outcomes(&h, drain(r)); s != "+c+h" {
			t.Errorf("%d: %s", first, s)
		}
		if h.InFlight() != 0 {
			t.Errorf("%d: %d bytes in flight", first, h.InFlight())
		}
	}
}

func TestHistoryLosses(t *testing.T) {
	var h History
	r := NewRecorder(1)
	for i := range 12 {
		h.Sent(i, 0, start.Add(time.Duration(i)*overtaken/2))
	}
	record := func(list ...uint16) {
		for _, i := range list {
			r.Record(2, i, start.Add(time.Duration(i)*overtaken/2))
		}
	}
	record(0, 2)
	if s, _ := outcomes(&h, drain(r)); s != "+a+c" { // b may have been overtaken
		t.Error(s)
	}
	if h.InFlight() != 1+2+3+4+5+6+7+8+9+10+11-1-2 {
		t.Errorf("%d bytes in flight", h.InFlight())
	}
	record(4)
	if s, _ := outcomes(&h, drain(r)); s != "+e-b" { // d may have been
		t.Error(s)
	}
	record(1, 3)
	if s, _ := outcomes(&h, drain(r)); s != "~b+d" {
		t.Error(s)
	}
	record(5, 6, 7)
	drain(r) // this feedback is lost
	record(8, 9)
	if s, _ := outcomes(&h, drain(r)); s != "+i+j" {
		t.Error(s)
	}
	record(10, 11)
	if s, _ := outcomes(&h, drain(r)); s != "+k+l" || h.InFlight() != 0 {
		t.Error(s, h.InFlight())
	}
}

func TestHistoryForgets(t *testing.T) {
	var h History
	for i := range 3 * maxHistory {
		h.Sent(1, 0, start.Add(time.Duration(i)*time.Millisecond))
	}
	if h.InFlight() != maxHistory || len(h.records) != maxHistory {
		t.Errorf("%d in flight, %d records", h.InFlight(), len(h.records))
	}
	h.Forget(start.Add(time.Hour))
	if h.InFlight() != 0 {
		t.Errorf("%d in flight", h.InFlight())
	}
}

// TestReferenceWraps: the receiver's clock goes on where its 24 bits wrap.
func TestReferenceWraps(t *testing.T) {
	var h History
	var list []Outcome
	for i, reference := range []uint32{0xfffffe, 0xffffff, 0, 1, 0} {
		seq := h.Sent(1, 0, start)
		p := []byte{2<<6 | format, transportFeedback, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, byte(seq >> 8), byte(seq), 0, 1, byte(reference >> 16), byte(reference >> 8), byte(reference), byte(i), 0x20, 1, 0, 0}
		f, ok := Parse(p)
		if !ok {
			t.Fatal("not parsed")
		}
		list = h.Feedback(f, list)
	}
	for i, want := range []time.Duration{0, 1, 2, 3, 2} {
		if got := list[i].Arrived - list[0].Arrived; got != want*referenceTick {
			t.Errorf("%d: %v", i, got)
		}
	}
}

func TestAllocations(t *testing.T) {
	var h History
	r := NewRecorder(1)
	now := start
	buf := make([]byte, 0, 4096)
	list := make([]Outcome, 0, 256)
	round := func() {
		for range 100 {
			now = now.Add(time.Millisecond)
			if seq := h.Sent(1000, 0, now); seq%7 != 0 {
				r.Record(2, seq, now)
			}
		}
		for r.Pending() {
			f, _ := Parse(r.Append(buf))
			list = h.Feedback(f, list[:0])
		}
	}
	for range 100 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzFeedback(f *testing.F) {
	r := NewRecorder(1)
	for i := range uint16(300) {
		if i%11 != 0 {
			r.Record(2, 7*i/5, start.Add(time.Duration(i*i%97)*10*time.Millisecond+time.Duration(i)*time.Second))
		}
	}
	for r.Pending() {
		f.Add(r.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, ok := Parse(b)
		if !ok {
			return
		}
		n := 0
		for h := g; ; n++ {
			if _, _, _, ok := h.Next(); !ok {
				break
			}
		}
		if n > int(g.Count) {
			t.Fatalf("%d packets of %d", n, g.Count)
		}
		var h History
		for range 300 {
			h.Sent(1, 0, start)
		}
		if list := h.Feedback(g, nil); len(list) > 300 || h.InFlight() < 0 {
			t.Fatalf("%d outcomes, %d in flight", len(list), h.InFlight())
		}
	})
}
