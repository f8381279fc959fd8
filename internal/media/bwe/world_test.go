package bwe

import (
	"slices"
	"time"

	"causeway/internal/media/pace"
	"causeway/internal/media/twcc"
	"causeway/internal/nettest"
)

const (
	overhead   = 28 + 12 + 8 + 16 // IP, UDP, RTP, extension, SRTP
	frameEvery = time.Second / 30
	audioEvery = 20 * time.Millisecond
	audioSize  = 80 + overhead
	binSize    = 100 * time.Millisecond
)

// flow is a participant that receives sound and pictures over two connections
// through one bottleneck, from a sender that keeps to an Estimator.
type flow struct {
	world    *nettest.World
	down, up *nettest.Link
	e        *Estimator
	audio    *leg
	video    *leg
	queue    *pace.Queue[int]
	cap      float64 // most that the pictures take; 0 no bound
	ladder   []float64

	bins  []bin
	waits []waited
}

// bin is what happened in a tenth of a second.
type bin struct {
	arrived  int // bytes
	estimate int
	queue    time.Duration // longest wait
	video    int           // bytes of pictures that arrived
}

// waited is how long a packet waited at the bottleneck.
type waited struct {
	at, wait time.Duration
}

// leg is one connection.
type leg struct {
	path     *Path
	recorder *twcc.Recorder
}

func newFlow(w *nettest.World, down, up *nettest.Link, start time.Duration) *flow {
	f := &flow{world: w, down: down, up: up}
	w.After(start, f.begin)
	return f
}

func (f *flow) begin() {
	w := f.world
	f.e = New(Config{Start: 300e3, Min: 50e3, Max: 10e6}, w.Now())
	f.queue = pace.New[int](pace.Config{Burst: 5 * time.Millisecond, MaxWait: 200 * time.Millisecond, Packets: 512})
	f.audio = &leg{f.e.NewPath(), twcc.NewRecorder(1)}
	f.video = &leg{f.e.NewPath(), twcc.NewRecorder(2)}
	w.Every(audioEvery, func() { f.send(f.audio, audioSize, false) })
	w.Every(frameEvery, f.frame)
	w.Every(5*time.Millisecond, f.tick)
	for _, l := range []*leg{f.audio, f.video} {
		w.Every(50*time.Millisecond, func() { f.feedback(l) })
	}
	w.Every(binSize, func() { f.bin().estimate = f.e.Estimate() })
}

func (f *flow) bin() *bin {
	i := int(f.world.Elapsed() / binSize)
	for len(f.bins) <= i {
		f.bins = append(f.bins, bin{})
		if n := len(f.bins); n > 1 {
			f.bins[n-1].estimate = f.bins[n-2].estimate
		}
	}
	return &f.bins[i]
}

func (f *flow) send(l *leg, size int, padding bool) {
	now := f.world.Now()
	seq := l.path.Sent(size, now)
	wait := f.down.Send(size, func() {
		l.recorder.Record(1, seq, f.world.Now())
		b := f.bin()
		b.arrived += size
		if l == f.video && !padding {
			b.video += size
		}
	})
	if wait >= 0 {
		b := f.bin()
		b.queue = max(b.queue, wait)
		f.waits = append(f.waits, waited{f.world.Elapsed(), wait})
	}
}

// frame is a picture from an encoder that keeps to the rate, or the best of a
// few layers that fit.
func (f *flow) frame() {
	now := f.world.Now()
	rate := float64(f.e.Rate(now)) - 8*audioSize/audioEvery.Seconds()
	if f.cap > 0 {
		rate = min(rate, f.cap)
	}
	if len(f.ladder) > 0 {
		best := 0.0
		for _, l := range f.ladder {
			if l <= rate {
				best = l
			}
		}
		rate = best
	}
	if rate < 10e3 {
		return
	}
	if f.queue.Bytes() > int(max(rate, 100e3)/8*0.1) {
		return // the pacer is behind
	}
	bytes := int(rate / 8 * frameEvery.Seconds() * (0.8 + 0.4*f.world.Random.Float64()))
	packets := bytes/1200 + 1
	for range packets {
		f.queue.Push(bytes/packets+overhead*bytes/packets/1300, 0, now)
	}
}

