package forward

import (
	"testing"
	"time"

	"causeway/protocol"
)

// TestTheSamePersonGoesOn gives a slot the source of a person's newer
// session: the older one is shown until the newer has a key frame.
func TestTheSamePersonGoesOn(t *testing.T) {
	for name, shards := range map[string][3]int{"one shard": {0, 0, 0}, "three shards": {0, 1, 2}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 3)
			older := r.publisher("ada", protocol.Camera, vp8Codec, shards[0], nil)
			newer := r.publisher("ada", protocol.Camera, vp8Codec, shards[1], nil)
			bob := r.taker(protocol.Camera, 1, shards[2], vp8Codec)
			bob.assign(0, older.source, 720)
			send := func(p *publisher, key bool, want int) {
				t.Helper()
				r.now = r.now.Add(33 * time.Millisecond)
				height := 0
				if key {
					height = 540
				}
				p.put(p.frame(0, key, height))
				r.router.Flush()
				if got := len(bob.wire.take()); got != want {
					t.Errorf("%d packets, want %d", got, want)
				}
			}
			send(older, true, 1)
			bob.assign(0, newer.source, 720)
			send(older, false, 1)
			send(newer, false, 0)
			send(older, false, 1)
			send(newer, true, 1)
			send(older, false, 0)
			send(newer, false, 1)
			if want := older.source.fans[shards[2]].want.Load(); want != 0 {
				t.Errorf("the older session is still wanted: %b", want)
			}
			bob.assign(0, older.source, 720)
			bob.assign(0, nil, 0)
			send(newer, false, 0)
			send(older, true, 0)
			if want := newer.source.fans[shards[2]].want.Load(); want != 0 {
				t.Errorf("still wanted after the slot was emptied: %b", want)
			}
		})
	}
}
