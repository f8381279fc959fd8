package forward

import (
	"encoding/binary"
	"time"

	"causeway/internal/media/twcc"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

// How often things are due.
const (
	twccEvery    = 50 * time.Millisecond
	soundEvery   = 100 * time.Millisecond // the same for sound, which hardly adapts
	reportsEvery = time.Second
	// A slot's clock hardly drifts: after the first reports, which tell the
	// receiver how fast it goes, more come seldom.
	settledEvery = 3 * time.Second
	firstReports = 3
	remapEvery   = time.Second
	aimEvery     = 100 * time.Millisecond
	maxBlocks    = 31 // of a receiver report (RFC 3550 section 6.4.2)
	// patientTicks is how many ticks a calm link lets pass.
	patientTicks = 4
)

// tick does what is due on a link, and reports whether anything may be due
// later. The shard is held.
func (l *Link) tick(s *shard, now time.Time) bool {
	for _, t := range l.tracks {
		t.tick(now)
	}
	if len(l.tracks) > 0 {
		l.request(now)
	}
	if l.arrivals() && !now.Before(l.next.twcc) {
		l.next.twcc = now.Add(twccEvery)
		if l.kind == protocol.Audio && l.trunk == nil {
			l.next.twcc = now.Add(soundEvery)
		}
		l.tellArrivals()
	}
	if !now.Before(l.next.reports) && len(l.tracks) > 0 {
		l.next.reports = now.Add(reportsEvery)
		l.reportTracks(now)
	}
	l.busy = len(l.tracks) > 0 || l.arrivals()
	for _, slot := range l.slots {
		if slot.source != nil {
			slot.tick(s, now)
			l.busy = true
		}
	}
	if l.surveys(now) {
		l.busy = true
	}
	l.unqueue(now)
	if l.queue == nil || l.queue.Len() == 0 { // else there is no need of padding
		if n := l.path.padding(now); n > 0 {
			l.pad(n, now)
		}
	}
	if l.trunk != nil {
		l.trunk.tick(now)
		l.busy = true
	}
	l.patient = l.calm()
	return l.busy
}

// calm reports whether the link does no more than receive what its network
// takes easily: nothing comes, nothing is queued or to be found out.
func (l *Link) calm() bool {
	if l.trunk != nil || len(l.tracks) > 0 || l.arrivals() {
		return false
	}
	return l.kind == protocol.Audio || (l.queue == nil || l.queue.Len() == 0) && l.path.settled()
}

// tick does what is due on a slot that has a source.
func (s *Slot) tick(sh *shard, now time.Time) {
	if s.video() && (now.Sub(s.aimed) >= aimEvery || s.link.path.changed(s)) {
		s.aim(sh, now)
	}
	if s.current == nil {
		return
	}
	// The mapping becomes exact with the publisher's first report: tell that
	// at once.
	if m := s.current.mapping.Load(); m != nil && m.synchronized != s.synchronized {
		s.synchronized, s.nextSR, s.reported = m.synchronized, now, 0
		s.link.started.Store(true)
		s.link.notify()
	}
	if !now.Before(s.nextSR) {
		s.report(now)
	}
}

// arrived notes when a packet came, for the publisher's bandwidth estimate
// (draft-holmer-rmcat-transport-wide-cc-extensions-01).
func (l *Link) arrived(p *packet, now time.Time) {
	if l.twccID == 0 {
		return
	}
	seq := p.Extension(p.raw, l.twccID)
	if len(seq) != 2 {
		return
	}
	if l.twcc == nil {
		l.twcc = twcc.NewRecorder(l.ssrc)
	}
	l.twcc.Record(p.SSRC, uint16(seq[0])<<8|uint16(seq[1]), now)
	l.rouse()
}

// arrivals reports whether there is something to tell of when packets came.
func (l *Link) arrivals() bool { return l.twcc != nil && l.twcc.Pending() }

// tellArrivals tells the publisher when its packets came. The shard is held.
func (l *Link) tellArrivals() {
	for l.twcc.Pending() {
		_ = l.wire.SendRTCP(l.twcc.Append(l.shard.scratch[:0])) // not up any more: nobody to tell
	}
}

// reportTracks tells the publisher how its tracks arrive. The shard is
// held.
func (l *Link) reportTracks(now time.Time) {
	rr := &rtcp.ReceiverReport{SSRC: l.ssrc}
	for _, t := range l.tracks {
		if block, ok := t.stats.Report(t.ssrc, now); ok && len(rr.Reports) < maxBlocks {
			rr.Reports = append(rr.Reports, block)
		}
	}
	if len(rr.Reports) > 0 {
		l.send([]rtcp.Packet{rr})
	}
}

// report sends the slot's sender report: where its RTP time is on the
// router's clock. The shard is held.
func (s *Slot) report(now time.Time) {
	rtp, ok := s.rtpAt(now)
	if !ok {
		return
	}
	wall := s.link.router.wall(now)
	sr, ok := s.stats.Report(s.ssrc, rtp, wall)
	if !ok {
		return
	}
	every := reportsEvery
	if s.reported = min(s.reported+1, firstReports); s.reported == firstReports {
		every = settledEvery
	}
	s.nextSR = now.Add(every)
	_ = s.link.wire.SendRTCP(appendReport(s.link.shard.scratch[:0], &sr, string(s.id))) // not up any more: nobody to tell
}

// appendReport appends a sender report without report blocks and the source's
// CNAME (RFC 3550 sections 6.4.1 and 6.5.1): every slot sends one a second, and
// package rtcp would allocate a dozen times for it. cname is at most 255 bytes.
func appendReport(dst []byte, sr *rtcp.SenderReport, cname string) []byte {
	const version, one = 2 << 6, 1
	dst = append(dst, version, byte(rtcp.TypeSenderReport), 0, 6)
	dst = binary.BigEndian.AppendUint32(dst, sr.SSRC)
	dst = binary.BigEndian.AppendUint64(dst, sr.NTPTime)
	dst = binary.BigEndian.AppendUint32(dst, sr.RTPTime)
	dst = binary.BigEndian.AppendUint32(dst, sr.PacketCount)
	dst = binary.BigEndian.AppendUint32(dst, sr.OctetCount)
	words := 1 + (2+len(cname))/4 + 1 // SSRC, and the item with one to four null bytes
	dst = append(dst, version|one, byte(rtcp.TypeSourceDescription), 0, byte(words))
	dst = binary.BigEndian.AppendUint32(dst, sr.SSRC)
	dst = append(dst, byte(rtcp.SDESCNAME), byte(len(cname)))
	dst = append(dst, cname...)
	return append(dst, make([]byte, 4-(2+len(cname))%4)...)
}
