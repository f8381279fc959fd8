package seqmap

import (
	"testing"

	"pgregory.net/rapid"
)

// boundaries are starts around every wraparound.
var boundaries = []uint16{0, 1, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffd, 0xfffe, 0xffff}

func each(t *testing.T, f func(t *testing.T, src, out uint16)) {
	t.Helper()
	for _, src := range boundaries {
		for _, out := range boundaries {
			f(t, src, out)
		}
	}
}

// mapped checks a packet in both directions.
func mapped(t *testing.T, m *Map, source Token, seq, out uint16) {
	t.Helper()
	if got, ok := m.Map(seq); !ok || got != out {
		t.Fatalf("Map(%d) = %d, %v, want %d", seq, got, ok, out)
	}
	reversed(t, m, source, seq, out)
}

func reversed(t *testing.T, m *Map, source Token, seq, out uint16) {
	t.Helper()
	if s, n, ok := m.Reverse(out); !ok || s != source || n != seq {
		t.Fatalf("Reverse(%d) = %d, %d, %v, want %d, %d", out, s, n, ok, source, seq)
	}
}

func TestNothingBeforeTheFirstSwitch(t *testing.T) {
	var m Map
	if _, ok := m.Map(1); ok {
		t.Error("mapped")
	}
	if _, _, ok := m.Reverse(0); ok {
		t.Error("reversed")
	}
	if m.Drop(1, 0) {
		t.Error("dropped")
	}
}

func TestOneSource(t *testing.T) {
	each(t, func(t *testing.T, src, out uint16) {
		var m Map
		m.Start(out)
		m.Switch(7, src)
		for i := range uint16(40) {
			mapped(t, &m, 7, src+i, out+i)
		}
		if uint16(m.Next()) != out+40 {
			t.Fatalf("next %d", m.Next())
		}
		mapped(t, &m, 7, src+3, out+3)   // late
		mapped(t, &m, 7, src+50, out+50) // ahead
		mapped(t, &m, 7, src+45, out+45) // what was between
		if _, ok := m.Map(src - 1); ok {
			t.Fatal("mapped a packet from before the switch")
		}
		if _, _, ok := m.Reverse(out + 51); ok {
			t.Fatal("reversed what did not go out")
		}
		if _, _, ok := m.Reverse(out - 1); ok {
			t.Fatal("reversed what was before the start")
		}
	})
}

func TestSwitch(t *testing.T) {
	each(t, func(t *testing.T, src, out uint16) {
		var m Map
		m.Start(out)
		m.Switch(1, src)
		for i := range uint16(10) {
			mapped(t, &m, 1, src+i, out+i)
		}
		m.Switch(2, 500)
		mapped(t, &m, 2, 500, out+10)
		mapped(t, &m, 2, 502, out+12)
		if _, ok := m.Map(499); ok {
			t.Fatal("mapped what the second sent before the switch")
		}
		m.Switch(1, src+100)
		mapped(t, &m, 1, src+100, out+13)
		if _, ok := m.Map(src + 9); ok {
			t.Fatal("mapped what the first sent before it was left")
		}
		reversed(t, &m, 1, src+9, out+9)
		reversed(t, &m, 2, 501, out+11)
		reversed(t, &m, 1, src+100, out+13)
	})
}

func TestSwitchWithoutPackets(t *testing.T) {
	var m Map
	m.Switch(1, 10)
	m.Switch(2, 20)
	m.Switch(3, 30)
	if out, ok := m.Map(30); !ok || out != 0 {
		t.Errorf("%d %v", out, ok)
	}
	reversed(t, &m, 3, 30, 0)
	if m.n != 1 {
		t.Errorf("%d spans", m.n)
	}
}

func TestDrop(t *testing.T) {
	each(t, func(t *testing.T, src, out uint16) {
		var m Map
		m.Start(out)
		m.Switch(1, src)
		mapped(t, &m, 1, src, out)
		if !m.Drop(src+1, 0) || !m.Drop(src+2, 0) {
			t.Fatal("not dropped")
		}
		mapped(t, &m, 1, src+3, out+1)
		if m.Drop(src+3, 0) || m.Drop(src+2, 0) || m.Drop(src+5, 0) {
			t.Fatal("dropped what was not next")
		}
		for _, gone := range []uint16{1, 2} {
			if _, ok := m.Map(src + gone); ok {
				t.Fatalf("mapped dropped packet %d", gone)
			}
		}
		mapped(t, &m, 1, src, out)
		mapped(t, &m, 1, src+5, out+3)
		mapped(t, &m, 1, src+4, out+2)
		if !m.Drop(src+6, 0) {
			t.Fatal("not dropped")
		}
		mapped(t, &m, 1, src+7, out+4)
	})
}

func TestDropFirst(t *testing.T) {
	var m Map
	m.Switch(1, 0xffff)
	if !m.Drop(0xffff, 0) {
		t.Fatal("not dropped")
	}
	mapped(t, &m, 1, 0, 0)
	if _, ok := m.Map(0xffff); ok {
		t.Error("mapped the dropped one")
	}
}

