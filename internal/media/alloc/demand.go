package alloc

import "time"

const (
	maxLayers = 8
	// linger is how long a layer goes on being wanted after its last taker: to
	// stop and start it costs a key frame, and people talk in turns.
	linger = 5 * time.Second
)

// Demand tells which layers of a source anybody takes, so that its publisher
// need not send the others. The zero value is ready: all are wanted until
// linger after Since.
type Demand struct {
	Since time.Time // when the source began
	taken [maxLayers]time.Time
}

// Take notes that layers are taken, a bit each.
func (d *Demand) Take(layers uint32, now time.Time) {
	for i := range d.taken {
		if layers>>i&1 != 0 {
			d.taken[i] = now
		}
	}
}

// Wanted returns the layers that anybody takes, or lately did, a bit each.
func (d *Demand) Wanted(now time.Time) uint32 {
	var layers uint32
	for i, at := range d.taken {
		if now.Sub(at) < linger || now.Sub(d.Since) < linger {
			layers |= 1 << i
		}
	}
	return layers
}
