package forward

import (
	"time"

	"causeway/protocol"

	"github.com/pion/rtcp"
)

func (l *Link) tick(s *shard, now time.Time)                            {}
func (l *Link) arrived(p *packet, now time.Time)                        {}
func (t *track) senderReport(ntp uint64, rtpTime uint32, now time.Time) {}
func (t *track) requestKey(now time.Time) {
	t.shard.count(keyRequests, 1)
	t.link.send([]rtcp.Packet{&rtcp.PictureLossIndication{SenderSSRC: t.link.ssrc, MediaSSRC: t.ssrc}})
}
func (s *Slot) choose(now time.Time) {}

// Sync returns, for each slot, how its RTP time maps to the router's clock;
// where that is not known, the clock rate is 0. No shard may be held.
func (r *Router) Sync(slots []*Slot, now time.Time) []protocol.SlotSync {
	return make([]protocol.SlotSync, len(slots))
}