// TestForgets: with more holes than ranges, the recent ones stay right.
func TestForgets(t *testing.T) {
	var m Map
	m.Switch(1, 0)
	out := uint16(0)
	for seq := uint16(0); seq < 4*maxRanges; seq += 2 {
		mapped(t, &m, 1, seq, out)
		out++
		if !m.Drop(seq+1, 0) {
			t.Fatal("not dropped")
		}
	}
	reversed(t, &m, 1, 4*maxRanges-2, out-1)
	reversed(t, &m, 1, 4*maxRanges-20, out-10)
	if _, _, ok := m.Reverse(0); ok {
		t.Error("remembers too much")
	}
	if _, ok := m.Map(0); ok {
		t.Error("maps what it forgot")
	}
}

// TestLongRun: one source over many cycles.
func TestLongRun(t *testing.T) {
	var m Map
	m.Start(40000)
	m.Switch(1, 65000)
	for i := range uint32(300000) {
		mapped(t, &m, 1, uint16(65000+i), uint16(40000+i))
	}
}

// TestModel compares with a plain list of what went out.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type packet struct {
			source Token
			seq    uint16
		}
		var m Map
		start := rapid.Uint16().Draw(t, "start")
		m.Start(start)
		var sent []packet
		source, seq := Token(0), rapid.Uint16().Draw(t, "seq")
		m.Switch(source, seq)
		switches := 1
		for range rapid.IntRange(1, 300).Draw(t, "n") {
			switch rapid.IntRange(0, 40).Draw(t, "what") {
			case 0:
				source++
				switches++
				seq = rapid.Uint16().Draw(t, "seq")
				m.Switch(source, seq)
			case 1:
				switches++
				if !m.Drop(seq, 0) {
					t.Fatalf("not dropped: %d", seq)
				}
				seq++
			default:
				out, ok := m.Map(seq)
				if want := start + uint16(len(sent)); !ok || out != want {
					t.Fatalf("Map(%d) = %d %v, want %d", seq, out, ok, want)
				}
				sent = append(sent, packet{source, seq})
				seq++
			}
		}
		for i, p := range sent {
			s, n, ok := m.Reverse(start + uint16(i))
			if ok && (s != p.source || n != p.seq) || !ok && switches <= maxRanges {
				t.Fatalf("Reverse of %d = %d %d %v, want %+v", i, s, n, ok, p)
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	var m Map
	m.Switch(1, 0)
	var seq uint16
	n := testing.AllocsPerRun(1000, func() {
		out, _ := m.Map(seq)
		m.Reverse(out)
		m.Drop(seq+1, 0)
		seq += 2
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMap(b *testing.B) {
	b.ReportAllocs()
	var m Map
	m.Switch(1, 0)
	var seq uint16
	for b.Loop() {
		m.Map(seq)
		seq++
	}
}

// TestLeftOut: which pictures were left out before a packet stays known, for
// repairs too.
func TestLeftOut(t *testing.T) {
	each(t, func(t *testing.T, src, out uint16) {
		var m Map
		m.Start(out)
		m.Switch(1, src)
		left := func(seq, want uint16) {
			t.Helper()
			if n, ok := m.Map(seq); !ok || m.LeftOut(n) != want {
				t.Fatalf("%d left out before %d, want %d", m.LeftOut(n), seq, want)
			}
		}
		left(src, 0)
		m.Drop(src+1, 1)
		m.Drop(src+2, 0) // of the same picture
		left(src+3, 1)
		left(src+5, 1)
		m.Drop(src+6, 1)
		left(src+7, 2)
		left(src+4, 1) // late
		left(src, 0)
		left(src+9, 2) // it was too late to drop it
		m.Skip(src+9, 1)
		m.Skip(src+7, 1) // that was long ago
		left(src+10, 3)
		left(src+8, 2)
		m.Switch(2, src)
		left(src, 0)
		if m.LeftOut(out) != 0 || m.LeftOut(out+5) != 2 {
			t.Fatal("forgotten at the switch")
		}
	})
}

// TestHole: what was left out right behind a packet is known; what a switch
// left behind is no hole.
func TestHole(t *testing.T) {
	each(t, func(t *testing.T, src, out uint16) {
		var m Map
		m.Start(out)
		m.Switch(1, src)
		for i := range uint16(4) {
			mapped(t, &m, 1, src+2*i, out+i)
			m.Drop(src+2*i+1, 0)
		}
		mapped(t, &m, 1, src+8, out+4)
		mapped(t, &m, 1, src+9, out+5)
		m.Skip(src+9, 1) // it had to keep its number
		mapped(t, &m, 1, src+10, out+6)
		m.Switch(2, src+100)
		mapped(t, &m, 2, src+100, out+7)
		for i := range uint16(9) {
			if got := m.Hole(out + i); got != (i < 4) {
				t.Fatalf("behind %d: %v", i, got)
			}
		}
	})
}
