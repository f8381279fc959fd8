package forward

import (
	"slices"
	"time"

	"causeway/internal/media/depdesc"
	"causeway/internal/media/header"
	"causeway/internal/media/keyframe"
	"causeway/internal/media/seqnum"
)

// The layers of AV1 are told by a header extension, the dependency descriptor,
// in terms of a structure that comes with the first packet of a key frame. If
// that packet is lost, those behind it cannot be read before its repair; they
// wait in the cache until then.

// described is what a track knows of its descriptors. It belongs to the
// track's shard.
type described struct {
	reader depdesc.Reader
	held   []uint16 // packets that wait for a structure
}

// maxHeld is how many may.
const maxHeld = 512

// describe reads the descriptor of a packet; false if its structure has not
// come. A packet without one is taken as it is.
func (t *track) describe(p *packet, now time.Time) (keyframe.Info, bool) {
	content := p.Extension(p.raw, t.descriptorID)
	if content == nil {
		info := t.codec.Inspect(p.Payload(p.raw))
		if !t.source.cfg.Far {
			t.source.measure(0, len(p.raw), &info, now)
		}
		return info, true
	}
	var d depdesc.Descriptor
	if p.structure = t.described.reader.Parse(content, &d); p.structure == nil {
		return keyframe.Info{}, false
	}
	if !t.source.cfg.Far {
		t.source.measureDescribed(p.structure, &d, len(p.raw), now)
	}
	return keyframe.Info{Start: d.Start, Key: d.Key(), Temporal: d.Temporal}, true
}

// measureDescribed notes a packet of a source that has descriptors.
func (s *Source) measureDescribed(st *depdesc.Structure, d *depdesc.Descriptor, bytes int, now time.Time) {
	s.measuring.Lock()
	defer s.measuring.Unlock()
	s.measures.Packet(int(d.Spatial), bytes, now)
	s.measures.Temporal(int(d.Spatial), int(d.Temporal))
	if !d.Structured {
		return
	}
	for i := range maxLayers {
		s.measures.Size(i, st.Sizes[i].Width, st.Sizes[i].Height)
	}
}

// hold notes that a packet waits. The shard is held.
func (t *track) hold(seq uint16, now time.Time) {
	h := t.described
	if len(h.held) == maxHeld {
		h.held = slices.Delete(h.held, 0, maxHeld/2)
	}
	h.held = append(h.held, seq)
	if !h.reader.Known() && t.wanted() {
		t.requestKey(true, now) // what there is of this one may have come before us
	}
}

// release passes on what waits for the structure that came with p. The shard
// is held.
func (t *track) release(sh *shard, p *packet, now time.Time) {
	held := t.described.held
	t.described.held = held[:0]
	slices.SortFunc(held, func(a, b uint16) int { return int(seqnum.Diff(a, b)) })
	buf := make([]byte, maxPacket)
	for _, seq := range held {
		n, ok := t.fetch(seq, buf)
		if !ok || seqnum.Less(seq, p.Sequence) {
			continue
		}
		q := *p
		q.raw = slices.Clone(buf[:n]) // it is delivered later
		q.Header, _ = header.Parse(q.raw)
		if t.inspect(&q, now) {
			t.passOn(sh, &q, now)
		}
	}
}
