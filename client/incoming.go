package client

import (
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"causeway/internal/media/header"
	"causeway/internal/media/jitter"
	"causeway/internal/media/nack"
	"causeway/internal/media/offer"
	"causeway/internal/media/opus"
	"causeway/internal/media/rtcpstat"
	"causeway/internal/media/rtx"
	"causeway/protocol"
)

const (
	// holdFor is how long frames wait for the router to say whose they are
	// and when they were captured; it says the latter every second.
	holdFor = 1500 * time.Millisecond
	maxHeld = 512 // frames
	// pliEvery is how often a key frame is asked for while one is needed.
	pliEvery = 500 * time.Millisecond
	// liveFor is how long after its last packet a slot is taken to carry
	// something.
	liveFor = 2 * time.Second
	// repairFor is how long missing packets are asked for, and how long what
	// follows them waits.
	repairFor  = time.Second
	maxWaiting = 1024 // packets
)

// An incoming is one slot: a stream of the router's that carries a source at
// a time. It repairs losses, puts frames together, and stamps them. Whoever
// uses it holds the connection's shard.
type incoming struct {
	id     protocol.SlotID
	link   *link
	ssrc   uint32
	rtx    uint32          // of retransmissions, 0 if none
	codecs map[uint8]Codec // by payload type
	rtxOf  map[uint8]uint8 // payload type of retransmissions → of what is sent again

	log       nack.Log
	order     *jitter.Buffer
	stats     rtcpstat.Receiver
	assembler assembler
	clock     slotClock

	owner   protocol.SlotState // whose frames these are; no participant: not known
	name    string
	held    []heldFrame
	lost    uint64    // packets that never came
	heardAt time.Time // last packet
	pliAt   time.Time // last key frame request
}

// A heldFrame waits for its owner's name or its time.
type heldFrame struct {
	frame Frame
	rtp   uint32
	at    time.Time // of arrival
}

// newIncoming makes the slot that an answer's line describes.
func newIncoming(id protocol.SlotID, l *offer.Line) *incoming {
	s := &incoming{id: id, ssrc: l.SSRCs[0], codecs: map[uint8]Codec{}, rtxOf: map[uint8]uint8{}}
	s.rtx = l.RTXOf[s.ssrc]
	for _, c := range l.Codecs {
		switch {
		case strings.EqualFold(c.Name, offer.Opus):
			s.codecs[c.PayloadType] = Opus
		case strings.EqualFold(c.Name, offer.VP8):
			s.codecs[c.PayloadType] = VP8
		case strings.EqualFold(c.Name, offer.H264):
			s.codecs[c.PayloadType] = H264
		}
		if c.RTX != 0 {
			s.rtxOf[c.RTX] = c.PayloadType
		}
	}
	s.clock.rate = videoClock
	if l.Kind == offer.Audio {
		s.clock.rate = opus.ClockRate
	}
	s.stats.ClockRate = s.clock.rate
	s.log.Patience = repairFor
	s.order = jitter.New(jitter.Config{Packets: maxWaiting, Wait: repairFor})
	return s
}

// receive takes a packet of the slot, sent once or again; it may change it.
func (s *incoming) receive(packet []byte, h header.Header, now time.Time) {
	s.heardAt = now
	if h.SSRC == s.rtx && s.rtx != 0 {
		primary, ok := s.rtxOf[h.PayloadType]
		if !ok {
			return
		}
		if packet, ok = rtx.Unwrap(packet, primary, s.ssrc); !ok {
			return // padding
		}
		h, _ = header.Parse(packet)
	} else {
		s.stats.Packet(h.Sequence, h.Timestamp, now)
	}
	if s.log.Receive(h.Sequence, now) != nack.Duplicate {
		s.order.Push(h.Sequence, packet, now)
		s.drain(now)
	}
}

// drain takes what can be had in order.
func (s *incoming) drain(now time.Time) {
	for {
		item, ok := s.order.Pop(now)
		if !ok {
			return
		}
		s.lost += item.Lost
		var p rtp.Packet
		if p.Unmarshal(item.Packet) != nil {
			continue
		}
		codec, ok := s.codecs[p.PayloadType]
		if !ok {
			continue
		}
		if codec != s.assembler.codec || item.Restart {
			s.assembler.reset(codec)
		}
		if f, ok := s.assembler.push(&p, int(item.Lost)); ok {
			s.hold(heldFrame{f, p.Timestamp, now})
		}
	}
}

