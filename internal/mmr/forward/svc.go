package forward

import (
	"time"

	"causeway/internal/media/keyframe"
	"causeway/internal/media/vp9"
)

// A scalable source (SVC) is one stream with its spatial and temporal layers
// inside. It has one track, number 0, and what is measured by layer is of its
// spatial layers, each with only what it adds to those below. Slots choose
// packet by packet; another router gets the stream whole and chooses for itself.

// scalable reports whether a codec is sent so, rather than as simulcast.
func scalable(c keyframe.Codec) bool { return c == keyframe.VP9 }

// measureScalable notes a packet of a scalable source.
func (s *Source) measureScalable(payload []byte, bytes int, now time.Time) {
	d, ok := vp9.Parse(payload)
	if !ok {
		return
	}
	s.measuring.Lock()
	defer s.measuring.Unlock()
	s.measures.Packet(int(d.SID), bytes, now)
	s.measures.Temporal(int(d.SID), int(d.TID))
	for i := range min(d.Layers, maxLayers) {
		s.measures.Size(i, d.Sizes[i].Width, d.Sizes[i].Height)
	}
}

// showing returns the layer that the slot sends, -1 for none, and up to which
// of its temporal layers.
func (s *Slot) showing() (spatial, temporal int) {
	switch {
	case s.source == nil || !s.source.scalable:
		return s.taker.Current(), s.temporal.Current()
	case s.current == nil:
		return -1, 0
	}
	return s.layers.Current()
}

// followScalable is follow for a scalable source: it begins with a key picture;
// which packets are sent is decided when they are written.
func (s *Slot) followScalable(sh *shard, p *packet, now time.Time) bool {
	switch {
	case s.starved:
		return false
	case p.track == s.current && p.spell == s.spell:
		return true
	case s.taker.Target() < 0:
		s.choose(sh, now)
	}
	if p.key && !s.starved {
		s.begin(p, now)
		return true
	}
	if now.Sub(s.asked) >= askAgain {
		s.askKey(sh, 0, now)
	}
	return false
}

// wantsKey returns the layer of whose key frame the slot has need.
func (s *Slot) wantsKey() (layer int, ok bool) {
	if s.source.scalable {
		return 0, !s.starved && (s.current == nil || s.layers.WantsKey())
	}
	return s.taker.WantsKey()
}
