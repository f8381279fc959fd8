package forward

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/keyframe"
	"causeway/internal/media/offer"
	"causeway/internal/media/rewrite"
	"causeway/internal/media/seqmap"
	"causeway/protocol"
)

// SlotConfig describes a slot.
type SlotConfig struct {
	ID         protocol.SlotID
	Kind       protocol.Source // which kind of source it takes
	SSRC, RTX  uint32          // RTX is 0 if retransmissions have no stream of their own
	Codecs     []offer.Codec   // that the receiver takes
	AudioLevel uint8           // id of the RFC 6464 header extension, 0 for none
}

// Slot is one stream that a participant receives.
type Slot struct {
	link   *Link
	id     protocol.SlotID
	kind   protocol.Source
	ssrc   uint32
	rtx    uint32
	codecs []offer.Codec
	level  uint8
	shard  atomic.Pointer[shard] // nil while the link is not up

	// Everything below belongs to the shard's holder.
	source  *Source
	height  int          // lines that are wanted
	codec   *offer.Codec // of the source, as the receiver knows it
	current *track       // whose packets are sent; nil until one begins
	target  int          // the layer that is wanted
	sent    *outgoing    // made when the slot gets its first source
	asked   time.Time    // when a key frame was last asked for
	chosen  time.Time    // when the layer was last chosen
	packets uint32       // sent, as in sender reports
	octets  uint32       //
	nextSR  time.Time    //
}

// maxCarried is how many of the tracks that a slot has carried are known for
// repairs; package seqmap remembers as many switches.
const maxCarried = 16

// outgoing is a slot's stream; slots that never had a source do without.
type outgoing struct {
	stream  *rewrite.Stream
	token   seqmap.Token
	carried [maxCarried]*track // by token, for repairs: the latest
	rtxSeq  uint16
	repairs [repairMemory]repair
}

func newSlot(l *Link, c SlotConfig) *Slot {
	return &Slot{link: l, id: c.ID, kind: c.Kind, ssrc: c.SSRC, rtx: c.RTX, codecs: c.Codecs, level: c.AudioLevel}
}

// ID is the slot's id.
func (s *Slot) ID() protocol.SlotID { return s.id }

// Kind says which kind of source the slot takes.
func (s *Slot) Kind() protocol.Source { return s.kind }

// Up reports whether the slot's connection is up. Any goroutine may ask.
func (s *Slot) Up() bool { return s.shard.Load() != nil }

// Takes reports whether the receiver can decode the source.
func (s *Slot) Takes(src *Source) bool { return s.codecFor(src) != nil }

func (s *Slot) codecFor(src *Source) *offer.Codec {
	for i := range s.codecs {
		if offer.Same(s.codecs[i], src.cfg.Codec) {
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
			s.choose(now)
			source.fans[sh.index].refresh()
		}
		return
	}
	if s.source != nil {
		s.source.fans[sh.index].remove(s)
	}
	s.source, s.current, s.asked, s.chosen = source, nil, time.Time{}, time.Time{}
	if source == nil {
		return
	}
	s.codec = s.codecFor(source)
	if s.codec == nil {
		s.source = nil
		return
	}
	if s.sent == nil {
		s.sent = s.newOutgoing()
	}
	if s.video() {
		s.choose(now)
		s.wantKey(now)
	}
	source.fans[sh.index].add(s)
}

func (s *Slot) newOutgoing() *outgoing {
	return &outgoing{
		stream: rewrite.New(rewrite.Config{
			SSRC: s.ssrc, ClockRate: s.codec.ClockRate,
			Sequence:  uint16(rand.Uint32() >> 17), // below 1<<15: SRTP counts rollovers from there (RFC 3711 section 3.3.1)
			Timestamp: rand.Uint32(),
		}),
		rtxSeq: uint16(rand.Uint32() >> 17),
	}
}

// wanted returns the layers that the slot needs to see, a bit each.
func (s *Slot) wanted() uint32 {
	if s.current == nil {
		return 1<<maxLayers - 1 // it starts with whatever begins first
	}
	return 1<<s.current.layer | 1<<s.target
}

// take sends a packet of the slot's source on, if it is for this slot. The
// shard is held.
func (s *Slot) take(sh *shard, p *packet, now time.Time) {
	if p.track != s.current && !s.follow(sh, p, now) {
		return
	}
	n := copy(sh.scratch[:], p.raw)
	out, ok := s.sent.stream.Rewrite(sh.scratch[:n], now)
	if !ok {
		return
	}
	s.packets++
	s.octets += uint32(p.PayloadEnd - p.PayloadAt)
	s.transmit(sh, out)
}

// follow makes the packet's track the one that is sent, if it may begin here.
func (s *Slot) follow(sh *shard, p *packet, now time.Time) bool {
	if s.video() {
		if !p.key {
			return false
		}
		if c := s.current; c != nil && p.track.layer != s.target && p.track.layer != c.layer {
			return false
		}
	}
	s.current = p.track
	o := s.sent
	o.token++
	o.carried[int(o.token)%len(o.carried)] = p.track
	source := rewrite.Source{Token: o.token, PayloadType: s.codec.PayloadType, Codec: keyframe.CodecOf(s.codec.Name)}
	if s.level != 0 && p.track.levelID != 0 {
		source.Extensions = []header.IDMap{{From: p.track.levelID, To: s.level}}
	}
	o.stream.Switch(source)
	s.nextSR = now // tell the receiver's clock soon
	s.source.fans[sh.index].refresh()
	s.link.started.Store(true)
	s.link.notify()
	return true
}

// transmit sends a rewritten packet.
func (s *Slot) transmit(sh *shard, out []byte) {
	if s.link.wire.SendRTP(out) == nil {
		sh.count(packetsOut, 1)
		sh.count(bytesOut, uint64(len(out)))
	}
}

// wantKey asks the publisher for a key frame of what the slot shows or waits
// for. The shard is held.
func (s *Slot) wantKey(now time.Time) {
	if s.source == nil || !s.video() {
		return
	}
	s.asked = now
	layer := s.target
	if s.current != nil && s.current.layer == s.target {
		layer = s.current.layer
	}
	t := s.source.layers[layer].Load()
	if t == nil {
		return // no packet of it yet; tick asks again
	}
	t.askKey(s.shard.Load(), now)
}
