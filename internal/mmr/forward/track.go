package forward

import (
	"sync"
	"sync/atomic"
	"time"

	"causeway/internal/media/cache"
	"causeway/internal/media/clocksync"
	"causeway/internal/media/keyframe"
	"causeway/internal/media/loudest"
	"causeway/internal/media/nack"
	"causeway/internal/media/pli"
	"causeway/internal/media/rtcpstat"

	"github.com/pion/rtcp"
)

// How long packets are kept for repairs, and how many.
var (
	audioCache = cache.Config{Packets: 64, Bytes: 32 << 10, Keep: time.Second}
	videoCache = cache.Config{Packets: 1024, Bytes: 2 << 20, Keep: time.Second}
)

// lostBefore is how many packets are asked for that another router must have
// sent before the first one that came.
const lostBefore = 4

// track is one RTP stream that arrives: a source, or one layer of it.
type track struct {
	source *Source
	link   *Link
	layer  int
	ssrc   uint32
	form
	video bool
	codec keyframe.Codec
	shard *shard

	// What takers on other shards read.
	cacheMu sync.Mutex
	cache   *cache.Cache // nil once the link is closed
	latest  beginning    // of pictures
	mapping atomic.Pointer[mapping]

	// Everything below belongs to the shard's holder.
	missing   nack.Log
	keys      pli.Limiter
	stats     rtcpstat.Receiver
	clock     *clocksync.Source
	lastRTP   uint32 // of the latest packet
	lastAt    time.Time
	quiet     bool      // the latest packet came while the source was muted
	opened    time.Time // when that was last over
	begun     bool      // a packet has come
	temporal  uint8     // the highest temporal layer that has come, of a far source
	spell     uint32    // counts the pauses
	epoch     uint8     // counts them, and beginnings anew, for other routers
	meter     loudest.Meter
	way       way        // of what comes from another router
	described *described // of AV1 alone
	mappedAt  time.Time
}

func newTrack(l *Link, source *Source, f form, layer int, ssrc uint32) *track {
	t := &track{
		source: source, link: l, layer: layer, ssrc: ssrc, form: f, shard: l.shard,
		codec: keyframe.CodecOf(source.cfg.Codec.Name),
	}
	t.video = t.codec != keyframe.Other
	if t.codec == keyframe.AV1 {
		t.described = new(described)
	}
	rate := source.cfg.Codec.ClockRate
	t.stats.ClockRate = rate
	clock := source.cfg.Clock
	if l.trunk != nil {
		clock = l.trunk.from.clock
	} else if old := source.layers[layer].Load(); old != nil {
		t.epoch = old.epoch + 1
	}
	t.clock = clocksync.NewSource(&clock.clock, rate)
	if t.video {
		t.cache = cache.New(videoCache)
	} else {
		t.cache = cache.New(audioCache)
	}
	return t
}

// receive takes a packet of the track, possibly a repaired one. The shard is
// held.
func (t *track) receive(sh *shard, p *packet, repaired bool, now time.Time) {
	t.source.arrived(t.link)
	t.note(p, repaired, now)
	verdict := t.missing.Receive(p.Sequence, now)
	if t.withheld(repaired || verdict == nack.Duplicate, now) || verdict == nack.Duplicate || repaired && verdict == nack.Restart {
		sh.count(ignored, 1)
		return
	}
	if t.missing.Urgent() && t.wanted() {
		t.ask(now)
	}
	if verdict == nack.Restart {
		t.epoch++
	}
	p.spell, p.epoch = t.spell, t.epoch
	if t.source.cfg.Far && !t.renumber(p, verdict == nack.Late) {
		sh.count(ignored, 1)
		return
	}
	if t.redundant != 0 && p.PayloadType == t.redundant && !t.unfold(sh, p, now) {
		sh.count(ignored, 1)
		return
	}
	t.keep(p, now)
	p.key, p.structure = true, nil
	if t.video {
		known := t.inspect(p, now)
		if t.source.cfg.Far && !t.begun { // its router says what layers there are
			t.begun = true
			if !p.key { // and begins with a key frame: that is lost
				t.missing.MissBefore(lostBefore, now)
			}
		}
		if !known {
			t.hold(p.Sequence, now)
			return
		}
	}
	t.passOn(sh, p, now)
	if p.key && t.described != nil && len(t.described.held) > 0 {
		t.release(sh, p, now)
	}
}

// passOn hands the packet to the source's takers.
func (t *track) passOn(sh *shard, p *packet, now time.Time) {
	if t.source.cfg.Far && !t.goesOn(sh, p, now) {
		return
	}
	if t.video && p.key {
		t.begins(p, now)
	}
	if l := t.source.cfg.Loudest; l != nil {
		l.hear(t.source, p, now)
	}
	sh.receive(p, now)
}

// keep stores a packet for repairs.
func (t *track) keep(p *packet, now time.Time) {
	t.cacheMu.Lock()
	defer t.cacheMu.Unlock()
	t.cache.Store(p.Sequence, p.raw, now)
	t.latest.bytes += len(p.raw)
}

