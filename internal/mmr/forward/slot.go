package forward

import (
	"slices"
	"sync/atomic"
	"time"

	"causeway/internal/media/keyframe"
	"causeway/internal/media/offer"
	"causeway/internal/media/rtcpstat"
	"causeway/internal/media/simulcast"
	"causeway/internal/media/vp8"
	"causeway/protocol"
)

// SlotConfig describes a slot.
type SlotConfig struct {
	ID         protocol.SlotID
	Kind       protocol.Source // which kind of source it takes
	SSRC, RTX  uint32          // RTX is 0 if retransmissions have no stream of their own
	Codecs     []offer.Codec   // that the receiver takes
	AudioLevel uint8           // id of the RFC 6464 header extension, 0 for none
	// Descriptor is the id of the dependency descriptor, 0 for none.
	Descriptor uint8
	// TransportCC is the id of transport-wide sequence numbers, 0 for none.
	TransportCC uint8
}

// pin ties a slot to one layer of what it carries, for another router, which
// chooses the layers itself. The zero value leaves the choice to the slot.
type pin struct {
	set    bool
	layer  int
	inside uint32 // layers of a scalable source that are needed there, a bit each
}

// Slot is one stream that a participant receives.
type Slot struct {
	// Fixed, and touched for each packet.
	link  *Link
	ssrc  uint32
	rtx   uint32
	cc    uint8 // id of transport-wide sequence numbers, 0 for none
	level uint8 // of the RFC 6464 header extension, likewise
	desc  uint8 // of the dependency descriptor, likewise
	pin   pin

	// Of the shard's holder; what is touched for each packet comes first, so
	// that it takes few lines of a processor's cache.
	current      *track       // whose packets are sent; nil until one begins
	sent         *outgoing    // made when the slot gets its first source
	spell        uint32       // of current
	repeats      bool         // what is sent now has no stream of repairs
	redundant    bool         // what was sent last had redundant sound
	starved      bool         // the budget leaves nothing for the slot
	temporal     vp8.Temporal // layers of current that are sent
	taker        simulcast.Taker
	stats        rtcpstat.Sender
	source       *Source
	height       int          // lines that are wanted
	codec        *offer.Codec // of the source, as the receiver knows it
	fading       fading       // what is sent until current begins
	layers       selector     // of a scalable source; nil before the first
	thin         int          // temporal layer up to which those of the target will be
	asked        time.Time    // when a key frame was last asked for
	aimed        time.Time    // when the layer was last chosen
	granted      uint32       // version of the budget then
	share        int          // index into the budget's shares plus one; of its lock
	caught       *track       // whose packets up to a number were sent from the cache; nil for none
	caughtTo     uint16       //
	synchronized bool         // the mapping that was told came from sender reports
	nextSR       time.Time    //
	reported     uint8        // times since the clock is new

	// Fixed, or atomic.
	id     protocol.SlotID
	kind   protocol.Source
	codecs []offer.Codec
	shard  atomic.Pointer[shard] // nil while the link is not up
}

func newSlot(l *Link, c SlotConfig) *Slot {
	return &Slot{link: l, id: c.ID, kind: c.Kind, ssrc: c.SSRC, rtx: c.RTX, codecs: c.Codecs, level: c.AudioLevel, desc: c.Descriptor, cc: c.TransportCC}
}

// ID is the slot's id.
func (s *Slot) ID() protocol.SlotID { return s.id }

// Source is what the slot carries, nil for nothing. The slot's shard must be
// held.
func (s *Slot) Source() *Source { return s.source }

// Kind says which kind of source the slot takes.
func (s *Slot) Kind() protocol.Source { return s.kind }

// Up reports whether the slot's connection is up. Any goroutine may ask.
func (s *Slot) Up() bool { return s.shard.Load() != nil }

// Takes reports whether the receiver can decode the source.
func (s *Slot) Takes(src *Source) bool { return s.Decodes(src.cfg.Codec) }

// Decodes reports whether the receiver takes a codec.
func (s *Slot) Decodes(c offer.Codec) bool { return s.codecFor(c) != nil }

// codecFor returns a codec as the receiver knows it, nil if it does not.
func (s *Slot) codecFor(c offer.Codec) *offer.Codec {
	for i := range s.codecs {
		if offer.Same(s.codecs[i], c) {
			return &s.codecs[i]
		}
	}
	return nil
}

// video reports whether the slot carries pictures.
func (s *Slot) video() bool { return s.kind == protocol.Camera || s.kind == protocol.Screen }

// Assignment says what a slot carries from now on: Source, nil for nothing,
// at up to Height lines.
type Assignment struct {
	Slot   *Slot
	Source *Source
	Height int
}

// Assign carries out assignments, those of one shard together. No shard may
// be held. Slots whose connection is not up are passed over.
func (r *Router) Assign(changes []Assignment, now time.Time) {
	if len(changes) == 0 {
		return
	}
	for _, sh := range r.all() {
		if !slices.ContainsFunc(changes, func(c Assignment) bool { return c.Slot.shard.Load() == sh }) {
			continue
		}
		sh.runner.Run(func() {
			for _, c := range changes {
				if c.Slot.shard.Load() == sh {
					c.Slot.assign(c.Source, c.Height, sh, now)
				}
			}
		})
	}
	r.Flush()
}