func (f *flow) tick() {
	now := f.world.Now()
	f.e.Tick(now)
	rate := f.e.Rate(now)
	f.queue.SetRate(rate*5/4, now)
	for {
		size, ok := f.queue.Pop(now)
		if !ok {
			break
		}
		f.send(f.video, size, false)
	}
	for f.e.Padding(now) >= 300 {
		f.send(f.video, min(f.e.Padding(now), 1200), true)
	}
}

func (f *flow) feedback(l *leg) {
	for l.recorder.Pending() {
		raw := l.recorder.Append(nil)
		f.up.Send(len(raw)+overhead, func() {
			fb, ok := twcc.Parse(raw)
			if !ok {
				panic("feedback not parsed")
			}
			l.path.Feedback(fb, f.world.Now())
		})
	}
}

// throughput is what arrived between two times, in bits per second.
func (f *flow) throughput(from, to time.Duration) float64 {
	sum := 0
	for i := int(from / binSize); i < int(to/binSize) && i < len(f.bins); i++ {
		sum += f.bins[i].arrived
	}
	return float64(sum) * 8 / (to - from).Seconds()
}

// reaches is how long it takes from a moment until half a second brings a
// share of the rate; -1 never.
func (f *flow) reaches(rate float64, from time.Duration) time.Duration {
	for i := int(from / binSize); i+5 <= len(f.bins); i++ {
		at := time.Duration(i) * binSize
		if f.throughput(at, at+5*binSize) >= rate {
			return at + 5*binSize - from
		}
	}
	return -1
}

// percentile is one of the waits between two times.
func (f *flow) percentile(share float64, from, to time.Duration) time.Duration {
	var all []time.Duration
	for _, w := range f.waits {
		if w.at >= from && w.at < to {
			all = append(all, w.wait)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(share*float64(len(all))))]
}

// below is how long it takes from a moment until packets wait less than the
// limit again; the flow must go on.
func (f *flow) below(limit, from time.Duration) time.Duration {
	over := false
	for _, w := range f.waits {
		over = over || w.at >= from && w.wait > limit
		if over && w.wait < limit {
			return w.at - from
		}
	}
	return 0
}

// reno is a flow that fills queues as TCP does: slow start, one packet more
// for each round trip, half as much after a loss.
type reno struct {
	world    *nettest.World
	down, up *nettest.Link
	window   float64
	slow     float64 // threshold of slow start
	next     int     // packet
	acked    map[int]bool
	lowest   int // not acknowledged
	recover  int // losses before this packet have been answered
	flying   int
	arrived  int // bytes
	stopped  bool
}

const renoSize = 1500

func newReno(w *nettest.World, down, up *nettest.Link, start time.Duration) *reno {
	r := &reno{world: w, down: down, up: up, window: 10, slow: 1e9, acked: map[int]bool{}}
	w.After(start, r.fill)
	return r
}

func (r *reno) fill() {
	for float64(r.flying) < r.window && !r.stopped {
		n := r.next
		r.next++
		r.flying++
		came := false
		r.down.Send(renoSize, func() {
			came = true
			r.arrived += renoSize
			r.up.Send(64, func() { r.ack(n) })
		})
		r.world.After(2*time.Second, func() {
			if !came {
				r.lost(n)
			}
		})
	}
}

func (r *reno) ack(n int) {
	r.acked[n] = true
	r.flying--
	if r.window < r.slow {
		r.window++
	} else {
		r.window += 1 / r.window
	}
	// Three later ones: it is lost.
	for r.lowest < n-2 {
		if !r.acked[r.lowest] {
			r.lost(r.lowest)
		}
		delete(r.acked, r.lowest)
		r.lowest++
	}
	r.fill()
}

func (r *reno) lost(n int) {
	if n < r.lowest || r.acked[n] {
		return
	}
	r.acked[n] = true
	r.flying--
	if n >= r.recover {
		r.window = max(2, r.window/2)
		r.slow = r.window
		r.recover = r.next
	}
	r.fill()
}
