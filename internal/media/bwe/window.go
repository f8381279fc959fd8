package bwe

import (
	"math"
	"time"
)

const (
	windowSize = 256
	jitterStep = 100 * time.Microsecond // by which one sample moves the jitter
)

// sample is a packet that arrived.
type sample struct {
	path  *Path
	sent  time.Duration
	queue time.Duration // that it met
	size  int
}

// recv is when it came, on the sender's clock, if the path were of no length.
func (s *sample) recv() time.Duration { return s.sent + s.queue }

// window holds the latest samples of all paths.
type window struct {
	n      int           // in all
	jitter time.Duration // by how much samples depart from a trend
	ring   [windowSize]sample
}

func (w *window) add(s sample) {
	if w.n > 1 && s.sent >= w.back(0).sent {
		// By how much it departs from the line through the two before; the
		// median, since a frame's first packet departs by a whole burst.
		off := (s.queue - 2*w.back(0).queue + w.back(1).queue).Abs() / 2
		if off > w.jitter {
			w.jitter += jitterStep
		} else {
			w.jitter = max(0, w.jitter-jitterStep)
		}
	}
	w.n++
	// Feedback of one path may come before that of another: keep the order.
	i := 0
	for ; i+1 < w.len() && w.back(i+1).sent > s.sent; i++ {
		*w.back(i) = *w.back(i + 1)
	}
	*w.back(i) = s
}

// len is how many samples there are.
func (w *window) len() int { return min(w.n, windowSize) }

// back returns the i-th latest sample.
func (w *window) back(i int) *sample { return &w.ring[(w.n-1-i)%windowSize] }

// shift corrects samples whose path turned out to be shorter.
func (w *window) shift(p *Path, by time.Duration) {
	for i := range w.len() {
		if s := w.back(i); s.path == p {
			s.queue += by
		}
	}
}

func (w *window) clear() { w.n = 0 }

// Over what the queue's floor is taken: the least of many packets, since
// jitter only adds.
const (
	standingSpan    = 100 * time.Millisecond
	standingSamples = 10
	standingAge     = 500 * time.Millisecond
)

// standing returns the queue that even the luckiest of the latest packets
// met; false if there were too few.
func (w *window) standing() (time.Duration, bool) {
	if w.n == 0 {
		return 0, false
	}
	newest, least := w.back(0).recv(), time.Duration(math.MaxInt64)
	n := 0
	for i := range w.len() {
		s := w.back(i)
		if age := newest - s.recv(); age > standingAge || age > standingSpan && n >= standingSamples {
			break
		}
		least = min(least, s.queue)
		n++
	}
	return least, n >= standingSamples/2
}

// Over what the trend is taken, and when it counts.
const (
	trendSpan    = 80 * time.Millisecond
	trendSamples = 6
	trendGrowth  = 12 * time.Millisecond  // over the span
	trendSigma   = 4                      // standard errors
	trendMemory  = 150 * time.Millisecond // within which it must be seen again
	trendFloor   = 10 * time.Millisecond  // of the later half's queue
	latestBytes  = 4 * probePacket
	collapse     = 30 * time.Millisecond // by which the queue of the very latest grows
	surge        = 60 * time.Millisecond // of it, that needs no trend
)

// growing reports whether the queue grows beyond doubt: its slope over the
// latest packets (least squares) is several standard errors above nothing, so
// that jitter alone does not count, and even the luckiest packets of late met
// a queue, so that the bursts of frames do not.
func (w *window) growing() bool {
	if w.n == 0 {
		return false
	}
	newest, first := w.back(0).recv(), w.back(0).sent
	floor, _ := w.lately()
	var fit line
	for i := range w.len() {
		s := w.back(i)
		age := newest - s.recv()
		if age > trendSpan && fit.n >= trendSamples || age > 3*trendSpan {
			break
		}
		fit.add((s.sent - first).Seconds(), s.queue.Seconds())
	}
	if fit.n < trendSamples || floor < trendFloor {
		return false
	}
	slope, deviation := fit.slope()
	return slope*(fit.most-fit.least) > trendGrowth.Seconds() && slope > trendSigma*deviation
}

// collapsed reports whether the very latest packets came so much later one
// after the other than they were sent that there must be a new queue.
func (w *window) collapsed() bool {
	// A queue that is falling is what is left of a stall.
	if least, most := w.lately(); least > surge+2*w.jitter && 5*w.back(0).queue > 4*most {
		return true
	}
	oldest, _, ok := w.latestFrom()
	if !ok {
		return false
	}
	rise, took := w.back(0).queue-w.back(oldest).queue, w.back(0).recv()-w.back(oldest).recv()
	return rise > collapse+2*w.jitter && 2*rise > took
}

// lately returns the queues that the luckiest and the unluckiest of the latest
// packets met; 0 if there are too few.
func (w *window) lately() (least, most time.Duration) {
	least = math.MaxInt64
	n := 0
	for n < w.len() && w.back(0).recv()-w.back(n).recv() <= trendSpan/2 {
		least, most = min(least, w.back(n).queue), max(most, w.back(n).queue)
		n++
	}
	if n < trendSamples/2 {
		return 0, 0
	}
	return least, most
}

