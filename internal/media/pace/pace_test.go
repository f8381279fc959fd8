package pace

import (
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const packet = 1200

func newQueue() *Queue[int] {
	return New[int](Config{Burst: 5 * time.Millisecond, MaxWait: 100 * time.Millisecond, Packets: 64})
}

// empty pops everything, as time goes by, and returns when each packet left.
func empty(q *Queue[int], now time.Time) (left []time.Duration) {
	begin := now
	for i := 0; q.Len() > 0; {
		for {
			v, ok := q.Pop(now)
			if !ok {
				break
			}
			if v != i {
				panic("out of order")
			}
			i++
			left = append(left, now.Sub(begin))
		}
		now = now.Add(time.Millisecond)
	}
	return left
}

func TestPassesWhatKeepsToTheRate(t *testing.T) {
	q := newQueue()
	q.SetRate(2e6, start)
	for i := range 200 { // 1.92 Mbit/s
		if !q.Pass(packet, start.Add(time.Duration(i)*5*time.Millisecond)) {
			t.Fatalf("packet %d may not pass", i)
		}
	}
}

func TestLends(t *testing.T) {
	passing := func(q *Queue[int], now time.Time) (n int) {
		for q.Pass(packet, now) {
			n++
		}
		return n
	}
	q := newQueue()
	q.SetRate(4e6, start)
	usual := passing(q, start)
	now := start.Add(time.Second)
	q.Lend(24*time.Millisecond, now)
	now = now.Add(time.Second) // it is not lost by waiting
	if n, want := passing(q, now), usual+10; n != want {
		t.Errorf("%d pass at once, want %d", n, want)
	}
	if n := passing(q, now.Add(time.Second)); n != usual {
		t.Errorf("%d pass at once afterwards, want %d", n, usual)
	}
}

func TestNoRate(t *testing.T) {
	q := newQueue()
	for range 1000 {
		if !q.Pass(packet, start) {
			t.Fatal("does not pass without a rate")
		}
	}
}

func TestSpreadsAKeyFrame(t *testing.T) {
	tests := []struct {
		name    string
		rate    int
		packets int
		longest time.Duration
	}{
		{"at the rate", 4e6, 20, 50 * time.Millisecond},
		{"a slow path, but not longer than 100 ms", 300e3, 40, 101 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueue()
			q.SetRate(tt.rate, start)
			passed := 0
			for i := range tt.packets {
				if q.Pass(packet, start) {
					passed++
				} else if !q.Push(i-passed, packet, start) {
					t.Fatal("no room")
				}
			}
			if passed < 3 || passed > 5 {
				t.Errorf("%d pass at once", passed)
			}
			left := empty(q, start)
			last := left[len(left)-1]
			if last > tt.longest || last < tt.longest*6/10 {
				t.Errorf("the last left after %v", last)
			}
			for i, at := range left {
				if even := last * time.Duration(i) / time.Duration(len(left)); at < even*7/10-8*time.Millisecond {
					t.Errorf("packet %d of %d already left at %v", i, len(left), at)
				}
			}
		})
	}
}

// TestSoundMakesPicturesWait: it leaves by itself, and counts.
func TestSoundMakesPicturesWait(t *testing.T) {
	q := newQueue()
	q.SetRate(1e6, start)
	for range 100 {
		q.Charge(200, start)
	}
	if q.Pass(packet, start) {
		t.Error("a picture passes at once")
	}
	// But not for ever.
	if q.Push(0, packet, start); len(empty(q, start)) != 1 || !q.Pass(packet, start.Add(time.Second)) {
		t.Error("nothing passes later")
	}
	if _, ok := q.Pop(start); ok {
		t.Error("pops from an empty queue")
	}
}

func TestBounded(t *testing.T) {
	q := newQueue()
	q.SetRate(1e6, start)
	n := 0
	for q.Push(n, packet, start) {
		n++
	}
	if n != 64 || q.Len() != 64 || q.Bytes() != 64*packet {
		t.Errorf("%d packets, %d, %d bytes", n, q.Len(), q.Bytes())
	}
	if q.Wait(start) != 0 {
		t.Error("the first must wait")
	}
	q.Clear()
	if q.Len() != 0 || q.Bytes() != 0 {
		t.Error("not cleared")
	}
}

// TestWraps: the ring goes round without losing the order.
func TestWraps(t *testing.T) {
	q := newQueue()
	now, in, out := start, 0, 0
	q.SetRate(10e6, now)
	for range 1000 {
		for range 3 {
			if q.Push(in, packet, now) {
				in++
			}
		}
		now = now.Add(2500 * time.Microsecond)
		for {
			v, ok := q.Pop(now)
			if !ok {
				break
			}
			if v != out {
				t.Fatalf("%d after %d", v, out-1)
			}
			out++
		}
	}
	if out < 2400 {
		t.Errorf("%d left", out)
	}
}

func TestAllocations(t *testing.T) {
	q := newQueue()
	now := start
	q.SetRate(2e6, now)
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(3 * time.Millisecond)
		if !q.Pass(packet, now) {
			q.Push(0, packet, now)
		}
		q.Pop(now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