// hold queues a frame and releases what can be released.
func (s *incoming) hold(h heldFrame) {
	if len(s.held) == maxHeld {
		s.discard()
	}
	s.held = append(s.held, h)
	s.release(h.at)
}

// release delivers held frames whose owner and time are known; those that
// have waited too long are stamped as they came, or thrown away.
func (s *incoming) release(now time.Time) {
	for len(s.held) > 0 {
		h := s.held[0]
		late := now.Sub(h.at) >= holdFor
		switch {
		case s.owner.Participant == "" && late:
			s.discard()
			continue
		case s.owner.Participant == "" || !s.clock.source && !late:
			return
		}
		s.held = s.held[1:]
		s.clock.guess(h.rtp, h.at)
		s.clock.source = true // what follows does not wait in vain once more
		s.deliver(h)
	}
}

// flush delivers what is held, whatever is known: the stream has ended.
func (s *incoming) flush() {
	for _, h := range s.held {
		if s.owner.Participant != "" {
			s.clock.guess(h.rtp, h.at)
			s.deliver(h)
		}
	}
	s.held = nil
}

// discard throws the oldest held frame away.
func (s *incoming) discard() {
	s.held = s.held[1:]
	if s.assembler.codec != Opus {
		s.assembler.needKey = true
		s.held = nil // they need what was thrown away
	}
}

func (s *incoming) deliver(h heldFrame) {
	f := h.frame
	f.Participant, f.Name, f.Source = s.owner.Participant, s.name, s.owner.Source
	f.Captured = s.clock.captured(h.rtp)
	if !s.link.emit(f) && f.Codec != Opus {
		s.assembler.needKey = true
	}
}

// assign says whose stream the slot carries from now on.
func (s *incoming) assign(state protocol.SlotState, name string, now time.Time) {
	if state.Participant == s.owner.Participant && state.Source == s.owner.Source {
		s.name = name
		return
	}
	known := s.owner.Participant != ""
	if known {
		s.flush() // it was the old owner's
		if s.assembler.codec != Opus {
			s.assembler.needKey = true
		}
	}
	s.owner, s.name = state, name
	s.clock.switched()
	s.release(now)
}

// sync takes the router's word on when the slot's samples are captured.
func (s *incoming) sync(m protocol.SlotSync, router routerClock) {
	s.clock.sync(m, router)
	s.release(time.Time{}) // nothing becomes late by this
}

// sent takes a sender report of the router.
func (s *incoming) sent(r *rtcp.SenderReport, now time.Time) {
	s.stats.SenderReport(r.NTPTime, now)
}

// report is the reception report of the slot; false: nothing came yet.
func (s *incoming) report(now time.Time) (rtcp.ReceptionReport, bool) {
	return s.stats.Report(s.ssrc, now)
}

// tick asks for what is missing, every 25 ms.
func (s *incoming) tick(now time.Time) []rtcp.Packet {
	var list []rtcp.Packet
	due, _ := s.log.Due(nil, now, s.link.rtt())
	if len(due) > 0 {
		list = append(list, &rtcp.TransportLayerNack{
			SenderSSRC: s.link.ssrc, MediaSSRC: s.ssrc,
			Nacks: rtcp.NackPairsFromSequenceNumbers(due),
		})
	}
	s.drain(now) // what has waited for long enough
	s.release(now)
	if s.wantsKey(now) {
		s.pliAt = now
		list = append(list, &rtcp.PictureLossIndication{SenderSSRC: s.link.ssrc, MediaSSRC: s.ssrc})
	}
	return list
}

// wantsKey reports whether it is time to ask for a key frame.
func (s *incoming) wantsKey(now time.Time) bool {
	picture := s.clock.rate == videoClock
	return picture && s.assembler.needKey && s.owner.Participant != "" &&
		now.Sub(s.heardAt) < liveFor && now.Sub(s.pliAt) >= pliEvery
}