// latestFrom returns the sample from which on the latest few packets are that
// met a queue, and their bytes without it; false if those are too few.
func (w *window) latestFrom() (oldest, bytes int, ok bool) {
	for oldest+1 < w.len() && bytes < latestBytes && w.back(oldest+1).queue >= busyQueue {
		bytes += w.back(oldest).size
		oldest++
	}
	return oldest, bytes, bytes >= latestBytes/2
}

// latest is the rate at which the very latest packets came, at most, given the
// jitter: what is taken over more of them lags behind when the capacity
// collapses.
func (w *window) latest() (float64, bool) {
	oldest, bytes, ok := w.latestFrom()
	took := w.back(0).recv() - w.back(oldest).recv()
	if !ok || took <= 0 {
		return 0, false
	}
	return float64(bytes) * 8 / took.Seconds() * (1 + w.jitter.Seconds()/took.Seconds()), true
}

// line fits a line to points by least squares.
type line struct {
	n, x, y, xx, xy, yy float64 // sums
	least, most         float64 // of x
}

func (l *line) add(x, y float64) {
	if l.n == 0 {
		l.least, l.most = x, x
	}
	l.least, l.most = min(l.least, x), max(l.most, x)
	l.n++
	l.x, l.y, l.xx, l.xy, l.yy = l.x+x, l.y+y, l.xx+x*x, l.xy+x*y, l.yy+y*y
}

// slope returns the line's slope and its standard error; both are 0 for too
// few points.
func (l *line) slope() (slope, deviation float64) {
	xx, xy, yy := l.xx-l.x*l.x/l.n, l.xy-l.x*l.y/l.n, l.yy-l.y*l.y/l.n
	if l.n < 3 || xx <= 0 {
		return 0, 0
	}
	slope = xy / xx
	return slope, math.Sqrt(max(0, yy-slope*xy) / (l.n - 2) / xx)
}

const (
	// busyQueue is what a packet must have met for the bottleneck to be busy.
	busyQueue = 5 * time.Millisecond
	busyLeast = 60 * time.Millisecond
	busyCount = 6 // samples at least
	busyLong  = 400 * time.Millisecond
	busyShort = 120 * time.Millisecond
	// busyFall is the share of the rate over the long time below which that
	// over the short one counts.
	busyFall = 0.8
)

// carried measures what arrived while the bottleneck was busy, in bits per
// second: that is its capacity. It is taken over a long time, unless it has
// fallen of late, and up to the moment of which all paths have told. It
// reports false if the bottleneck was not busy for long enough to tell.
func (w *window) carried(until time.Duration) (float64, bool) {
	long, ok := w.carriedOver(busyLong, until)
	if short, fell := w.carriedOver(busyShort, until); fell && short < busyFall*long {
		return short, true
	}
	return long, ok
}

// carriedOver returns the most that it may have been, given the jitter at
// either end.
func (w *window) carriedOver(over, until time.Duration) (float64, bool) {
	from, to := until, time.Duration(0)
	bytes, first, n := 0, 0, 0
	idle := w.jitter < busyQueue // one packet that was lucky is so by jitter
	for i := range w.len() {
		s := w.back(i)
		if s.recv() > until {
			continue
		}
		if until-s.recv() > over || s.queue < busyQueue && idle {
			break
		}
		idle = s.queue < busyQueue || w.jitter < busyQueue
		if s.recv() <= from {
			from, first = s.recv(), s.size
		}
		to = max(to, s.recv())
		bytes += s.size
		n++
	}
	d := to - from
	if d < busyLeast || n < busyCount {
		return 0, false
	}
	return float64(bytes-first) * 8 / d.Seconds() * (1 + w.jitter.Seconds()/d.Seconds()), true
}

// meter counts bytes over time.
type meter struct {
	newest int64 // bin
	bins   [meterBins]int32
}

const (
	meterBins = 64
	meterBin  = 20 * time.Millisecond
)

func (m *meter) add(at time.Duration, bytes int) {
	b := int64(at / meterBin)
	if b > m.newest {
		for n := max(m.newest+1, b-meterBins+1); n <= b; n++ {
			m.bins[n%meterBins] = 0
		}
		m.newest = b
	}
	if b > m.newest-meterBins && b >= 0 {
		m.bins[b%meterBins] += int32(bytes)
	}
}

// rate is what was counted in the time before at, in bits per second.
func (m *meter) rate(at, over time.Duration) float64 {
	last := int64(at/meterBin) - 1 // the current bin is not full yet
	bins := int64(over / meterBin)
	sum := 0
	for n := max(last-bins+1, m.newest-meterBins+1, 0); n <= min(last, m.newest); n++ {
		sum += int(m.bins[n%meterBins])
	}
	return float64(sum) * 8 / (time.Duration(bins) * meterBin).Seconds()
}

// minimum is the least of the values of the last 15 to 30 seconds.
type minimum struct {
	now, before time.Duration
	since       time.Duration
	ok          bool
}

const minimumSpan = 15 * time.Second

// add takes a value and returns by how much it lowers the minimum.
func (m *minimum) add(v, at time.Duration) (lower time.Duration) {
	switch {
	case !m.ok:
		*m = minimum{now: v, before: v, since: at, ok: true}
		return 0
	case at-m.since >= minimumSpan:
		m.before, m.now, m.since = m.now, v, at
	}
	was := m.value()
	m.now = min(m.now, v)
	return max(0, was-m.value())
}

func (m *minimum) value() time.Duration { return min(m.now, m.before) }
