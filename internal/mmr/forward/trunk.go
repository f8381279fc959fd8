package forward

import (
	"slices"
	"sync/atomic"
	"time"

	"causeway/internal/media/offer"
	"causeway/protocol"
)

// What the packets between routers look like: the codec follows from the
// stream, so one payload type does for all, and one for sound that carries
// what was before once more; so does one for repairs of each (RFC 4588), and a
// fixed id for the level of sound (RFC 6464).
const (
	trunkType   = 96
	trunkRTX    = 97
	trunkRED    = 98 // with redundant sound (RFC 2198)
	trunkREDRTX = 99
	trunkLevel  = 1
	trunkCC     = 3 // of transport-wide sequence numbers
	// trunkNumber is the id of the number that the packet has on its
	// publisher's router; see way.
	trunkNumber     = 2
	trunkDescriptor = 4 // of AV1's layers
)

var trunkForm = form{levelID: trunkLevel, descriptorID: trunkDescriptor, plain: trunkType, redundant: trunkRED}

// Synchronisation sources between routers: the stream's name, and in its
// lowest bits the layer and whether it is repairs of that.
const (
	streamMask = ^uint32(7)
	layerMask  = 3
	repairBit  = 4
)

// idleTrack is how long a track that nobody takes is remembered.
const idleTrack = 10 * time.Second

// A Trunk is a media connection to another router that has a leg of the same
// meeting. It carries, in each direction, those streams and layers that the
// receiving router asks for (see take), each in a slot that is tied to it, so
// that sequence numbers and timestamps go on whatever happens to the source.
// Microphones are not asked for one by one: each router sends its loudest.
type Trunk struct {
	*Link
	from  *Neighbour
	word  Word
	pulse Pulse
	plan  atomic.Pointer[Plan]

	// Everything below belongs to the shard's holder.
	applied  *Plan                 // the plan that is carried out
	own      map[uint32]*Source    // by stream
	far      map[uint32]*Source    //
	sending  map[uint32]*Slot      // by synchronisation source
	coming   map[uint32]*track     // primary ones
	repaired map[uint32]*track     // by the synchronisation source of their repairs
	latest   [latestStreams]stream // that find found, each in its place

	taken taken // what the other router asks for
	loads loads // of pictures among that
	asks  asks  // what this one does
	says  says  // what this one tells of its layers
	swept time.Time

	measured time.Time // when this side last measured the round trip
}

// Plan says what a trunk has to do with. It is not changed once it is given.
type Plan struct {
	Own []*Source // that the other router may ask for
	Far []*Source // that it may send
	// Loud are the loudest microphones among Own, or for pictures, those of
	// whom they show.
	Loud []*Source
	// Listen asks for the loudest of the other router.
	Listen bool
}

// A Word is what routers tell each other every second beside media. Its
// methods are called with a shard held, and must not block.
type Word interface {
	Say(dst []byte, now time.Time) []byte
	Hear(data []byte, now time.Time)
}

// A Pulse finds out whether the other router lives, by questions that this one
// answers at once. Its methods are called with a shard held, and must not block.
type Pulse interface {
	// Ask says whether a question is due, and which.
	Ask(now time.Time) (question uint32, due bool)
	// Answered takes a question that has been answered.
	Answered(question uint32, now time.Time)
}

// TrunkConfig describes a trunk.
type TrunkConfig struct {
	Kind   protocol.MediaKind
	From   *Neighbour
	Word   Word   // nil for none
	Pulse  Pulse  // nil for none
	Notify func() // as LinkConfig.Notify
}

// NewTrunk makes the packet path of a connection to another router. Its Link
// is told of the connection, as that of a participant is.
func (r *Router) NewTrunk(c TrunkConfig) *Trunk {
	t := &Trunk{
		Link: r.NewLink(LinkConfig{Kind: c.Kind, Notify: c.Notify}), from: c.From, word: c.Word, pulse: c.Pulse, applied: &Plan{},
		sending: map[uint32]*Slot{}, coming: map[uint32]*track{}, repaired: map[uint32]*track{},
	}
	t.trunk = t
	t.path.budget = c.From.budget
	t.twccID = trunkCC
	t.loads.all = map[uint32]*load{}
	t.types[trunkType] = ptype{publish: 1}
	t.types[trunkRTX] = ptype{publish: 1, rtx: true, primary: trunkType}
	t.types[trunkRED] = ptype{publish: 1}
	t.types[trunkREDRTX] = ptype{publish: 1, rtx: true, primary: trunkRED}
	t.taken.until = map[uint32]taking{}
	t.plan.Store(t.applied)
	return t
}

// Carry gives the trunk another plan. It is carried out at the next tick, or
// at once with Router.Settle.
func (t *Trunk) Carry(p *Plan) { t.plan.Store(p) }

// Settle lets a trunk that lives on the shard with the given index carry out
// its plan now. No shard may be held.
func (r *Router) Settle(index int, t *Trunk, now time.Time) {
	r.all()[index].runner.Run(func() {
		if t.shard != nil && t.shard.index == index && !t.closed {
			t.carryOut(now)
			t.ask(now)
		}
	})
	r.Flush()
}

// ready begins: what there is is told at the first tick. The shard is held.
func (t *Trunk) ready(now time.Time) {
	t.rouse()
	t.carryOut(now)
	t.ask(now)
	t.say(now)
}

