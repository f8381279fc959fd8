package cache

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1000, 0)

// packet makes a packet whose content follows from its number.
func packet(n uint32, size int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(n) + byte(i)
	}
	if size >= 4 {
		binary.BigEndian.PutUint32(p, n)
	}
	return p
}

func has(c *Cache, seq uint16, want []byte) bool {
	buf := make([]byte, MaxPacket)
	n, ok := c.Get(seq, buf)
	return ok && bytes.Equal(buf[:n], want)
}

func TestKeepsFromEveryBoundary(t *testing.T) {
	for _, first := range []uint16{0, 1, 0x7fff, 0x8000, 0xfffd, 0xffff} {
		c := New(Config{Packets: 64, Bytes: 1 << 20, Keep: time.Second})
		if c.Size() != 0 || has(c, first, nil) {
			t.Fatal("holds something at the start")
		}
		for i := range uint32(200) {
			c.Store(first+uint16(i), packet(i, 100+int(i)), start)
		}
		for i := range uint32(200) {
			if got, want := has(c, first+uint16(i), packet(i, 100+int(i))), i >= 200-64; got != want {
				t.Errorf("from %d: packet %d there: %v", first, i, got)
			}
		}
	}
}

func TestLate(t *testing.T) {
	c := New(Config{Packets: 16, Bytes: 1 << 20, Keep: time.Second})
	c.Store(100, packet(100, 50), start)
	c.Store(98, packet(98, 50), start)
	if !has(c, 98, packet(98, 50)) {
		t.Error("late packet not kept")
	}
	c.Store(84, packet(84, 50), start) // in the place of 100
	if has(c, 84, packet(84, 50)) || !has(c, 100, packet(100, 50)) {
		t.Error("too late a packet took a newer one's place")
	}
}

// TestStale: what was left from a cycle ago is not taken for the new.
func TestStale(t *testing.T) {
	c := New(Config{Packets: 16, Bytes: 1 << 20, Keep: time.Second})
	c.Store(5, packet(5, 50), start)
	for i := range uint32(7) { // jumps over place 5 for a whole cycle
		c.Store(uint16(6+i*9362), packet(6, 50), start)
	}
	if _, ok := c.Get(5, make([]byte, 100)); ok {
		t.Error("packet of the cycle before")
	}
}

func TestRestart(t *testing.T) {
	c := New(Config{Packets: 16, Bytes: 1 << 20, Keep: time.Second})
	c.Store(40000, packet(1, 50), start)
	c.Store(40000-maxBehind-1, packet(2, 50), start)
	if has(c, 40000, packet(1, 50)) || !has(c, 40000-maxBehind-1, packet(2, 50)) {
		t.Error("a source that began anew is not kept")
	}
}

func TestRefuses(t *testing.T) {
	c := New(Config{})
	c.Store(1, make([]byte, MaxPacket+1), start)
	c.Store(2, nil, start)
	if c.Size() != 0 {
		t.Error("kept what it should not")
	}
	c.Store(3, packet(3, MaxPacket), start)
	if _, ok := c.Get(3, make([]byte, MaxPacket-1)); ok {
		t.Error("copied into too small a buffer")
	}
	c.Reset()
	if _, ok := c.Get(3, make([]byte, MaxPacket)); ok {
		t.Error("there after Reset")
	}
}

// TestGrowsToWhatIsNeeded: memory follows the bit rate, up to the limit.
func TestGrowsToWhatIsNeeded(t *testing.T) {
	tests := []struct {
		name     string
		size     int
		interval time.Duration
		limit    int
		min, max int
	}{
		{"sound, 80 kbit/s", 200, 20 * time.Millisecond, 1 << 20, blockSize, 2 * blockSize},
		{"picture, 2 Mbit/s", 1200, 4800 * time.Microsecond, 1 << 20, 250000, 330000},
		{"limited", 1200, 4800 * time.Microsecond, 100 << 10, 7 * blockSize, 7 * blockSize},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := New(Config{Packets: 4096, Bytes: tt.limit, Keep: time.Second})
			now := start
			for i := range uint32(20000) {
				c.Store(uint16(i), packet(i, tt.size), now)
				now = now.Add(tt.interval)
			}
			if c.Size() < tt.min || c.Size() > tt.max {
				t.Errorf("%d bytes, want %d to %d", c.Size(), tt.min, tt.max)
			}
			young := int(min(time.Second/tt.interval-1, time.Duration((tt.limit-2*blockSize)/tt.size)))
			for i := range young {
				if n := uint32(19999 - i); !has(c, uint16(n), packet(n, tt.size)) {
					t.Fatalf("packet %d before the last is gone", i)
				}
			}
		})
	}
}

// TestModel: whatever Get returns is what was stored last under that number.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := New(Config{
			Packets: rapid.IntRange(1, 100).Draw(t, "packets"),
			Bytes:   rapid.IntRange(0, 5*blockSize).Draw(t, "bytes"), Keep: time.Second,
		})
		stored := map[uint16][]byte{}
		now, seq := start, rapid.Uint16().Draw(t, "seq")
		for i := range rapid.Uint32Range(1, 200).Draw(t, "n") {
			seq += uint16(rapid.IntRange(-3, 5).Draw(t, "step"))
			now = now.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "ms")) * time.Millisecond)
			p := packet(i, rapid.IntRange(1, MaxPacket).Draw(t, "size"))
			c.Store(seq, p, now)
			if c.Size() > 6*blockSize {
				t.Fatalf("%d bytes", c.Size())
			}
			if _, ok := stored[seq]; !ok {
				stored[seq] = p
			}
			buf := make([]byte, MaxPacket)
			if n, ok := c.Get(seq, buf); ok && bytes.Equal(buf[:n], p) {
				stored[seq] = p
			}
			for s, want := range stored {
				if n, ok := c.Get(s, buf); ok && !bytes.Equal(buf[:n], want) {
					t.Fatalf("packet %d is another", s)
				}
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	c := New(Config{Packets: 512, Bytes: 64 << 10, Keep: time.Second})
	p, buf, seq := packet(1, 1200), make([]byte, 1500), uint16(0)
	store := func() {
		c.Store(seq, p, start)
		c.Get(seq-10, buf)
		seq++
	}
	for range 1000 {
		store()
	}
	if n := testing.AllocsPerRun(1000, store); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkStore(b *testing.B) {
	b.ReportAllocs()
	c := New(Config{Packets: 512, Bytes: 512 << 10, Keep: time.Second})
	p, seq := packet(1, 1200), uint16(0)
	for b.Loop() {
		c.Store(seq, p, start)
		seq++
	}
}

func BenchmarkGet(b *testing.B) {
	b.ReportAllocs()
	c := New(Config{Packets: 512, Bytes: 512 << 10, Keep: time.Second})
	p, buf := packet(1, 1200), make([]byte, 1500)
	c.Store(1, p, start)
	for b.Loop() {
		c.Get(1, buf)
	}
}
