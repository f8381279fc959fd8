package forward

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"causeway/internal/media/keyframe"
	"causeway/internal/media/loudest"
	"causeway/internal/media/offer"
	"causeway/internal/media/simulcast"
	"causeway/protocol"
)

// maxLayers is how many simulcast layers a source may have.
const maxLayers = 3

// SourceConfig describes a source.
type SourceConfig struct {
	Owner   string // participant id
	Kind    protocol.Source
	Codec   offer.Codec
	Clock   *Clock   // of the participant; nil for what is Far
	Loudest *Loudest // where a microphone competes; nil for other sources
	// Stream names the source among routers; 0 makes a name.
	Stream uint32
	// Far says that another router forwards the source to this one, over a
	// Trunk; its owner is not here.
	Far bool
}

// NewStream names a source at random. The lowest three bits are free: they
// tell a stream's layers and their repairs apart.
func NewStream() uint32 { return (rand.Uint32() | 8) &^ 7 }

// ValidStream reports whether NewStream can have made a name.
func ValidStream(stream uint32) bool { return stream != 0 && stream&^streamMask == 0 }

// Source is one thing that a participant publishes. It starts out muted.
type Source struct {
	cfg    SourceConfig
	router *Router
	muted  atomic.Bool
	gone   atomic.Bool
	heard  atomic.Bool
	layers [maxLayers]atomic.Pointer[track] // lowest first; nil until its first packet
	fans   []fan                            // by shard

	// Of what comes from another router; see way.
	mutes  atomic.Uint32 // how often it was muted
	fronts [maxLayers]front
	prefer atomic.Pointer[Neighbour]
	ahead  ahead

	scalable  bool          // one stream holds all layers
	offered   int           // layers
	requested atomic.Uint32 // layers that the publisher is to send, a bit each
	expected  atomic.Bool   // takers are about to come
	demand    demand        // of the publisher's shard

	measuring sync.Mutex // of layers' sizes and rates, read by other shards
	measures  simulcast.Layers

	entry loudest.ID // in cfg.Loudest, of its lock; 0 is none
}

// fan holds the slots of one shard that take a source. Only the shard's
// holder touches slots; want is read by the publisher's shard.
type fan struct {
	slots []*Slot
	fades []*Slot       // that show it until another source begins
	want  atomic.Uint32 // layers that the slots need, a bit each
}

// NewSource makes a source. Start must have been called.
func (r *Router) NewSource(cfg SourceConfig) *Source {
	if cfg.Stream == 0 {
		cfg.Stream = NewStream()
	}
	s := &Source{cfg: cfg, router: r, fans: make([]fan, len(r.all())), offered: 1}
	s.scalable = Scalable(cfg.Codec)
	s.muted.Store(true)
	s.requested.Store(allLayers)
	return s
}

// Owner is the participant who publishes the source.
func (s *Source) Owner() string { return s.cfg.Owner }

// Kind says what the source is.
func (s *Source) Kind() protocol.Source { return s.cfg.Kind }

// Stream names the source among the routers of the meeting.
func (s *Source) Stream() uint32 { return s.cfg.Stream }

// Codec is the source's codec, as its owner knows it.
func (s *Source) Codec() offer.Codec { return s.cfg.Codec }

// SetMuted stops the source from being forwarded, or lets it through. Any
// goroutine may call it.
func (s *Source) SetMuted(muted bool) {
	if s.muted.Swap(muted) == muted || !muted {
		return
	}
	s.mutes.Add(1)
	if s.cfg.Loudest != nil {
		s.cfg.Loudest.remove(s)
	}
}

// Muted reports whether the source is not forwarded.
func (s *Source) Muted() bool { return s.muted.Load() || s.gone.Load() }

// Heard reports whether a packet of the source has ever come.
func (s *Source) Heard() bool { return s.heard.Load() }

// Retire ends the source for good; its owner is gone.
func (s *Source) Retire() {
	s.gone.Store(true)
	s.SetMuted(true)
	if s.cfg.Loudest != nil {
		s.cfg.Loudest.remove(s)
	}
}

// measure notes a packet of a layer, and the size of the picture if it tells.
func (s *Source) measure(layer, bytes int, info *keyframe.Info, now time.Time) {
	s.measuring.Lock()
	defer s.measuring.Unlock()
	s.measures.Packet(layer, bytes, now)
	s.measures.Size(layer, info.Width, info.Height)
	s.measures.Temporal(layer, int(info.Temporal))
}

