package forward

import (
	"time"

	"causeway/internal/media/depdesc"
	"causeway/internal/media/keyframe"
	"causeway/internal/media/offer"
	"causeway/internal/media/vp9"
)

// A scalable source (SVC) is one stream with its spatial and temporal layers
// inside. It has one track, number 0, and what is measured by layer is of its
// spatial layers, each with only what it adds to those below. Slots choose
// packet by packet; another router gets the stream whole and chooses for itself.
// Its publisher is asked for no more layers than somebody needs, here or there.

// Scalable reports whether a codec is sent so, rather than as simulcast.
func Scalable(c offer.Codec) bool {
	k := keyframe.CodecOf(c.Name)
	return k == keyframe.VP9 || k == keyframe.AV1
}

// measureVP9 notes a packet of a VP9 source.
func (s *Source) measureVP9(payload []byte, bytes int, now time.Time) {
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

// A selector chooses among the layers of a scalable source.
type selector interface {
	// Aim sets the layers to go over to.
	Aim(spatial, temporal int)
	// Current returns the layers that are forwarded, -1 if none are.
	Current() (spatial, temporal int)
	// WantsKey reports whether a key picture would bring a layer that is aimed
	// at.
	WantsKey() bool
	// take decides over a copy of the packet. last tells that it ends the picture
	// for the receiver.
	take(p *packet, raw []byte) (forward, last bool)
}

func newSelector(c keyframe.Codec) selector {
	if c == keyframe.AV1 {
		return &byDescriptor{depdesc.NewSelector()}
	}
	return &byPayload{vp9.NewSelector()}
}

// byDescriptor goes by dependency descriptors, as AV1 has them.
type byDescriptor struct{ depdesc.Selector }

func (s *byDescriptor) take(p *packet, raw []byte) (forward, last bool) {
	if p.structure == nil {
		return true, false
	}
	var d depdesc.Descriptor
	if !p.structure.Parse(p.Extension(raw, p.track.descriptorID), &d) {
		return false, false
	}
	return s.Take(p.structure, &d, p.Timestamp)
}

// byPayload goes by the payload descriptors of VP9.
type byPayload struct{ vp9.Selector }

func (s *byPayload) take(p *packet, raw []byte) (forward, last bool) {
	d, ok := vp9.Parse(p.Payload(raw))
	if !ok {
		return false, false
	}
	return s.Take(&d)
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

// wantedInside returns the layers of a scalable source that the slot needs to
// see, a bit each. The lowest stands for the stream, which has one track.
func (s *Slot) wantedInside() uint32 {
	switch target := s.taker.Target(); {
	case target >= 0:
		return 2<<target - 1
	case s.source.cfg.Far:
		return 1 // what comes first is what is asked for: the least
	}
	return allLayers
}

// serveInside has the other router's wishes for what a scalable source has
// inside count for the slot in which it gets the whole. The shard is held.
func (t *Trunk) serveInside(source *Source, now time.Time) {
	slot := t.sending[source.Stream()]
	if slot == nil || slot.source != source {
		return
	}
	var inside uint32
	for layer := range uint32(maxLayers) {
		if t.taken.wants(source.Stream()|layer, now) {
			inside |= 1 << layer
		}
	}
	if inside != slot.pin.inside {
		slot.pin.inside = inside
		source.fans[t.shard.index].refresh()
	}
}

// wantsKey returns the layer of whose key frame the slot has need.
func (s *Slot) wantsKey() (layer int, ok bool) {
	if s.source.scalable {
		return 0, !s.starved && (s.current == nil || s.layers.WantsKey())
	}
	return s.taker.WantsKey()
}