// carryOut takes a new plan into use. The shard is held.
func (t *Trunk) carryOut(now time.Time) {
	p := t.plan.Load()
	if p == t.applied {
		return
	}
	before := t.applied
	t.applied = p
	if !same(p.Far, before.Far) {
		t.far = byStream(p.Far)
		for ssrc, tr := range t.coming {
			if t.far[ssrc&streamMask] != tr.source {
				t.drop(ssrc, tr)
			}
		}
		t.asks.restart(p)
	}
	if p.Listen != before.Listen {
		t.asks.at = time.Time{}
	}
	if !same(p.Own, before.Own) {
		t.own = byStream(p.Own)
		for ssrc, slot := range t.sending {
			if t.own[ssrc&streamMask] == nil {
				t.end(ssrc, slot)
			}
		}
	}
	t.serve(now)
}

// same reports whether two lists are one, so that there is nothing to do for
// either of hundreds when only who is loudest has changed.
func same(a, b []*Source) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func byStream(sources []*Source) map[uint32]*Source {
	m := make(map[uint32]*Source, len(sources))
	for _, s := range sources {
		m[s.Stream()] = s
	}
	return m
}

// latestStreams is how many streams are found without a look into a map, if
// they have places of their own; it is a power of two.
const latestStreams = 16

// find returns the stream that a packet belongs to, nil if there is none.
func (t *Trunk) find(p *packet) *stream {
	latest := &t.latest[(p.SSRC>>3+p.SSRC)%latestStreams] // names are random, with the layer in the lowest bits
	if latest.ssrc == p.SSRC && latest.track != nil {
		return latest
	}
	kind := t.types[p.PayloadType]
	if kind.publish == 0 || kind.rtx != (p.SSRC&repairBit != 0) {
		return nil
	}
	var tr *track
	if kind.rtx {
		tr = t.repaired[p.SSRC]
	} else if tr = t.coming[p.SSRC]; tr == nil {
		tr = t.begin(p.SSRC)
	}
	if tr == nil {
		return nil
	}
	*latest = stream{ssrc: p.SSRC, track: tr, rtx: kind.rtx}
	return latest
}

// begin makes the track of a stream's layer that has not come before.
func (t *Trunk) begin(ssrc uint32) *track {
	source, layer := t.far[ssrc&streamMask], int(ssrc&layerMask)
	if source == nil || layer >= maxLayers {
		return nil
	}
	tr := newTrack(t.Link, source, trunkForm, layer, ssrc)
	t.Link.tracks = append(t.Link.tracks, tr)
	t.coming[ssrc], t.repaired[ssrc|repairBit] = tr, tr
	return tr
}

// drop forgets a track.
func (t *Trunk) drop(ssrc uint32, tr *track) {
	tr.close()
	delete(t.coming, ssrc)
	delete(t.repaired, ssrc|repairBit)
	t.Link.tracks = slices.DeleteFunc(t.Link.tracks, func(x *track) bool { return x == tr })
	for i := range t.latest {
		if t.latest[i].track == tr {
			t.latest[i] = stream{}
		}
	}
}

// slot returns the slot of a stream's layer, making it if it is new.
func (t *Trunk) slot(source *Source, ssrc uint32) *Slot {
	if s := t.sending[ssrc]; s != nil {
		return s
	}
	codec := source.cfg.Codec
	codec.PayloadType, codec.RTX, codec.RED = trunkType, trunkRTX, trunkRED
	s := newSlot(t.Link, SlotConfig{
		ID: "relay", Kind: source.Kind(), SSRC: ssrc, RTX: ssrc | repairBit,
		Codecs:     []offer.Codec{codec, {PayloadType: trunkRED, RTX: trunkREDRTX}},
		AudioLevel: trunkLevel, Descriptor: trunkDescriptor, TransportCC: trunkCC,
	})
	s.pin = pin{set: true, layer: int(ssrc & layerMask)}
	s.shard.Store(t.shard)
	t.sending[ssrc] = s
	t.Link.slots = append(t.Link.slots, s)
	return s
}

// end forgets a slot whose source is gone; its name is not used again.
func (t *Trunk) end(ssrc uint32, s *Slot) {
	s.assign(nil, 0, t.shard, time.Time{})
	s.shard.Store(nil)
	delete(t.sending, ssrc)
	t.Link.slots = slices.DeleteFunc(t.Link.slots, func(x *Slot) bool { return x == s })
}

// tick does what is due. The shard is held.
func (t *Trunk) tick(now time.Time) {
	t.carryOut(now)
	t.weigh(now)
	t.ask(now)
	t.say(now)
	if t.pulse != nil {
		if question, due := t.pulse.Ask(now); due {
			t.question(question)
		}
	}
	if now.Sub(t.swept) < time.Second {
		return
	}
	t.swept = now
	t.unload()
	if t.word != nil {
		t.tell(wordName, t.word.Say(t.shard.scratch[:0], now))
	}
	t.serve(now) // what is not repeated ends
	for ssrc, tr := range t.coming {
		if now.Sub(tr.lastAt) >= idleTrack && !tr.wanted() {
			t.drop(ssrc, tr)
		}
	}
}
