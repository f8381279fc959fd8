package loadtest

import (
	"math"
	"runtime/metrics"
	"slices"
)

// ownDelay is the Report.Waited.P95 from which on this process is short of
// processor time itself, in milliseconds: what it measures are its own delays
// then, and what a server is blamed for may be its own fault.
const ownDelay = 20

// waiting counts how long goroutines of this process waited for a processor
// when there was something for them to do, by class.
type waiting metrics.Float64Histogram

// waits are those since the process began.
func waits() waiting {
	s := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindFloat64Histogram { // a runtime that does not tell
		return waiting{}
	}
	return waiting(*s[0].Value.Float64Histogram())
}

// since gives those after an earlier look. Classes are as wide as the runtime
// has them, and told by their upper ends.
func (w waiting) since(before waiting) Delays {
	counts := slices.Clone(w.Counts)
	var d Delays
	for i := range counts {
		if i < len(before.Counts) {
			counts[i] -= before.Counts[i]
		}
		d.Count += counts[i]
	}
	d = d.of(counts)
	for _, class := range []*float64{&d.P50, &d.P95, &d.P99, &d.Max} {
		*class = w.endOf(int(*class))
	}
	return d
}

// endOf is the upper end of a class in milliseconds, or the lower end of the
// last.
func (w waiting) endOf(class int) float64 {
	if class+1 >= len(w.Buckets) {
		return 0
	}
	end := w.Buckets[class+1]
	if math.IsInf(end, 1) {
		end = w.Buckets[class]
	}
	return end * 1e3
}
