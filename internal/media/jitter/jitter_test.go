package jitter

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var start = time.Unix(1000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// got is an Item in brief.
type got struct {
	Seq  uint16
	Lost uint64
	New  bool
}

// push gives packets whose content is their number, and returns all that then
// comes out.
func push(t testing.TB, b *Buffer, ms int, seqs ...uint16) (out []got) {
	t.Helper()
	for _, seq := range seqs {
		b.Push(seq, binary.BigEndian.AppendUint16(nil, seq), at(ms))
		out = append(out, pop(t, b, ms)...)
	}
	return out
}

func pop(t testing.TB, b *Buffer, ms int) (out []got) {
	t.Helper()
	for {
		i, ok := b.Pop(at(ms))
		if !ok {
			return out
		}
		if binary.BigEndian.Uint16(i.Packet) != i.Seq {
			t.Fatalf("packet %d holds % x", i.Seq, i.Packet)
		}
		out = append(out, got{i.Seq, i.Lost, i.Restart})
	}
}

func want(t *testing.T, what string, got, want []got) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestOrderFromEveryBoundary(t *testing.T) {
	for _, s := range []uint16{0, 1, 2, 0x7fff, 0x8000, 0xfffc, 0xfffd, 0xffff} {
		b := New(Config{Packets: 8})
		want(t, "in order", push(t, b, 0, s, s+1), []got{{Seq: s}, {Seq: s + 1}})
		want(t, "behind a gap", push(t, b, 0, s+4, s+3), nil)
		want(t, "gap filled", push(t, b, 0, s+2), []got{{Seq: s + 2}, {Seq: s + 3}, {Seq: s + 4}})
		want(t, "twice", push(t, b, 0, s+4, s+6, s+6, s), nil)
		if st := b.Stats(); st != (Stats{Given: 5, Late: 2, Duplicate: 1}) {
			t.Errorf("from %d: %+v", s, st)
		}
	}
}

func TestGivesUpWaiting(t *testing.T) {
	b := New(Config{Wait: 100 * time.Millisecond})
	if _, ok := b.Deadline(); ok {
		t.Error("deadline of nothing")
	}
	push(t, b, 0, 1)
	want(t, "behind gaps", push(t, b, 10, 4, 7), nil)
	push(t, b, 60, 3)
	if d, ok := b.Deadline(); !ok || !d.Equal(at(160)) {
		t.Errorf("deadline %v %v", d, ok)
	}
	want(t, "early", pop(t, b, 159), nil)
	want(t, "in time", pop(t, b, 160), []got{{Seq: 3, Lost: 1}, {Seq: 4}, {Seq: 7, Lost: 2}})
	want(t, "too late", push(t, b, 161, 2), nil)
	if st := b.Stats(); st != (Stats{Given: 4, Lost: 3, Late: 1}) || b.Held() != 0 {
		t.Errorf("%+v", st)
	}
}

func TestFull(t *testing.T) {
	b := New(Config{Packets: 8})
	push(t, b, 0, 1)
	want(t, "held", push(t, b, 0, 3, 5), nil)
	want(t, "gap as large as the buffer", push(t, b, 0, 10), []got{{Seq: 3, Lost: 1}})
	want(t, "larger", push(t, b, 0, 20), nil) // takes 5 and 10 with it, which were not due yet
	want(t, "later", pop(t, b, 500), []got{{Seq: 20, Lost: 16}})
}

func TestLateBeforeTheFirst(t *testing.T) {
	b := New(Config{Packets: 4})
	for _, seq := range []uint16{1, 0, 0xffff, 2, 0xfffe} {
		b.Push(seq, binary.BigEndian.AppendUint16(nil, seq), at(0))
	}
	want(t, "started with two in the wrong order", pop(t, b, 0), []got{{Seq: 0xffff}, {Seq: 0}, {Seq: 1}, {Seq: 2}})
	if b.Stats().Late != 1 {
		t.Errorf("%+v", b.Stats())
	}
}

func TestRestart(t *testing.T) {
	for _, jump := range []uint16{8*8 + 1, 0x7000, 0xffff - 8*8 - 1, 0x8000} {
		b := New(Config{Packets: 8})
		push(t, b, 0, 10, 12)
		want(t, "restart", push(t, b, 0, 11-1+jump, 12+jump), []got{{Seq: 10 + jump, Lost: 1, New: true}})
		want(t, "goes on", push(t, b, 0, 11+jump), []got{{Seq: 11 + jump}, {Seq: 12 + jump}})
	}
}

// TestModel: whatever the network does, what comes out is in order, each once,
// and every number is accounted for.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := New(Config{Packets: 32, Wait: 50 * time.Millisecond})
		first := rapid.Uint16().Draw(t, "first")
		next, begun := first, false
		var given, lost uint64
		take := func(ms int) {
			for {
				i, ok := b.Pop(at(ms))
				if !ok {
					return
				}
				if begun && i.Seq != next+uint16(i.Lost) || i.Restart || binary.BigEndian.Uint16(i.Packet) != i.Seq {
					t.Fatalf("%d with %d lost after %d", i.Seq, i.Lost, next-1)
				}
				next, begun = i.Seq+1, true
				given++
				lost += i.Lost
			}
		}
		sent := map[uint16]bool{}
		for ms := range rapid.IntRange(1, 300).Draw(t, "n") {
			seq := first + uint16(ms) - uint16(rapid.IntRange(0, 20).Draw(t, "delay"))
			b.Push(seq, binary.BigEndian.AppendUint16(nil, seq), at(ms))
			sent[seq] = true
			take(ms)
			if d, ok := b.Deadline(); ok && !d.After(at(ms)) {
				t.Fatal("overdue")
			}
		}
		take(1000)
		st := b.Stats()
		if b.Held() != 0 || st.Given != given || st.Lost != lost || given > uint64(len(sent)) {
			t.Fatalf("%+v, given %d, lost %d, sent %d, held %d", st, given, lost, len(sent), b.Held())
		}
	})
}

func FuzzBuffer(f *testing.F) {
	f.Add([]byte{0, 1, 0, 2, 0xff, 0xff, 0x80, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, ms := New(Config{Packets: 16, Wait: 20 * time.Millisecond}), 0
		for ; len(data) >= 2; data = data[2:] {
			ms++
			seq := binary.BigEndian.Uint16(data)
			b.Push(seq, data[:2], at(ms))
			for {
				i, ok := b.Pop(at(ms))
				if !ok {
					break
				}
				if binary.BigEndian.Uint16(i.Packet) != i.Seq {
					t.Fatalf("packet %d holds % x", i.Seq, i.Packet)
				}
			}
			if b.Held() > 16 {
				t.Fatalf("%d held", b.Held())
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	b, p, seq := New(Config{Packets: 64}), make([]byte, 1200), uint16(0)
	step := func() {
		b.Push(seq^1, p, start) // pairs swapped
		b.Pop(start)
		b.Pop(start)
		seq++
	}
	for range 200 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPushPop(b *testing.B) {
	b.ReportAllocs()
	j, p, seq := New(Config{Packets: 64}), make([]byte, 1200), uint16(0)
	for b.Loop() {
		j.Push(seq, p, start)
		j.Pop(start)
		seq++
	}
}
