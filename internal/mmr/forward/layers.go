package forward

import (
	"encoding/binary"
	"time"

	"causeway/protocol"
)

// lookEvery is how often a trunk looks whether layers have come or gone.
const lookEvery = 250 * time.Millisecond

// says is what this router tells of its pictures' layers.
type says struct {
	at, looked time.Time
	shape      uint64 // of what was told: which layers there are, how high
	data       []byte // scratch
}

// say tells the other router which layers there are to be asked for: when
// that has changed, and every second. The shard is held.
func (t *Trunk) say(now time.Time) {
	y := &t.says
	if now.Sub(y.looked) < lookEvery && !y.at.IsZero() {
		return
	}
	y.looked, y.data = now, y.data[:0]
	shape := uint64(len(t.applied.Own))
	for _, source := range t.applied.Own {
		if !source.picture() || source.Muted() {
			continue
		}
		layers := source.measured()
		y.data = binary.BigEndian.AppendUint32(y.data, source.Stream())
		for i := range maxLayers {
			var height, rate int
			if l := layers.Layer(i); layers.Active(i, now) && t.offers(source, i) {
				height, rate = l.Height, max(1, l.BitsPerSecond/1000)
			}
			shape = (shape ^ uint64(height)<<1 ^ uint64(min(rate, 1))) * 0x100000001b3 // FNV-1a
			y.data = binary.BigEndian.AppendUint16(y.data, uint16(min(height, 1<<16-1)))
			y.data = binary.BigEndian.AppendUint16(y.data, uint16(min(rate, 1<<16-1)))
		}
	}
	if shape == y.shape && now.Sub(y.at) < repeatEvery {
		return
	}
	y.at, y.shape = now, shape
	for d := y.data; len(d) > 0; {
		n := min(len(d), layersPart*layersSize)
		t.tell(layersName, d[:n])
		d = d[n:]
	}
}

// described takes what the other router tells of its layers. The shard is
// held.
func (t *Trunk) described(data []byte, now time.Time) {
	for ; len(data) >= layersSize; data = data[layersSize:] {
		source := t.far[binary.BigEndian.Uint32(data)]
		if source == nil {
			continue
		}
		source.measuring.Lock()
		for i := range maxLayers {
			at := data[4+4*i:]
			height, rate := binary.BigEndian.Uint16(at), binary.BigEndian.Uint16(at[2:])
			source.measures.Announce(i, int(height), int(rate)*1000, now)
		}
		source.measuring.Unlock()
	}
}

// picture reports whether the source is one.
func (s *Source) picture() bool {
	return s.cfg.Kind == protocol.Camera || s.cfg.Kind == protocol.Screen
}