// inspect takes what the packet tells of its picture; false if that cannot be
// known yet.
func (t *track) inspect(p *packet, now time.Time) (known bool) {
	var info keyframe.Info
	switch {
	case t.codec == keyframe.AV1:
		if info, known = t.describe(p, now); !known {
			p.key = false
			return false
		}
	case t.source.scalable && !t.source.cfg.Far:
		info = t.codec.Inspect(p.Payload(p.raw))
		t.source.measureVP9(p.Payload(p.raw), len(p.raw), now)
	default:
		info = t.codec.Inspect(p.Payload(p.raw))
		if !t.source.cfg.Far {
			t.source.measure(t.layer, len(p.raw), &info, now)
		}
	}
	if t.source.cfg.Far && info.Temporal > t.temporal {
		t.temporal = info.Temporal
		t.source.divided(t.layer, info.Temporal)
	}
	if p.key = info.Key; p.key {
		t.keys.Arrived(now)
	}
	return true
}

// note takes what the packet tells of its stream.
func (t *track) note(p *packet, repaired bool, now time.Time) {
	if repaired {
		t.stats.Repaired(p.Sequence)
		return
	}
	t.stats.Packet(p.Sequence, p.Timestamp, now)
	t.clock.Packet(p.Timestamp, now)
	t.lastRTP, t.lastAt = p.Timestamp, now
	if t.mapping.Load() == nil {
		t.remap(now)
	}
}

// withheld reports whether the packet that missing has just been told of must
// not leave the router: its source is muted, or was when it was sent. Nothing
// of that time is kept for repairs or asked for again, and what arrives late
// from it is a duplicate of what was given up. old says that the packet was
// sent before the newest one.
func (t *track) withheld(old bool, now time.Time) bool {
	switch {
	case t.source.Muted():
		t.quiet = true
	case !t.quiet:
		return false
	case !old:
		t.quiet, t.opened = false, now
		t.spell++
		t.epoch++
		t.missing.Forget() // the gap before this packet may be of that time
		t.meter = loudest.Meter{}
		t.cacheMu.Lock()
		t.cache.Reset()
		t.cacheMu.Unlock()
		return false
	}
	t.missing.Forget()
	return true
}

// fetch copies a recent packet into dst. Any goroutine may call it.
func (t *track) fetch(seq uint16, dst []byte) (int, bool) {
	t.cacheMu.Lock()
	defer t.cacheMu.Unlock()
	if t.cache == nil {
		return 0, false
	}
	return t.cache.Get(seq, dst)
}

// close lets go of the track's memory; slots may know it for longer.
func (t *track) close() {
	t.cacheMu.Lock()
	defer t.cacheMu.Unlock()
	t.cache = nil
	if t.source.cfg.Far {
		t.source.layers[t.layer].CompareAndSwap(t, nil) // it may go on by another way
	}
}

// askKey asks for a key frame from whatever shard is held.
// first says that it is for a taker's first picture.
func (t *track) askKey(held *shard, first bool, now time.Time) {
	if held == t.shard {
		t.requestKey(first, now)
		return
	}
	it := item{keyOnly: true, first: first, now: now}
	it.packet.track = t
	t.shard.in.put(it) // if it is full the slot asks again
}

// requestKey asks the publisher for a key frame, unless that was done lately.
// The track's shard is held.
func (t *track) requestKey(first bool, now time.Time) {
	if first {
		t.keys.WantFirst()
	} else {
		t.keys.Want()
	}
	t.sendKeyRequest(now)
}

func (t *track) sendKeyRequest(now time.Time) {
	if !t.paused(now) && t.keys.Due(now, t.link.rtt) {
		t.shard.count(keyRequests, 1)
		t.link.send([]rtcp.Packet{&rtcp.PictureLossIndication{SenderSSRC: t.link.ssrc, MediaSSRC: t.ssrc}})
	}
}

// wanted reports whether any slot needs the track.
func (t *track) wanted() bool {
	if t.source.Muted() {
		return false
	}
	for i := range t.source.fans {
		if t.source.fans[i].want.Load()&(1<<t.layer) != 0 {
			return true
		}
	}
	return false
}

// tick asks for what is missing. The shard is held.
func (t *track) tick(now time.Time) {
	if now.Sub(t.mappedAt) >= remapEvery {
		t.remap(now)
	}
	wanted := t.wanted()
	if t.video && t.keys.Wanted() {
		if wanted {
			t.sendKeyRequest(now)
		} else {
			t.keys.Cancel()
		}
	}
	if !wanted && t.missing.Missing() > 0 {
		t.missing.Forget()
	}
	t.ask(now)
}

// ask asks the publisher for what is missing. The shard is held.
func (t *track) ask(now time.Time) {
	if t.missing.Missing() == 0 {
		return
	}
	due, gaveUp := t.missing.Due(t.shard.seqs[:0], now, t.link.rtt)
	t.shard.seqs = due
	if len(due) > 0 {
		t.shard.count(nacks, uint64(len(due)))
		t.link.send([]rtcp.Packet{&rtcp.TransportLayerNack{
			SenderSSRC: t.link.ssrc, MediaSSRC: t.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(due),
		}})
	}
	if gaveUp > 0 && t.video {
		t.requestKey(false, now)
	}
}
