package forward

import (
	"sync"
	"sync/atomic"
	"time"

	"causeway/internal/media/cache"
	"causeway/internal/media/keyframe"
	"causeway/internal/media/nack"

	"github.com/pion/rtcp"
)

// How long packets are kept for repairs, and how many.
var (
	audioCache = cache.Config{Packets: 64, Bytes: 32 << 10, Keep: time.Second}
	videoCache = cache.Config{Packets: 1024, Bytes: 2 << 20, Keep: time.Second}
)

// track is one RTP stream that arrives: a source, or one layer of it.
type track struct {
	source  *Source
	link    *Link
	layer   int
	ssrc    uint32
	levelID uint8
	video   bool
	codec   keyframe.Codec
	shard   *shard

	// What takers on other shards read.
	cacheMu sync.Mutex
	cache   *cache.Cache // nil once the link is closed
	height  atomic.Int32 // of the picture, 0 if not known
	latest  atomic.Int64 // when the latest packet came, ns since the router's epoch

	// Everything below belongs to the shard's holder.
	missing nack.Log
}

func newTrack(l *Link, pub *publishing, layer int, ssrc uint32) *track {
	t := &track{
		source: pub.source, link: l, layer: layer, ssrc: ssrc, levelID: pub.levelID, shard: l.shard,
		codec: keyframe.CodecOf(pub.source.cfg.Codec.Name),
	}
	t.video = t.codec != keyframe.Other
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
	verdict := t.missing.Receive(p.Sequence, now)
	if verdict == nack.Duplicate {
		sh.count(ignored, 1)
		return
	}
	t.latest.Store(int64(now.Sub(sh.router.epoch)))
	t.cacheMu.Lock()
	t.cache.Store(p.Sequence, p.raw, now)
	t.cacheMu.Unlock()
	p.key = true
	if t.video {
		info := t.codec.Inspect(p.Payload(p.raw))
		p.key = info.Key
		if info.Height > 0 {
			t.height.Store(int32(info.Height))
		}
	} else if l := t.source.cfg.Loudest; l != nil {
		l.hear(t.source, p, now)
	}
	t.source.publish(sh, p, now)
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
}

// askKey asks for a key frame from whatever shard is held.
func (t *track) askKey(held *shard, now time.Time) {
	if held == t.shard {
		t.requestKey(now)
		return
	}
	it := item{keyOnly: true, now: now}
	it.packet.track = t
	t.shard.in.put(it) // if it is full the slot asks again
}

// nackPairs packs sequence numbers, in order, into pairs (RFC 4585 section 6.2.1).
func nackPairs(seqs []uint16) []rtcp.NackPair { return rtcp.NackPairsFromSequenceNumbers(seqs) }
