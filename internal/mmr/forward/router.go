package forward

import (
	"slices"
	"sync/atomic"
	"time"
)

// A Shard is a world of links that one holder at a time may touch:
// *peer.Shard, or a fake.
type Shard interface {
	// Run takes the shard, calls f, sends what f queued, releases the shard.
	Run(f func())
}

// A Wire is what a link sends on: *peer.Conn, or a fake. The link's shard
// must be held.
type Wire interface {
	SendRTP(packet []byte) error
	// SendVerbatim is SendRTP for what may be sent again under the same number:
	// to the byte the same each time.
	SendVerbatim(packet []byte) error
	SendRTCP(packet []byte) error
	// Prefetch brings what SendRTP needs into the processor's cache, in steps from
	// 0 to 2: there must be time between them.
	Prefetch(step int)
}

// Router is the packet path of one router.
type Router struct {
	epoch   time.Time // with monotonic clock reading
	epochMS float64   // the epoch on the router's clock: Unix time
	shards  atomic.Pointer[[]*shard]
	free    buffers
	drops   atomic.Uint64
}

// shard is what the packet path keeps for one shard.
type shard struct {
	router  *Router
	index   int
	runner  Shard
	busy    []*Link // for which something may be due
	ticks   uint32
	in      inbox
	drain   func() // empties in; kept so that Flush allocates nothing
	scratch [maxPacket]byte
	packet  packet    // being handled; kept here since it would escape
	came    []packet  // not handed to takers yet
	made    []*buffer // where those of them lie that did not come themselves
	cameAt  time.Time
	run     []packet // scratch
	seqs    []uint16 // scratch

	counted [counters]uint64        // since told, by counter
	traffic [counters]atomic.Uint64 // likewise, all that was told
}

// New makes the packet path. Its clock starts at now. Start must follow.
func New(now time.Time) *Router {
	return &Router{epoch: now, epochMS: float64(now.UnixMicro()) / 1000}
}

// Start gives the router its shards; before that, Tick and Flush do nothing.
func (r *Router) Start(runners []Shard) {
	shards := make([]*shard, len(runners))
	for i, runner := range runners {
		s := &shard{router: r, index: i, runner: runner}
		s.drain = s.empty
		shards[i] = s
	}
	r.shards.Store(&shards)
}

func (r *Router) all() []*shard {
	if s := r.shards.Load(); s != nil {
		return *s
	}
	return nil
}

// Tick does what is due on a shard. It is to be called every 25 ms or so,
// with the shard held.
func (r *Router) Tick(index int, now time.Time) {
	shards := r.all()
	if index >= len(shards) {
		return
	}
	s := shards[index]
	s.ticks++
	s.busy = slices.DeleteFunc(s.busy, func(l *Link) bool {
		if l.patient && (s.ticks+l.ssrc)%patientTicks != 0 {
			return false
		}
		return !l.tick(s, now)
	})
}

// Flush hands over what shards have for each other. It is to be called with
// no shard held: after each batch of packets, and after each Assign.
func (r *Router) Flush() {
	// Handing over may lead to requests for key frames on the way back, and
	// those to nothing more.
	for range 2 {
		for _, s := range r.all() {
			if s.in.waiting.Load() > 0 {
				s.runner.Run(s.drain)
			}
		}
	}
}

// receive keeps a packet for deliver.
func (s *shard) receive(p *packet, now time.Time) {
	if len(s.came) == maxCame {
		s.deliver()
	}
	s.came, s.cameAt = append(s.came, *p), now
}

// Deliver hands what was received on a shard to its takers. It is to be called
// with the shard held, when a batch of packets has been given to links and
// before the memory in which they came is used for others.
func (r *Router) Deliver(index int) {
	if shards := r.all(); index < len(shards) {
		shards[index].deliver()
	}
}

func (s *shard) deliver() {
	for rest := s.came; len(rest) > 0; {
		source := rest[0].track.source
		n := sameSource(rest)
		if !source.Muted() { // it may have been meanwhile
			source.deliver(s, rest[:n], s.cameAt)
		}
		rest = rest[n:]
	}
	clear(s.came)
	s.came = s.came[:0]
	for _, buf := range s.made {
		s.router.free.release(buf)
	}
	s.made = s.made[:0]
	s.tell()
}

// sameSource counts the packets at the beginning that are of one source.
func sameSource(packets []packet) int {
	n := 1
	for n < len(packets) && packets[n].track.source == packets[0].track.source {
		n++
	}
	return n
}

// empty handles what waits for the shard, which is held.
func (s *shard) empty() {
	items := s.in.take()
	for i := range items {
		it := &items[i]
		if it.keyOnly {
			it.packet.track.requestKey(it.first, it.now)
			continue
		}
		it.packet.raw = it.buf.data[:it.buf.n]
		s.run = append(s.run, it.packet)
		if i+1 < len(items) && !items[i+1].keyOnly && items[i+1].packet.track.source == it.packet.track.source {
			continue
		}
		if source := it.packet.track.source; !source.Muted() { // it may have been meanwhile
			source.fans[s.index].deliver(s, s.run, it.now)
		}
		clear(s.run)
		s.run = s.run[:0]
	}
	for i := range items {
		if buf := items[i].buf; buf != nil {
			s.router.free.release(buf)
		}
	}
}

// Traffic counts what the packet path has done.
type Traffic struct {
	PacketsIn, PacketsOut, BytesOut uint64
	Repairs, RepairsMissed          uint64
	Nacks, KeyRequests              uint64
	Ignored                         uint64
	RelayedIn, RelayedOut           uint64 // of PacketsIn and PacketsOut, with other routers
	Recovered                       uint64 // that were lost, from redundant sound
	Padding                         uint64 // of PacketsOut, sent to find out what networks take
	HandoverDrops                   uint64
}

// counter names a counter of a shard.
type counter int

const (
	packetsIn counter = iota
	packetsOut
	bytesOut
	repairs
	repairsMissed
	nacks
	keyRequests
	ignored
	padding // sent to find out what a network takes
	relayedIn
	relayedOut
	recovered // from redundant sound
	counters  // how many there are
)

// count adds to a counter. The shard is held.
func (s *shard) count(c counter, n uint64) { s.counted[c] += n }

// tell lets everybody know what was counted: once for a batch, since an atomic
// operation waits for memory.
func (s *shard) tell() {
	for c, n := range s.counted {
		if n > 0 {
			s.traffic[c].Add(n)
		}
	}
	clear(s.counted[:])
}

// Traffic returns the counters of all shards; any goroutine may call it.
func (r *Router) Traffic() Traffic {
	var t Traffic
	for _, s := range r.all() {
		for c, v := range []*uint64{
			packetsIn: &t.PacketsIn, packetsOut: &t.PacketsOut, bytesOut: &t.BytesOut,
			repairs: &t.Repairs, repairsMissed: &t.RepairsMissed,
			nacks: &t.Nacks, keyRequests: &t.KeyRequests, ignored: &t.Ignored, padding: &t.Padding,
			relayedIn: &t.RelayedIn, relayedOut: &t.RelayedOut, recovered: &t.Recovered,
		} {
			*v += s.traffic[c].Load()
		}
	}
	t.HandoverDrops = r.drops.Load()
	return t
}