// divided notes that a layer of a far source has temporal layers: of those its
// router does not tell.
func (s *Source) divided(layer int, temporal uint8) {
	s.measuring.Lock()
	defer s.measuring.Unlock()
	s.measures.Temporal(layer, int(temporal))
}

// measured returns what is known of the layers. Any goroutine may ask.
func (s *Source) measured() simulcast.Layers {
	s.measuring.Lock()
	defer s.measuring.Unlock()
	return s.measures
}

// Comes reports whether anything of the source comes, or would if it were asked
// for. Any goroutine may ask.
func (s *Source) Comes(now time.Time) bool {
	layers := s.measured()
	for i := range maxLayers {
		if layers.Active(i, now) {
			return true
		}
	}
	return false
}

// arrived notes that a packet came. The publisher's shard is held.
func (s *Source) arrived(on *Link) {
	if !s.heard.Load() {
		s.heard.Store(true)
		on.notify()
	}
}

// deliver hands packets that came one after the other to all takers. The
// publisher's shard is held.
func (s *Source) deliver(sh *shard, run []packet, now time.Time) {
	var layers uint32
	for i := range run {
		layers |= 1 << run[i].track.layer
	}
	others := false
	for i := range s.fans {
		if s.fans[i].want.Load()&layers == 0 {
			continue
		}
		if i == sh.index {
			s.fans[i].deliver(sh, run, now)
		} else {
			others = true
		}
	}
	if !others {
		return
	}
	for i := range run {
		s.handOver(sh, &run[i], now, 1<<run[i].track.layer)
	}
}

// handOver puts a copy of the packet into the inboxes of the other shards
// that have takers.
func (s *Source) handOver(sh *shard, p *packet, now time.Time, bit uint32) {
	shards := s.router.all()
	// One reference more than takers may be needed: what fans want may change
	// between two looks at it. It is given back at the end.
	buf := s.router.free.copyOf(p.raw, int32(len(shards)))
	used := int32(0)
	for i := range s.fans {
		if i == sh.index || s.fans[i].want.Load()&bit == 0 {
			continue
		}
		it := item{packet: *p, buf: buf, now: now}
		it.packet.raw = nil
		if !shards[i].in.put(it) {
			s.router.drops.Add(1)
			continue
		}
		used++
	}
	for range int32(len(shards)) - used {
		s.router.free.release(buf)
	}
}

// deliver hands packets to the slots on one shard, which is held: all to one
// slot after the other, so that those of a picture leave as one, and what is
// kept of a slot and its connection is brought into the processor's cache once.
func (f *fan) deliver(sh *shard, run []packet, now time.Time) {
	for i, slot := range f.slots {
		f.prefetch(i)
		for i := range run {
			slot.take(sh, &run[i], now)
		}
	}
	for _, slot := range f.fades {
		for i := range run {
			slot.goOn(sh, &run[i], now)
		}
	}
}

// add makes a slot a taker. The slot's shard is held.
func (f *fan) add(slot *Slot) {
	f.slots = append(f.slots, slot)
	f.refresh()
}

// remove ends that. The slot's shard is held.
func (f *fan) remove(slot *Slot) {
	f.slots = without(f.slots, slot)
	f.refresh()
}

// without takes a slot out of a list, whose order does not matter.
func without(slots []*Slot, slot *Slot) []*Slot {
	i := slices.Index(slots, slot)
	if i < 0 {
		return slots
	}
	last := len(slots) - 1
	slots[i], slots[last] = slots[last], nil
	return slots[:last]
}

// addFading makes a slot one that shows the source until another begins. The
// slot's shard is held.
func (f *fan) addFading(slot *Slot) {
	f.fades = append(f.fades, slot)
	f.refresh()
}

// removeFading ends that. The slot's shard is held.
func (f *fan) removeFading(slot *Slot) {
	f.fades = without(f.fades, slot)
	f.refresh()
}

// refresh works out which layers the slots need.
func (f *fan) refresh() {
	var want uint32
	for _, slot := range f.slots {
		want |= slot.wanted()
	}
	for _, slot := range f.fades {
		want |= 1 << slot.fading.track.layer
		if slot.fading.source.scalable {
			want |= allLayers
		}
	}
	f.want.Store(want)
}
