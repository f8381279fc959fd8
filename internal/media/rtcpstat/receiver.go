// Package rtcpstat keeps the statistics that RTCP reports carry (RFC 3550 §6.4,
// §A.3, §A.8), on the receiving and on the sending side of one stream, and the
// round trip that follows from reports.
//
// The router keeps a Receiver per source and a Sender per slot; the client the
// other way round. Packet is called for every packet and allocates nothing.
// Neither is safe for concurrent use.
package rtcpstat

import (
	"time"

	"github.com/pion/rtcp"

	"causeway/internal/media/seqnum"
)

// maxDropout is how far sequence numbers may jump before the stream counts as
// begun anew (RFC 3550 §A.1).
const maxDropout = 3000

// Receiver keeps the statistics of one received stream. The zero value with a
// ClockRate is ready.
type Receiver struct {
	ClockRate uint32 // Hz

	seqs     seqnum.Unwrapper[uint16]
	base     uint64 // first number of this run
	received uint64 // of this run
	before   Totals // of earlier runs

	expectedPrior, receivedPrior uint64 // at the last report, of all runs

	epoch   time.Time // of arrival times
	transit int32
	timed   bool // transit is set
	last    uint32
	jitter  uint32 // 28.4 timestamp units (RFC 3550 §A.8)

	report   uint32    // middle bits of the last sender report's NTP time
	reported time.Time // when it came
}

// Totals counts packets.
type Totals struct {
	Expected, Received uint64
}

// Lost is how many did not come. More may come than were expected, if some
// come twice.
func (t Totals) Lost() uint64 {
	if t.Received >= t.Expected {
		return 0
	}
	return t.Expected - t.Received
}

// Packet notes a packet that came on the stream.
func (r *Receiver) Packet(seq uint16, timestamp uint32, now time.Time) {
	if !r.count(seq) {
		return
	}
	if !r.timed {
		r.epoch = now
	}
	arrival := uint32(ticks(now.Sub(r.epoch), r.ClockRate))
	transit := int32(arrival - timestamp)
	// Packets of one frame leave in a burst: only its first tells something.
	if r.timed && timestamp != r.last {
		d := transit - r.transit
		if d < 0 {
			d = -d
		}
		r.jitter += uint32(d) - (r.jitter+8)>>4
	}
	if !r.timed || timestamp != r.last {
		r.timed, r.transit, r.last = true, transit, timestamp
	}
}

// Repaired notes a packet that came by retransmission on another stream: it
// counts as received, its time means nothing.
func (r *Receiver) Repaired(seq uint16) { r.count(seq) }

// count counts a packet, and reports whether it is the newest.
func (r *Receiver) count(seq uint16) bool {
	highest, started := r.seqs.Highest()
	n := r.seqs.Peek(seq)
	if started && (n > highest+maxDropout || n+maxDropout < highest) {
		r.before = r.Totals()
		r.seqs.Reset()
		started, r.received, r.timed = false, 0, false
	}
	n = r.seqs.Unwrap(seq)
	if !started {
		r.base = n
	}
	r.received++
	if started && n < r.base {
		r.base = n // late before the first
	}
	return !started || n > highest
}

// Totals returns the counts since the beginning.
func (r *Receiver) Totals() Totals {
	t := r.before
	if highest, ok := r.seqs.Highest(); ok {
		t.Expected += highest - r.base + 1
		t.Received += r.received
	}
	return t
}

// Jitter returns the interarrival jitter (RFC 3550 §6.4.1).
func (r *Receiver) Jitter() time.Duration {
	if r.ClockRate == 0 {
		return 0
	}
	return time.Duration(uint64(r.jitter>>4) * uint64(time.Second) / uint64(r.ClockRate))
}

// SenderReport notes that a sender report with the given NTP time came.
func (r *Receiver) SenderReport(ntp uint64, now time.Time) {
	r.report, r.reported = Short(ntp), now
}

// Report makes the report block of the stream (RFC 3550 §6.4.1). The fraction
// lost is since the previous call. It reports false before the first packet.
func (r *Receiver) Report(ssrc uint32, now time.Time) (rtcp.ReceptionReport, bool) {
	highest, ok := r.seqs.Highest()
	if !ok {
		return rtcp.ReceptionReport{}, false
	}
	t := r.Totals()
	b := rtcp.ReceptionReport{
		SSRC: ssrc,
		// The count of cycles begins with 0; Unwrapper's with 1.
		LastSequenceNumber: uint32(highest - 1<<16),
		TotalLost:          uint32(min(t.Lost(), 0x7fffff)),
		Jitter:             r.jitter >> 4,
	}
	// RFC 3550 §A.3. Duplicates may make either negative.
	expected := int64(t.Expected) - int64(r.expectedPrior)
	lost := expected - (int64(t.Received) - int64(r.receivedPrior))
	if expected > 0 && lost > 0 {
		b.FractionLost = uint8(min(255, lost<<8/expected))
	}
	r.expectedPrior, r.receivedPrior = t.Expected, t.Received
	if !r.reported.IsZero() {
		b.LastSenderReport = r.report
		b.Delay = toShort(max(0, now.Sub(r.reported)))
	}
	return b, true
}

// ticks converts a duration to timestamp units.
func ticks(d time.Duration, rate uint32) int64 {
	return int64(d/time.Second)*int64(rate) + int64(d%time.Second)*int64(rate)/int64(time.Second)
}
