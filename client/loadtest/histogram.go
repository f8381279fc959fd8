package loadtest

import (
	"sync/atomic"
	"time"
)

// histogram counts durations in classes of a millisecond, up to maxDelay; what
// is longer is in the last. It may be used from any number of goroutines.
type histogram struct {
	classes [int(maxDelay/time.Millisecond) + 1]atomic.Uint32
}

const maxDelay = joinLimit

func (h *histogram) add(d time.Duration) {
	h.classes[max(0, min(int(d/time.Millisecond), len(h.classes)-1))].Add(1)
}

// Delays says how late what was received was, in milliseconds. Percentile P is
// the least delay that P percent did not exceed; classes are 1 ms wide.
type Delays struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

// take gives the percentiles of what was counted, and begins anew.
func (h *histogram) take() Delays {
	counts := make([]uint64, len(h.classes))
	var d Delays
	for i := range h.classes {
		counts[i] = uint64(h.classes[i].Swap(0))
		d.Count += counts[i]
	}
	return d.of(counts)
}

// of finds the percentiles of counts by class.
func (d Delays) of(counts []uint64) Delays {
	var below uint64
	for i, n := range counts {
		if n == 0 {
			continue
		}
		for _, p := range []struct {
			share float64
			to    *float64
		}{{.50, &d.P50}, {.95, &d.P95}, {.99, &d.P99}} {
			if rank := p.share * float64(d.Count); float64(below) < rank && float64(below+n) >= rank {
				*p.to = float64(i)
			}
		}
		below += n
		d.Max = float64(i)
	}
	return d
}
