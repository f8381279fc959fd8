package relay

import (
	"encoding/binary"
	"hash/fnv"
	"sync"
	"time"

	"causeway/internal/mmr/cascade"
	"causeway/internal/mmr/forward"
)

const (
	// pulseUnit is that of ages on the wire; pulseSize an entry's length: the
	// leg's name, hashed (32 bits), and how long ago it was heard (16).
	pulseUnit = 10 * time.Millisecond
	pulseSize = 6
	// pulseFor is how long ago a leg that lives may have been heard, told once
	// a second over as many routers as there are in between.
	pulseFor = 8 * time.Second
)

// pulse knows when the legs were heard that are not neighbours, as those in
// between tell. An age only ever grows on its way, so that nobody is kept alive
// by rumours that go round in circles.
type pulse struct {
	self name

	mu    sync.Mutex
	heard map[uint32]time.Time // by hashed name
	via   map[uint32]name      // by which neighbour a leg is reached
}

func hashed(n name) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(n.Zone + "/" + n.MMR)) // never fails
	return h.Sum32()
}

// route takes another tree.
func (p *pulse) route(t *cascade.Tree) {
	via := map[uint32]name{}
	for _, n := range t.Names() {
		if v, ok := t.Via(p.self, n); ok {
			via[hashed(n)] = v
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	heard := make(map[uint32]time.Time, len(via))
	for h := range via {
		heard[h] = p.heard[h]
	}
	p.via, p.heard = via, heard
}

// alive reports whether a leg has been heard lately.
func (p *pulse) alive(n name, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.heard[hashed(n)]
	return !at.IsZero() && now.Sub(at) < pulseFor
}

// word is what is told to, and heard from, one neighbour.
type word struct {
	*pulse
	to name
}

var _ forward.Word = word{}

// Say implements forward.Word: what does not come from there is told.
func (w word) Say(dst []byte, now time.Time) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	for h, via := range w.via {
		if age := now.Sub(w.heard[h]); via != w.to && age < pulseFor {
			dst = binary.BigEndian.AppendUint32(dst, h)
			dst = binary.BigEndian.AppendUint16(dst, uint16(max(0, age)/pulseUnit))
		}
	}
	for len(dst)%4 != 0 {
		dst = append(dst, 0)
	}
	return dst
}

// Hear implements forward.Word. Whoever speaks lives.
func (w word) Hear(data []byte, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(hashed(w.to), now)
	for ; len(data) >= pulseSize; data = data[pulseSize:] {
		age := time.Duration(binary.BigEndian.Uint16(data[4:])) * pulseUnit
		w.note(binary.BigEndian.Uint32(data), now.Add(-age))
	}
}

// note takes the later of two times. w.mu is held.
func (w word) note(h uint32, at time.Time) {
	if was, known := w.heard[h]; known && at.After(was) {
		w.heard[h] = at
	}
}
