// Package nettest is virtual networks for tests: links of a given rate with a
// queue before them, in virtual time.
//
// A World runs events in the order of their time, the same every run. A Link
// takes packets, of which it knows only the size, and hands them on when they
// have come through its queue. There is no goroutine, no socket and no clock,
// so a minute of a busy network takes milliseconds and its outcome is
// reproducible to the bit.
package nettest

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// Epoch is when worlds begin.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// World is a virtual time line. Make it with New.
type World struct {
	now    time.Duration
	events events
	order  int
	Random *rand.Rand // seeded: the same in every run
}

type event struct {
	at    time.Duration
	order int // of two at the same time
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// New makes a world whose chance follows from the seed.
func New(seed uint64) *World {
	return &World{Random: rand.New(rand.NewPCG(seed, seed))}
}

// Now is the time in the world.
func (w *World) Now() time.Time { return Epoch.Add(w.now) }

// Elapsed is the time since the world's beginning.
func (w *World) Elapsed() time.Duration { return w.now }

// After calls do when d has gone by.
func (w *World) After(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.events, event{w.now + max(0, d), w.order, do})
}

// Every calls do at the end of every d, until the world ends.
func (w *World) Every(d time.Duration, do func()) {
	w.After(d, func() {
		do()
		w.Every(d, do)
	})
}

// Run lets the world run for d.
func (w *World) Run(d time.Duration) {
	end := w.now + d
	for len(w.events) > 0 && w.events[0].at <= end {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// Step is a rate from a moment on.
type Step struct {
	At   time.Duration // since the world's beginning
	Rate float64       // bits per second
}

// Link is one direction of a path: a queue, the bottleneck behind it, and what
// lies beyond.
type Link struct {
	World *World
	Rates []Step        // in the order of time; none: no bottleneck
	Queue time.Duration // how long a packet may wait for the bottleneck; longer is dropped. 0: a second
	Delay time.Duration // beyond the bottleneck
	// Jitter: each packet takes up to twice as long more, and may overtake others.
	Jitter time.Duration
	// Wander: the delay wanders between nothing and twice as much more, and
	// packets keep their order.
	Wander time.Duration
	// Loss is the share of packets lost beyond the queue; Burst how many are
	// lost in a row, on average; 0 and 1 are independent losses.
	Loss  float64
	Burst float64

	free    time.Duration // when the bottleneck is free again
	losing  bool
	wander  wander
	Dropped int // by the queue
	Lost    int
}

// RateAt returns the bottleneck's rate at a time since the world's beginning.
func (l *Link) RateAt(t time.Duration) float64 {
	rate := 0.0
	for _, s := range l.Rates {
		if s.At <= t {
			rate = s.Rate
		}
	}
	return rate
}

// Backlog is how long a packet sent now would wait.
func (l *Link) Backlog() time.Duration { return max(0, l.free-l.World.now) }

// Send sends a packet of some bytes; arrive is called when it comes out, never
// if it is lost. It reports how long the packet waits in the queue; -1 if
// there was no room.
func (l *Link) Send(bytes int, arrive func()) (wait time.Duration) {
	if len(l.Rates) > 0 {
		wait = l.Backlog()
		limit := l.Queue
		if limit == 0 {
			limit = time.Second
		}
		if wait > limit {
			l.Dropped++
			return -1
		}
		l.free = l.serve(max(l.free, l.World.now), float64(bytes)*8)
	} else {
		l.free = l.World.now
	}
	out := l.free - l.World.now + l.Delay
	if l.Jitter > 0 {
		out += time.Duration(l.World.Random.Int64N(int64(2 * l.Jitter)))
	}
	if l.Wander > 0 {
		out += l.wander.at(l.World, l.Wander)
	}
	if l.lose() {
		l.Lost++
		return wait
	}
	l.World.After(out, arrive)
	return wait
}

// wander goes in straight lines from one random delay to the next, so far
// apart in time that no packet overtakes another.
type wander struct {
	since    time.Duration
	from, to time.Duration
}

func (d *wander) at(w *World, most time.Duration) time.Duration {
	step := 2 * most
	for w.now-d.since >= step {
		d.since += step
		d.from, d.to = d.to, time.Duration(w.Random.Int64N(int64(step)))
	}
	return d.from + time.Duration(float64(d.to-d.from)*float64(w.now-d.since)/float64(step))
}

// serve returns when the bottleneck has sent some bits that it begins with at
// a moment, across the changes of its rate.
func (l *Link) serve(from time.Duration, bits float64) time.Duration {
	for i := range l.Rates {
		if i+1 < len(l.Rates) && l.Rates[i+1].At <= from {
			continue
		}
		need := time.Duration(bits / l.Rates[i].Rate * float64(time.Second))
		if i+1 == len(l.Rates) || from+need <= l.Rates[i+1].At {
			return from + need
		}
		bits -= (l.Rates[i+1].At - from).Seconds() * l.Rates[i].Rate
		from = l.Rates[i+1].At
	}
	return from
}

// lose decides over a packet: a Gilbert model with the given mean share and
// length of bursts.
func (l *Link) lose() bool {
	if l.Loss == 0 {
		return false
	}
	if l.Burst <= 1 {
		return l.World.Random.Float64() < l.Loss
	}
	if l.losing {
		l.losing = l.World.Random.Float64() >= 1/l.Burst
	} else {
		l.losing = l.World.Random.Float64() < l.Loss/(1-l.Loss)/l.Burst
	}
	return l.losing
}
