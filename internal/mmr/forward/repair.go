package forward

import (
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/rtx"

	"github.com/pion/rtcp"
)

const (
	// repairMemory is how many repaired packets a slot remembers, so that
	// requests which cross with the repair are not answered twice.
	repairMemory = 64
	// minRepairEvery bounds how soon a packet is repaired again.
	minRepairEvery = 10 * time.Millisecond
	// maxBudget bounds what a slot saves up for repairs: one for each packet
	// that it was sent. Who asks for more would only make the router send.
	maxBudget = 1024
	// maxRepairsPerRequest bounds what one NACK packet may cause.
	maxRepairsPerRequest = 128
)

// repair is a packet that was sent again.
type repair struct {
	seq uint16
	at  time.Time
}

// repair sends packets again that the receiver has missed (RFC 4585 section
// 6.2.1). The shard is held.
func (s *Slot) repair(sh *shard, pairs []rtcp.NackPair, now time.Time) {
	if s.sent == nil {
		return
	}
	n := 0
	for _, pair := range pairs {
		mask := uint32(pair.LostPackets)<<1 | 1
		for i := uint16(0); mask != 0; i, mask = i+1, mask>>1 {
			if mask&1 == 0 {
				continue
			}
			if n++; n > maxRepairsPerRequest {
				return
			}
			s.repairOne(sh, pair.PacketID+i, now)
		}
	}
}

func (s *Slot) repairOne(sh *shard, seq uint16, now time.Time) {
	o := s.sent
	if s.video() && int(o.newest-seq) >= o.length {
		return // a key frame has come since: nothing depends on it any more
	}
	// Half a round trip: a request sent after the repair was lost comes a
	// whole one later.
	again := max(minRepairEvery, s.link.rtt/2)
	r := &o.repairs[seq%repairMemory]
	if r.seq == seq && now.Sub(r.at) < again {
		return
	}
	if o.budget == 0 {
		sh.count(repairsMissed, 1)
		return
	}
	if !s.again(sh, seq, now) {
		sh.count(repairsMissed, 1)
		return
	}
	o.budget--
	*r = repair{seq: seq, at: now}
	sh.count(repairs, 1)
	if s.link.path.lossy() && s.again(sh, seq, now) {
		sh.count(repairs, 1)
	}
}

// again sends a packet once more; false if it is not remembered.
func (s *Slot) again(sh *shard, seq uint16, now time.Time) bool {
	out, ok := s.restore(sh, seq)
	if !ok {
		return false
	}
	if s.rtxType(out) == 0 {
		return s.repeat(sh, out)
	}
	if out, ok = s.wrap(out); ok {
		s.transmit(sh, out, now)
	}
	return ok
}

// wrap makes a packet that was sent one of the stream of repairs; false if
// there is none for it.
func (s *Slot) wrap(out []byte) ([]byte, bool) {
	pt := s.rtxType(out)
	if pt == 0 {
		return out, false
	}
	out, ok := rtx.Wrap(out, pt, s.rtx, s.sent.rtxSeq)
	if ok {
		s.sent.rtxSeq++
	}
	return out, ok
}

// restore returns a packet as it was sent, in the shard's scratch; false if
// it is not remembered.
func (s *Slot) restore(sh *shard, seq uint16) ([]byte, bool) {
	o := s.sent
	token, source, ok := o.stream.Lookup(seq)
	track := o.carried[int(token)%len(o.carried)]
	if !ok || track == nil || o.token-token >= maxCarried {
		return nil, false
	}
	buf := sh.scratch[room:]
	n, ok := track.fetch(source, buf)
	if !ok {
		return nil, false
	}
	out, ok := o.stream.Restore(buf[:n], seq)
	if ok && s.link.trunk != nil {
		out = number(sh, out, source, o.epochs[int(token)%len(o.epochs)])
	}
	return out, ok
}

// rtxType is the payload type that repairs a packet, 0 if retransmissions
// have no stream of their own: then the packet itself is sent again.
func (s *Slot) rtxType(packet []byte) uint8 {
	h, ok := header.Parse(packet)
	if !ok || s.rtx == 0 {
		return 0
	}
	for i := range s.codecs {
		if s.codecs[i].PayloadType == h.PayloadType {
			return s.codecs[i].RTX
		}
	}
	return 0
}
