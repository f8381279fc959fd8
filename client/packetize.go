package client

import (
	"math/rand/v2"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"causeway/internal/media/cache"
	"causeway/internal/media/opus"
	"causeway/internal/media/rtcpstat"
	"causeway/protocol"
)

// maxPayload bounds the payload of an RTP packet, so that with headers,
// extensions and SRTP it fits every usual path (1200 of 1280 bytes).
const maxPayload = 1120

// videoClock is the RTP clock of pictures, Hz.
const videoClock = 90000

// An outgoing is one RTP stream that we send: its numbering and headers.
// Whoever uses it holds the connection's shard.
type outgoing struct {
	ssrc, rtx           uint32
	payloadType, rtxPT  uint8
	clock               int // Hz
	base                uint32
	sequence, rtxNumber uint16
	extensions          extensions
	mid, layer          string
	source              protocol.Source

	stats   rtcpstat.Sender
	sent    *cache.Cache // lately, for retransmission
	lastRTP uint32
	lastAt  time.Time // when lastRTP was captured
	silent  bool      // the last piece of sound was silence
	acked   bool      // a receiver report says that packets arrived

	paused bool // nobody takes it; of the publisher's lock
	waits  bool // for a key frame, since it was paused; of the publisher's lock

	payloader rtp.Payloader
}

// extensions are the ids of the header extensions agreed on, 0 for none.
type extensions struct {
	level, mid, rid, repairedRID uint8
}

func newOutgoing(codec Codec, payloadType, rtxPT uint8) *outgoing {
	o := &outgoing{
		ssrc: rand.Uint32() | 1, payloadType: payloadType, rtxPT: rtxPT, clock: videoClock,
		base: rand.Uint32(), sequence: uint16(rand.Uint32()), rtxNumber: uint16(rand.Uint32()),
		sent: cache.New(cache.Config{Packets: 1024, Bytes: 1 << 20, Keep: time.Second}),
	}
	if rtxPT != 0 {
		o.rtx = rand.Uint32() | 1
	}
	switch codec {
	case Opus:
		o.clock = opus.ClockRate
		o.payloader = &codecs.OpusPayloader{}
	case VP8:
		o.payloader = &codecs.VP8Payloader{EnablePictureID: true}
	case H264:
		o.payloader = &codecs.H264Payloader{}
	}
	return o
}

// rtpTime is the RTP timestamp of a time on the feed's clock.
func (o *outgoing) rtpTime(at time.Duration) uint32 {
	// Whole seconds apart, so that a feed of days does not overflow.
	whole, part := at/time.Second, at%time.Second
	ticks := int64(whole)*int64(o.clock) + int64(part)*int64(o.clock)/int64(time.Second)
	return o.base + uint32(ticks)
}

// rtpAt is the RTP timestamp of a moment, for sender reports.
func (o *outgoing) rtpAt(now time.Time) uint32 {
	return o.lastRTP + uint32(now.Sub(o.lastAt).Microseconds()*int64(o.clock)/1_000_000)
}

// packetize makes the RTP packets of a sample.
func (o *outgoing) packetize(s Sample, sound bool) []*rtp.Packet {
	payloads := o.payloader.Payload(maxPayload, s.Data)
	list := make([]*rtp.Packet, 0, len(payloads))
	for i, payload := range payloads {
		p := &rtp.Packet{Payload: payload, Header: rtp.Header{
			Version: 2, PayloadType: o.payloadType, SequenceNumber: o.sequence,
			Timestamp: o.rtpTime(s.At), SSRC: o.ssrc,
		}}
		o.sequence++
		if sound {
			// RFC 3551 §4.1: the first packet after silence is marked.
			p.Marker = o.silent && s.Level < 127
			o.silent = s.Level >= 127
			o.extend(p, o.extensions.level, levelByte(s.Level))
		} else {
			p.Marker = i == len(payloads)-1
			o.extend(p, o.extensions.rid, []byte(o.layer))
		}
		o.extend(p, o.extensions.mid, []byte(o.mid))
		list = append(list, p)
	}
	return list
}

// levelByte is the RFC 6464 element: voice activity, then -dBov.
func levelByte(level uint8) []byte {
	level = min(level, 127)
	if level < 50 {
		return []byte{0x80 | level}
	}
	return []byte{level}
}

func (o *outgoing) extend(p *rtp.Packet, id uint8, value []byte) {
	if id != 0 && len(value) > 0 {
		_ = p.SetExtension(id, value) // fails only for ids and lengths that do not occur
	}
}

// repair makes the retransmission of a packet sent before (RFC 4588 §4), or
// the packet itself again where no RTX was agreed on.
func (o *outgoing) repair(sent []byte) ([]byte, error) {
	if o.rtx == 0 {
		return sent, nil
	}
	var p rtp.Packet
	if err := p.Unmarshal(sent); err != nil {
		return nil, err
	}
	original := p.SequenceNumber
	p.SSRC, p.PayloadType, p.SequenceNumber = o.rtx, o.rtxPT, o.rtxNumber
	o.rtxNumber++
	if o.extensions.rid != 0 && o.layer != "" {
		_ = p.DelExtension(o.extensions.rid)
		o.extend(&p, o.extensions.repairedRID, []byte(o.layer))
	}
	p.Payload = append([]byte{byte(original >> 8), byte(original)}, p.Payload...)
	return p.Marshal()
}
