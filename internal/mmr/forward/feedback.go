package forward

import (
	"encoding/binary"
	"time"

	"causeway/internal/media/twcc"

	"github.com/pion/rtcp"
)

// RTCP takes a decrypted compound packet of the remote. The shard is held.
func (l *Link) RTCP(raw []byte, now time.Time) {
	if l.shard == nil || l.closed {
		return
	}
	if raw = l.outcomes(raw, now); len(raw) == 0 {
		return
	}
	packets, err := rtcp.Unmarshal(raw)
	if err != nil {
		l.shard.count(ignored, 1)
		return
	}
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			if t := l.trackBySSRC(p.SSRC); t != nil {
				t.senderReport(p.NTPTime, p.RTPTime, now)
			}
			l.receptions(p.Reports, now)
		case *rtcp.ReceiverReport:
			l.receptions(p.Reports, now)
		case *rtcp.TransportLayerNack:
			if s := l.slotBySSRC(p.MediaSSRC); s != nil && now.Sub(l.shed) >= shedMemory {
				s.repair(l.shard, p.Nacks, now)
			}
		case *rtcp.PictureLossIndication:
			if s := l.slotBySSRC(p.MediaSSRC); s != nil {
				s.refreshPicture(l.shard, now)
			}
		case *rtcp.FullIntraRequest:
			for _, e := range p.FIR {
				if s := l.slotBySSRC(e.SSRC); s != nil {
					s.refreshPicture(l.shard, now)
				}
			}
		case *rtcp.ApplicationDefined:
			if l.trunk != nil {
				l.trunk.told(p, now)
			}
		}
	}
}

// outcomes takes the transport-wide feedback at the beginning of a compound
// packet, which comes too often to be unmarshalled, and returns the rest.
func (l *Link) outcomes(raw []byte, now time.Time) []byte {
	for twcc.Is(raw) {
		f, ok := twcc.Parse(raw)
		if !ok {
			break
		}
		if !l.path.feedback(f, now) {
			l.patient = false
		}
		raw = raw[4*(int(binary.BigEndian.Uint16(raw[2:]))+1):]
	}
	return raw
}

// shedMemory is how long after packets were shed nothing is repaired: a path
// that is too narrow for the packets is too narrow for their repairs, and a
// picture begins anew with the key frame that was asked for.
const shedMemory = time.Second

// Shed notes that packets to the remote grew too old before its path took
// them. The shard is held.
func (l *Link) Shed(now time.Time) {
	if l.shard == nil || l.closed {
		return
	}
	l.shed = now
	for _, s := range l.slots {
		s.refreshPicture(l.shard, now)
	}
}

// receptions takes what the remote says of our slots.
func (l *Link) receptions(reports []rtcp.ReceptionReport, now time.Time) {
	for _, r := range reports {
		if s := l.slotBySSRC(r.SSRC); s != nil {
			s.stats.Reception(r, l.router.wall(now))
			if rtt := s.stats.Remote().RTT; rtt > 0 {
				l.rtt = rtt // of the connection, whichever slot tells
				if l.trunk != nil {
					l.trunk.measured = now
				}
			}
		}
	}
}

func (l *Link) slotBySSRC(ssrc uint32) *Slot {
	if l.trunk != nil {
		return l.trunk.sending[ssrc]
	}
	for _, s := range l.slots {
		if s.ssrc == ssrc {
			return s
		}
	}
	return nil
}

func (l *Link) trackBySSRC(ssrc uint32) *track {
	if l.trunk != nil {
		return l.trunk.coming[ssrc]
	}
	for _, t := range l.tracks {
		if t.ssrc == ssrc {
			return t
		}
	}
	return nil
}

// send marshals RTCP packets and sends them as one. The shard is held.
func (l *Link) send(packets []rtcp.Packet) {
	if len(packets) == 0 {
		return
	}
	raw, err := rtcp.Marshal(packets)
	if err != nil {
		return // we made it: cannot happen
	}
	_ = l.wire.SendRTCP(raw) // not up any more: nobody to tell
}
