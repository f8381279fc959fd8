package forward

import (
	"time"

	"causeway/protocol"

	"github.com/pion/interceptor/pkg/twcc"
)

// How often things are due.
const (
	twccEvery    = 50 * time.Millisecond
	reportsEvery = time.Second
	aimEvery     = 100 * time.Millisecond
)

// tick does what is due on a link. The shard is held.
func (l *Link) tick(s *shard, now time.Time) {
	for _, t := range l.tracks {
		t.tick(now)
	}
	if l.pending && !now.Before(l.next.twcc) {
		l.pending, l.next.twcc = false, now.Add(twccEvery)
		l.send(l.twcc.BuildFeedbackPacket())
	}
	for _, slot := range l.slots {
		if slot.source != nil {
			slot.tick(s, now)
		}
	}
}

// tick does what is due on a slot that has a source.
func (s *Slot) tick(sh *shard, now time.Time) {
	if s.video() && now.Sub(s.aimed) >= aimEvery {
		s.aim(sh, now)
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
	l.twcc.Record(p.SSRC, uint16(seq[0])<<8|uint16(seq[1]), now.Sub(l.router.epoch).Microseconds())
	l.pending = true
}

func (t *track) senderReport(ntp uint64, rtpTime uint32, now time.Time) {}

// Sync returns, for each slot, how its RTP time maps to the router's clock;
// where that is not known, the clock rate is 0. No shard may be held.
func (r *Router) Sync(slots []*Slot, now time.Time) []protocol.SlotSync {
	return make([]protocol.SlotSync, len(slots))
}
