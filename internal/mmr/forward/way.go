package forward

import (
	"slices"
	"sync/atomic"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/seqnum"
)

// Ways. What a participant of another leg publishes may have come through
// several routers, and when the meeting's legs change it comes by another of
// this router's neighbours from then on. For a while it comes by both. So that
// nobody notices, and nothing goes round in circles while routers disagree on
// the way, every packet between routers carries the number that it has where
// it is published. Behind a trunk packets go by these numbers, whichever way
// they came: slots carry on over a change of the way, and what has been
// forwarded once is not forwarded again.

// A Neighbour is another router to which there are trunks.
type Neighbour struct {
	clock  *Clock
	budget *Budget // of all trunks to it, of whichever meeting
}

// NewNeighbour makes what a meeting knows of another router. budget is what
// the path to it takes, one for all meetings; nil leaves that open.
func (r *Router) NewNeighbour(budget *Budget) *Neighbour {
	return &Neighbour{clock: r.NewClock(), budget: budget}
}

// ComeBy says by which neighbour a far source should come, as soon as it does.
func (s *Source) ComeBy(n *Neighbour) { s.prefer.Store(n) }

const (
	// staleAfter is for how long nothing new must have come by the present way
	// for any other way to be as good.
	staleAfter = 250 * time.Millisecond
	// oldAfter is for how long nothing must have come for the numbers to have
	// gone on unseen: what looks old may be new then.
	oldAfter = 5 * time.Second
)

// front is how far a layer has been forwarded. Tracks of several shards meet
// here.
type front struct {
	at     atomic.Uint32 // place of the newest packet
	moved  atomic.Int64  // when it was forwarded, Unix nanoseconds
	breaks atomic.Uint32 // how often what came next was not what follows
}

// place is a packet's epoch and number; the zero value is before the first.
type place uint32

func placeOf(epoch uint8, number uint16) place {
	return 1<<24 | place(epoch)<<16 | place(number)
}

func (p place) epoch() uint8 { return uint8(p >> 16) }

// apart is how far places of different epochs are.
const apart = 1 << 16

// ahead is by how many packets q is ahead of p.
func (p place) ahead(q place) int {
	switch d := int8(q.epoch() - p.epoch()); {
	case p == 0 || d > 0:
		return apart
	case d < 0:
		return -apart
	}
	return int(seqnum.Diff(uint16(q), uint16(p)))
}

// way is a track's part in this. It belongs to the track's shard.
type way struct {
	run   place  // since when packets have come without a break on the sender's side
	delta uint16 // number less the sender's sequence number, in this run
	from  place  // the first packet that was to be forwarded
}

// number puts a packet's number into it. It lies in the shard's scratch.
func number(sh *shard, out []byte, seq uint16, epoch uint8) []byte {
	at := len(sh.scratch) - cap(out)
	return header.Insert3(sh.scratch[:at+len(out)], at, trunkNumber, [3]byte{byte(seq >> 8), byte(seq), epoch})
}

// renumber gives a packet from another router the number that it carries; it
// reports false if it carries none. late says that it fills a gap.
func (t *track) renumber(p *packet, late bool) bool {
	n := p.Extension(p.raw, trunkNumber)
	if len(n) != 3 {
		return false
	}
	seq := p.Sequence
	p.Sequence, p.epoch = uint16(n[0])<<8|uint16(n[1]), n[2]
	header.SetSequence(p.raw, p.Sequence)
	if w := &t.way; !late && (w.run == 0 || w.run.epoch() != p.epoch || w.delta != p.Sequence-seq) {
		w.run, w.delta = placeOf(p.epoch, p.Sequence), p.Sequence-seq
	}
	return true
}

// goesOn reports whether a packet from another router is to be forwarded: it
// has not been, and the source comes by this track, from now on perhaps. The
// shard is held.
func (t *track) goesOn(sh *shard, p *packet, now time.Time) bool {
	here, f, layer := placeOf(p.epoch, p.Sequence), &t.source.fronts[t.layer], &t.source.layers[t.layer]
	for {
		was, idle := place(f.at.Load()), now.UnixNano()-f.moved.Load()
		ahead := was.ahead(here)
		broken := was.ahead(t.way.run) > 1 // what is between does not come by this track
		if ahead <= 0 && idle >= int64(oldAfter) {
			ahead, broken = apart, true
		}
		p.spell = t.source.spell(t.layer, p.epoch)
		if present := layer.Load(); present != t {
			stale := present == nil || idle >= int64(staleAfter)
			// One that lags behind waits until the present one has ended.
			follows := t.source.prefer.Load() == t.link.trunk.from && ahead < apart && !broken
			if ahead <= 0 || !stale && !follows {
				return false
			}
			if layer.CompareAndSwap(present, t) {
				t.way.from = placeOf(was.epoch(), uint16(was)+1)
				if was == 0 {
					t.way.from = 0
				}
				if !broken {
					t.catchUp(sh, p, was, now)
				}
			}
			continue
		}
		if ahead <= 0 {
			return ahead > -apart && t.way.from.ahead(here) >= 0
		}
		if f.at.CompareAndSwap(uint32(was), uint32(here)) {
			f.moved.Store(now.UnixNano())
			if broken && was != 0 {
				f.breaks.Add(1)
				p.spell = t.source.spell(t.layer, p.epoch)
			}
			return true
		}
	}
}

// spell tells the times apart over which numbers go on, whichever way they
// come.
func (s *Source) spell(layer int, epoch uint8) uint32 {
	return s.mutes.Load()<<20 | s.fronts[layer].breaks.Load()&0xfff<<8 | uint32(epoch)
}

// catchUp forwards what lies between the newest packet that came by another
// track and p, and has come by this one before it was the source's.
func (t *track) catchUp(sh *shard, p *packet, was place, now time.Time) {
	if was.ahead(placeOf(p.epoch, p.Sequence)) <= 1 {
		return
	}
	q, buf := *p, make([]byte, maxPacket)
	for seq := uint16(was) + 1; seq != p.Sequence; seq++ {
		n, ok := t.fetch(seq, buf)
		if !ok {
			continue
		}
		q.raw = slices.Clone(buf[:n])     // it is delivered later
		q.Header, _ = header.Parse(q.raw) // as before
		q.key = true
		if t.video && !t.inspect(&q, now) {
			continue
		}
		sh.receive(&q, now)
	}
}

// carriesOn reports whether a packet of another track than the one that the
// slot carries goes on with the same stream, which comes by another way now.
// The shard is held.
func (s *Slot) carriesOn(p *packet) bool {
	t := s.current
	if t == nil || !t.source.cfg.Far || t.source != p.track.source || t.layer != p.track.layer || p.spell != s.spell {
		return false
	}
	if s.source.layers[t.layer].Load() == p.track {
		s.current = p.track
		s.sent.carried[int(s.sent.token)%maxCarried] = p.track
	}
	return true
}