// assign makes source what the slot carries. The shard is held.
func (s *Slot) assign(source *Source, height int, sh *shard, now time.Time) {
	s.height = height
	if source == s.source {
		if source != nil && s.video() {
			s.aim(sh, now)
		}
		return
	}
	s.faded(sh)
	if s.source != nil {
		s.source.fans[sh.index].remove(s)
		s.fade(source, sh)
	}
	s.source, s.current, s.taker, s.asked = source, nil, simulcast.NewTaker(), time.Time{}
	s.starved = false
	s.link.path.occupy(s, source != nil)
	if source == nil {
		return
	}
	s.codec = s.codecFor(source.cfg.Codec)
	s.repeats = s.rtx == 0 || s.codec == nil || s.codec.RTX == 0
	if s.codec == nil {
		s.source = nil
		s.faded(sh)
		return
	}
	if s.sent == nil {
		s.sent = s.newOutgoing()
	}
	if source.scalable && s.layers == nil { // else what fades goes by it until the source begins
		s.layers = newSelector(keyframe.CodecOf(source.cfg.Codec.Name))
	}
	source.fans[sh.index].add(s)
	s.link.rouse()
	if s.video() {
		s.aim(sh, now)
	}
}

// wanted returns the layers that the slot needs to see, a bit each.
func (s *Slot) wanted() uint32 {
	if s.pin.set {
		return 1<<s.pin.layer | s.pin.inside
	}
	if s.starved {
		return 0
	}
	if s.source != nil && s.source.scalable {
		return s.wantedInside()
	}
	var layers uint32
	if c := s.taker.Current(); c >= 0 {
		layers |= 1 << c
	}
	if t := s.taker.Target(); t >= 0 {
		layers |= 1 << t
	}
	if layers == 0 && s.source != nil && s.source.cfg.Far {
		return 1 // what comes first is what is asked for: the least
	}
	if layers == 0 {
		return 1<<maxLayers - 1 // whatever comes first
	}
	return layers
}

// aim chooses the layer for the wanted height, and asks for the key frame at
// which the slot can go over to it. The shard is held.
func (s *Slot) aim(sh *shard, now time.Time) {
	if s.pin.set {
		s.aimed = now
		if s.current == nil && now.Sub(s.asked) >= askAgain {
			s.askKey(sh, s.pin.layer, now)
		}
		return
	}
	s.choose(sh, now)
	if layer, ok := s.wantsKey(); ok && now.Sub(s.asked) >= askAgain {
		s.askKey(sh, layer, now)
	}
}

// choose chooses the layer alone.
func (s *Slot) choose(sh *shard, now time.Time) {
	s.aimed = now
	layers := s.source.measured()
	g := s.link.path.ask(s, &layers, now)
	height := max(s.height, 1)
	s.thin = vp8.MaxTemporal
	if !g.all {
		height, s.thin = min(height, g.height), g.temporal
	}
	starved := height == 0
	changed := s.taker.Aim(&layers, simulcast.Wish{Height: height}, now)
	if starved || g.urgent && !s.source.scalable && s.taker.Target() < s.taker.Current() {
		// Not even until the key frame of something less.
		s.taker.Pause()
		s.current = nil
	}
	switch current, target := s.taker.Current(), s.taker.Target(); {
	case s.source.scalable:
		s.layers.Aim(max(0, target), s.thin)
	case target == current:
		s.temporal.Aim(s.thin)
	case target < current:
		s.temporal.Aim(0) // until the key frame of something less
	default:
		s.temporal.Aim(vp8.MaxTemporal)
	}
	if changed || starved != s.starved {
		s.starved = starved
		s.source.fans[sh.index].refresh()
		s.asked = time.Time{}
	}
}

// askAgain is how often a slot repeats its wish for a key frame. The limiter
// at the publisher repeats requests by itself; this is for wishes that it
// took for granted too early.
const askAgain = time.Second

// askKey asks the publisher for a key frame of a layer. The shard is held.
func (s *Slot) askKey(sh *shard, layer int, now time.Time) {
	if t := s.source.layers[layer].Load(); t != nil {
		s.asked = now
		if s.current == nil && s.catchUp(sh, t, now) {
			return
		}
		t.askKey(sh, s.current == nil, now)
	}
}

// refreshPicture asks for a key frame because the receiver does. The shard is
// held.
func (s *Slot) refreshPicture(sh *shard, now time.Time) {
	if s.source == nil || !s.video() {
		return
	}
	// The publisher may have begun anew, so that the track is not s.current.
	layer := s.taker.Current()
	switch {
	case s.pin.set:
		layer = s.pin.layer
	case s.source.scalable:
		layer = 0
	}
	if layer >= 0 {
		s.askKey(sh, layer, now)
	}
}
