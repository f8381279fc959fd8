package meeting

import (
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"causeway/protocol"
)

// films sends a key frame of the camera every 50 ms, in virtual time, unless
// the client was told not to, and returns what it was told last.
func (m *member) films(d time.Duration, told []bool) []bool {
	for range d / (50 * time.Millisecond) {
		for _, msg := range m.hear() {
			if l, ok := msg.(*protocol.Layers); ok {
				told = l.Active
			}
		}
		if told == nil || told[0] {
			m.sent++
			m.shard.Run(func() { m.video.RTP(picture(m.sent), time.Now()) })
		}
		time.Sleep(50 * time.Millisecond) // virtual time
		m.shard.Run(func() { m.router.Tick(0, time.Now()) })
	}
	synctest.Wait()
	return told
}

// picture is a VP8 key frame.
func picture(seq uint16) []byte {
	p := make([]byte, 12, 64)
	p[0], p[1] = 0x80, 0x80|96
	binary.BigEndian.PutUint16(p[2:], seq)
	binary.BigEndian.PutUint32(p[4:], uint32(seq)*4500)
	p[11] = 7
	return append(p, 0x10, 0, 0, 0, 0x9D, 0x01, 0x2A, 64, 1, 180, 0, 1, 2, 3)
}

// TestFirstPictureIsMadeReady: the camera that is seen first has a key frame
// asked for when somebody seems to come, once for all who do, and less and less
// often while nobody comes.
func TestFirstPictureIsMadeReady(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ann := h.join("ann", protocol.Host)
		told := ann.films(time.Second, nil)
		asked := func(d time.Duration) int {
			before := h.router.Traffic().KeyRequests
			for range d / (100 * time.Millisecond) {
				h.m.Soon()
				h.m.Soon()
				told = ann.films(100*time.Millisecond, told)
			}
			return int(h.router.Traffic().KeyRequests - before)
		}
		if n := asked(5 * time.Second); n != 5 {
			t.Errorf("asked for %d key frames in 5 s, want one a second", n)
		}
		if n := asked(5 * time.Minute); n > 5*60/32+5 {
			t.Errorf("asked for %d key frames in five minutes in which nobody came", n)
		}
		h.admit("ben", protocol.Guest)
		told = ann.films(time.Second, told) // the camera begins anew
		if n := asked(3 * time.Second); n != 3 {
			t.Errorf("asked for %d key frames in 3 s after somebody came", n)
		}
	})
}

func TestPublisherIsToldWhatIsTaken(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		ann := h.join("ann", protocol.Host)
		told := ann.films(4*time.Second, nil)
		if told != nil {
			t.Errorf("told %v at the beginning", told)
		}
		if told = ann.films(2*time.Second, told); !slices.Equal(told, []bool{false}) {
			t.Errorf("told %v though nobody is there", told)
		}
		// Somebody is in the lobby, and goes away again.
		for range 8 {
			h.m.Expect()
			if told = ann.films(time.Second, told); !slices.Equal(told, []bool{true}) {
				t.Errorf("told %v while somebody is about to come", told)
			}
		}
		if told = ann.films(6*time.Second, told); !slices.Equal(told, []bool{false}) {
			t.Errorf("told %v when nobody is any more", told)
		}
		// Another one is admitted: the first picture does not wait for its wish.
		ben := h.admit("ben", protocol.Guest)
		if told = ann.films(200*time.Millisecond, told); !slices.Equal(told, []bool{true}) {
			t.Errorf("told %v when somebody comes", told)
		}
		ben.up()
		ben.attach()
		ben.say(&protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ann", MaxHeight: 720}}})
		if told = ann.films(20*time.Second, told); !slices.Equal(told, []bool{true}) {
			t.Errorf("told %v while somebody watches", told)
		}
		ben.say(&protocol.Want{})
		if told = ann.films(6*time.Second, told); !slices.Equal(told, []bool{false}) {
			t.Errorf("told %v when nobody watches any more", told)
		}
		// Whoever opens the channel anew is told again.
		ann.attach()
		if told = ann.films(100*time.Millisecond, nil); !slices.Equal(told, []bool{false}) {
			t.Errorf("told %v on a new channel", told)
		}
		ben.say(&protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ann", MaxHeight: 180}}})
		if told = ann.films(200*time.Millisecond, told); !slices.Equal(told, []bool{true}) {
			t.Errorf("told %v when somebody watches again", told)
		}
	})
}
