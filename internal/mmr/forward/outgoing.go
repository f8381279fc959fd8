package forward

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/keyframe"
	"causeway/internal/media/rewrite"
	"causeway/internal/media/seqmap"
	"causeway/internal/media/simulcast"
	"causeway/internal/media/vp8"
)

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
	if s.caught != nil && s.has(p) {
		return false
	}
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
	s.link.pictured = s.link.pictured || t.video
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
	s.nextSR, s.reported, s.synchronized = now, 0, false // tell the receiver's clock soon
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
