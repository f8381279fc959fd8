package rtcpstat

import (
	"time"

	"github.com/pion/rtcp"
)

// maxRTT bounds what is believed of a report.
const maxRTT = 30 * time.Second

// Sender keeps the statistics of one sent stream. The zero value is ready.
type Sender struct {
	packets, octets uint64
	remote          Remote
}

// Remote is what the receiver of the stream has said last.
type Remote struct {
	FractionLost float64       // since its report before, 0…1
	Lost         uint64        // since the beginning
	Jitter       uint32        // timestamp units
	RTT          time.Duration // smoothed; 0 not known
	At           time.Time     // when its report came; zero if none has
}

// Packet notes a packet sent, by the length of its payload without padding.
func (s *Sender) Packet(payload int) {
	s.packets++
	s.octets += uint64(payload)
}

// Report makes a sender report (RFC 3550 §6.4.1) without report blocks: at the
// time now the stream's timestamp is, or would be, the given one. It reports
// false before the first packet.
func (s *Sender) Report(ssrc, timestamp uint32, now time.Time) (rtcp.SenderReport, bool) {
	return rtcp.SenderReport{
		SSRC: ssrc, NTPTime: NTP(now), RTPTime: timestamp,
		PacketCount: uint32(s.packets), OctetCount: uint32(s.octets),
	}, s.packets > 0
}

// Reception notes a report block about the stream that came from its receiver.
func (s *Sender) Reception(b rtcp.ReceptionReport, now time.Time) {
	s.remote.FractionLost = float64(b.FractionLost) / 256
	s.remote.Lost = uint64(b.TotalLost & 0xffffff)
	s.remote.Jitter = b.Jitter
	s.remote.At = now
	rtt, ok := RTT(b, now)
	switch {
	case !ok:
	case s.remote.RTT == 0:
		s.remote.RTT = rtt
	default:
		s.remote.RTT += (rtt - s.remote.RTT) / 8
	}
}

// RTT returns the round trip that a report block tells (RFC 3550 §6.4.1, DLSR);
// false if it tells none, or nonsense.
func RTT(b rtcp.ReceptionReport, now time.Time) (time.Duration, bool) {
	if b.LastSenderReport == 0 {
		return 0, false
	}
	rtt := fromShort(Short(NTP(now)) - b.LastSenderReport - b.Delay)
	// Clocks of 1/65536 s may make it a little negative.
	if rtt > 65535*time.Second {
		return time.Millisecond, true
	}
	return max(rtt, time.Millisecond), rtt <= maxRTT
}

// Remote returns what the receiver has said last.
func (s *Sender) Remote() Remote { return s.remote }

// Packets returns how many packets, and octets of payload, were sent.
func (s *Sender) Packets() (packets, octets uint64) { return s.packets, s.octets }
