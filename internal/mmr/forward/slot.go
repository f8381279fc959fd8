package forward

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/keyframe"
	"causeway/internal/media/offer"
	"causeway/internal/media/rewrite"
	"causeway/internal/media/rtcpstat"
	"causeway/internal/media/seqmap"
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
	synchronized bool         // the mapping that was told came from sender reports
	nextSR       time.Time    //

	// Fixed, or atomic.
	id     protocol.SlotID
	kind   protocol.Source
	codecs []offer.Codec
	shard  atomic.Pointer[shard] // nil while the link is not up
}

// maxCarried is how many of the tracks that a slot has carried are known for
// repairs; package seqmap remembers as many switches.
const maxCarried = 16

// outgoing is a slot's stream; slots that never had a source do without.
type outgoing struct {
	newest uint16 // sequence number
	rtxSeq uint16
	length int // packets since the track began that is sent now
	budget int // of repairs
	// numbers are those that the latest packets carried, by sequence number;
	// nil where repairs have a stream of their own.
	numbers *[repairMemory]numbered
	stream  rewrite.Stream
	token   seqmap.Token
	carried [maxCarried]*track // by token, for repairs: the latest
	epochs  [maxCarried]uint8  // of the publisher's numbers
	repairs [repairMemory]repair
}

// numbered is a packet and its transport-wide number, if it had one.
type numbered struct {
	seq, number uint16
	has, sent   bool
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

func (s *Slot) newOutgoing() *outgoing {
	return &outgoing{
		stream: rewrite.New(rewrite.Config{
			SSRC: s.ssrc, ClockRate: s.codec.ClockRate,
			Sequence:  uint16(rand.Uint32() >> 17), // below 1<<15: SRTP counts rollovers from there (RFC 3711 section 3.3.1)
			Timestamp: rand.Uint32(),
			Verbatim:  s.link.trunk != nil,
		}),
		rtxSeq: uint16(rand.Uint32() >> 17),
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

// take sends a packet of the slot's source on, if it is for this slot. The
// shard is held.
func (s *Slot) take(sh *shard, p *packet, now time.Time) {
	if p.track != s.current || p.spell != s.spell || p.track.video {
		if !s.follow(sh, p, now) {
			return
		}
	}
	s.passOn(sh, p, now)
}

// passOn sends a packet as the next one of the slot's stream.
func (s *Slot) passOn(sh *shard, p *packet, now time.Time) {
	if s.link.queue != nil {
		s.link.unqueue(now) // before its scratch is used
	}
	buf := sh.scratch[room:]
	out, ok := s.write(buf[:copy(buf, p.raw)], p, now)
	if !ok {
		return
	}
	s.stats.Packet(p.PayloadEnd - p.PayloadAt)
	s.sent.budget = min(s.sent.budget+1, maxBudget)
	s.sent.newest = binary.BigEndian.Uint16(out[2:])
	s.sent.length++
	s.weigh(out)
	if s.link.trunk != nil {
		out = number(sh, out, p.Sequence, p.epoch)
	}
	if s.cc == 0 || !p.track.video || s.link.pass(s, s.sent.newest, len(out), now) {
		s.transmit(sh, out, now)
	}
}

// write makes a copy of the packet the next one of the slot's stream; false if
// nothing is to be sent.
func (s *Slot) write(packet []byte, p *packet, now time.Time) ([]byte, bool) {
	stream := &s.sent.stream
	if p.track.source.scalable && !s.pin.set {
		forward, last := s.layers.take(p, packet)
		if !forward {
			return stream.Skip(packet, 0)
		}
		if last {
			header.SetMarker(packet, true)
		}
		return stream.Rewrite(packet, now)
	}
	if p.track.codec != keyframe.VP8 || s.temporal.All() || s.pin.set {
		return stream.Rewrite(packet, now)
	}
	d, ok := vp8.Parse(p.Payload(packet))
	if forward, fresh := s.temporal.Take(&d); ok && !forward {
		pictures := uint16(0)
		if fresh {
			pictures = 1
		}
		return stream.Skip(packet, pictures)
	}
	return stream.Rewrite(packet, now)
}

// follow reports whether the packet is of the layer that the slot shows, and
// goes over to another track where that can begin.
func (s *Slot) follow(sh *shard, p *packet, now time.Time) bool {
	on := p.track != s.current && s.carriesOn(p)
	if !p.track.video {
		if !on {
			s.begin(p, now)
		}
		return true
	}
	if s.pin.set {
		return on || s.followPinned(sh, p, now)
	}
	if p.track.source.scalable {
		return on || s.followScalable(sh, p, now)
	}
	if s.current != nil && p.track == s.current && p.spell != s.spell {
		s.taker.Pause() // the picture before was another one
		s.current = nil
	}
	fresh := s.taker.Target() < 0 && !s.starved
	if fresh {
		s.choose(sh, now)
	}
	switch s.taker.Packet(p.track.layer, p.key) {
	case simulcast.Skip:
		if fresh { // this was no key frame
			s.aim(sh, now)
		}
		return false
	case simulcast.Forward:
		if on || p.track == s.current {
			return true
		}
		if !p.key { // the publisher began anew
			if now.Sub(s.asked) >= askAgain {
				s.askKey(sh, p.track.layer, now)
			}
			return false
		}
	case simulcast.Switch:
	}
	s.begin(p, now)
	return true
}

// followPinned is follow for a slot whose layer is not its own choice: it
// begins with a key frame and sends everything from there on.
func (s *Slot) followPinned(sh *shard, p *packet, now time.Time) bool {
	switch {
	case p.track.layer != s.pin.layer:
		return false
	case p.track == s.current && p.spell == s.spell:
		return true
	case p.key:
		s.begin(p, now)
		return true
	case now.Sub(s.asked) >= askAgain:
		s.askKey(sh, s.pin.layer, now)
	}
	return false
}

// begin makes the packet's track the one that is sent, from this packet on.
// The slot's shard is held.
func (s *Slot) begin(p *packet, now time.Time) {
	t := p.track
	s.current, s.spell = t, p.spell
	s.temporal.Begin(s.thin)
	if t.source.scalable {
		s.layers = newSelector(t.codec)
		s.layers.Aim(max(0, s.taker.Target()), s.thin)
	}
	s.faded(s.link.shard)
	o := s.sent
	o.token++
	o.carried[int(o.token)%len(o.carried)], o.epochs[int(o.token)%len(o.epochs)] = t, p.epoch
	o.length = 0
	source := rewrite.Source{Token: o.token, PayloadType: s.codec.PayloadType, Codec: t.codec, Layered: t.source.scalable && !s.pin.set}
	source.Redundant, source.RedundantTo = t.redundant, s.codec.RED
	switch {
	case t.codec == keyframe.AV1:
		if s.desc != 0 && t.descriptorID != 0 {
			source.Extensions, source.Descriptor = []header.IDMap{{From: t.descriptorID, To: s.desc}}, t.descriptorID
		}
	case s.level != 0 && t.levelID != 0:
		source.Extensions = []header.IDMap{{From: t.levelID, To: s.level}}
	}
	o.stream.Switch(source)
	s.nextSR, s.synchronized = now, false // tell the receiver's clock soon
	s.source.fans[s.link.shard.index].refresh()
	s.link.started.Store(true)
	s.link.notify()
}

// transmit sends a rewritten packet, which lies in the shard's scratch with
// room before it.
func (s *Slot) transmit(sh *shard, out []byte, now time.Time) {
	var n numbered
	if s.cc != 0 {
		n.number, n.has = s.link.path.number(len(out)+header.InsertRoom, now)
	}
	if s.repeats && binary.BigEndian.Uint32(out[8:]) == s.ssrc {
		if s.sent.numbers == nil {
			s.sent.numbers = new([repairMemory]numbered)
		}
		n.seq, n.sent = binary.BigEndian.Uint16(out[2:]), true
		s.sent.numbers[n.seq%repairMemory] = n
	}
	s.send(sh, out, n)
}

// repeat sends a packet again under its own sequence number; false if it is
// not remembered how it was sent. It has to be the same to the byte: with
// AES-GCM the number is the nonce, under which nothing else may ever be
// encrypted (RFC 5116 section 3.1).
func (s *Slot) repeat(sh *shard, out []byte) bool {
	if s.sent.numbers == nil {
		return false
	}
	seq := binary.BigEndian.Uint16(out[2:])
	n := s.sent.numbers[seq%repairMemory]
	if !n.sent || n.seq != seq {
		return false
	}
	s.send(sh, out, n)
	return true
}

// send sends a packet with the number that it is to carry.
func (s *Slot) send(sh *shard, out []byte, n numbered) {
	if n.has {
		at := len(sh.scratch) - cap(out)
		out = header.Insert(sh.scratch[:at+len(out)], at, s.cc, n.number)
	}
	var err error
	if n.sent {
		err = s.link.wire.SendVerbatim(out)
	} else {
		err = s.link.wire.SendRTP(out)
	}
	if err == nil {
		sh.count(packetsOut, 1)
		sh.count(bytesOut, uint64(len(out)))
		if s.link.trunk != nil {
			sh.count(relayedOut, 1)
		}
	}
}
