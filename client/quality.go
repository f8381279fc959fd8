package client

import (
	"time"

	"github.com/pion/rtcp"

	"causeway/internal/media/seqnum"
)

// quality measures how a stream arrives, for receiver reports (RFC 3550 §A.3
// and §A.8). Pure.
type quality struct {
	rate uint32 // RTP clock, Hz

	sequence  seqnum.Unwrapper[uint16]
	base      uint64 // first sequence number
	count     uint64
	jitter    float64 // RTP ticks
	lastRTP   uint32
	lastAt    time.Time
	wasDue    uint64 // expected and received at the last report
	wasCount  uint64
	lastSR    uint32 // middle bits of the last sender report's time
	lastSRAt  time.Time
	anyReport bool
}

// received takes a packet that was sent for the first time.
func (q *quality) received(sequence uint16, rtp uint32, now time.Time) {
	n := q.sequence.Unwrap(sequence)
	if q.count == 0 {
		q.base = n
	} else if rtp != q.lastRTP {
		// RFC 3550 §A.8: D is the difference of the spacings.
		spacing := now.Sub(q.lastAt).Seconds() * float64(q.rate)
		d := spacing - float64(seqnum.Diff(rtp, q.lastRTP))
		q.jitter += (max(d, -d) - q.jitter) / 16
	}
	q.base = min(q.base, n)
	q.count++
	q.lastRTP, q.lastAt = rtp, now
}

// report takes a sender report.
func (q *quality) report(ntp uint64, now time.Time) {
	q.lastSR, q.lastSRAt, q.anyReport = uint32(ntp>>16), now, true
}

// block makes the report block; false: nothing has come.
func (q *quality) block(ssrc uint32, now time.Time) (rtcp.ReceptionReport, bool) {
	if q.count == 0 {
		return rtcp.ReceptionReport{}, false
	}
	highest, _ := q.sequence.Highest()
	due := highest - q.base + 1
	lost := int64(due) - int64(q.count)
	b := rtcp.ReceptionReport{
		SSRC: ssrc, LastSequenceNumber: uint32(highest - 1<<16), Jitter: uint32(q.jitter),
		TotalLost: uint32(min(max(lost, 0), 1<<23-1)), // 24 bits, signed; negative is of no use here
	}
	if interval := int64(due - q.wasDue); interval > 0 {
		gone := interval - int64(q.count-q.wasCount)
		b.FractionLost = uint8(min(max(gone, 0)*256/interval, 255))
	}
	q.wasDue, q.wasCount = due, q.count
	if q.anyReport {
		b.LastSenderReport = q.lastSR
		b.Delay = uint32(now.Sub(q.lastSRAt).Seconds() * 65536)
	}
	return b, true
}
