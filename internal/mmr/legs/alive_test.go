package legs

import (
	"testing"
	"time"

	"causeway/protocol"
)

// While media comes from a leg's router nobody there is lost, however long
// the bus is away; without, they are, and come back with the media.
func TestAlive(t *testing.T) {
	now := time.Unix(1000, 0)
	other := Address{Zone: "z", MMR: "r2"}
	s := New(Config{Self: Address{Zone: "z", MMR: "r1"}, Epoch: 1}, now)
	s.Hear(other, &protocol.LegUpdate{Epoch: 1, Version: 1, Whole: true, Parts: 1}, now)
	pass := func(d time.Duration, media bool) {
		for range d / time.Second {
			now = now.Add(time.Second)
			if media {
				s.Alive(other, now)
			}
			s.Poll(now)
		}
	}
	lost := func() bool { return s.Legs()[0].Lost }
	pass(5*time.Minute, true)
	if lost() {
		t.Fatal("lost though its media comes")
	}
	pass(SilentFor+time.Second, false)
	if !lost() {
		t.Fatal("not lost")
	}
	pass(time.Second, true)
	if lost() {
		t.Fatal("lost though its media comes again")
	}
	pass(SilentFor+LostFor+time.Second, false)
	if n := len(s.Legs()); n != 0 {
		t.Fatalf("%d legs", n)
	}
	s.Alive(other, now) // nobody knows it any more
}
