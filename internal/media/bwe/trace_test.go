package bwe

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"causeway/internal/media/twcc"
	"causeway/internal/nettest"
)

const (
	kbit = 1e3
	mbit = 1e6
	ms   = time.Millisecond
	sec  = time.Second
)

// trace is a network, and what is expected of a flow over it.
type trace struct {
	name   string
	rate   float64        // bits per second
	steps  []nettest.Step // instead
	delay  time.Duration  // one way
	jitter time.Duration
	loss   float64
	burst  float64
	queue  time.Duration // room in it
	cap    float64       // of what there is to send
	ladder []float64

	reach time.Duration // by when 95 % of what the network takes must arrive
	use   float64       // share of it that must arrive from 5 s on
	wait  time.Duration // 95th percentile of the queue
}

// duration of each trace.
const duration = 60 * sec

func (tr *trace) run(seed uint64) *flow {
	w := nettest.New(seed)
	rates := tr.steps
	if rates == nil {
		rates = []nettest.Step{{Rate: tr.rate}}
	}
	down := &nettest.Link{World: w, Rates: rates, Delay: tr.delay, Jitter: tr.jitter, Loss: tr.loss, Burst: tr.burst, Queue: tr.queue}
	f := newFlow(w, down, &nettest.Link{World: w, Delay: tr.delay}, 0)
	f.cap, f.ladder = tr.cap, tr.ladder
	w.Run(duration)
	return f
}

var traces = []trace{
	{name: "2 Mbit/s", rate: 2 * mbit, delay: 25 * ms, reach: 2 * sec, use: 0.97, wait: 60 * ms},
	{name: "2 Mbit/s, 200 ms round trip", rate: 2 * mbit, delay: 100 * ms, reach: 3 * sec, use: 0.93, wait: 70 * ms},
	{name: "300 kbit/s", rate: 300 * kbit, delay: 25 * ms, reach: 2 * sec, use: 0.95, wait: 130 * ms},
	{name: "8 Mbit/s", rate: 8 * mbit, delay: 25 * ms, reach: 3 * sec, use: 0.95, wait: 60 * ms},
	{name: "2 Mbit/s, jitter ±30 ms", rate: 2 * mbit, delay: 25 * ms, jitter: 30 * ms, reach: 5 * sec, use: 0.88, wait: 70 * ms},
	{name: "2 Mbit/s, 1 % loss", rate: 2 * mbit, delay: 25 * ms, loss: 0.01, reach: 5 * sec, use: 0.93, wait: 60 * ms},
	{name: "2 Mbit/s, 3 % loss", rate: 2 * mbit, delay: 25 * ms, loss: 0.03, reach: 5 * sec, use: 0.90, wait: 70 * ms},
	{name: "2 Mbit/s, 3 % loss in bursts of 5", rate: 2 * mbit, delay: 25 * ms, loss: 0.03, burst: 5, reach: 6 * sec, use: 0.75, wait: 80 * ms},
	{name: "2 Mbit/s, 10 % loss", rate: 2 * mbit, delay: 25 * ms, loss: 0.10, reach: 5 * sec, use: 0.80, wait: 80 * ms},
	{name: "2 Mbit/s, room for 50 ms", rate: 2 * mbit, delay: 25 * ms, queue: 50 * ms, reach: 5 * sec, use: 0.90, wait: 50 * ms},
	{name: "2 Mbit/s, room for 3 s", rate: 2 * mbit, delay: 25 * ms, queue: 3 * sec, reach: 2 * sec, use: 0.97, wait: 60 * ms},
}

// carries is what of the network's rate can arrive.
func (tr *trace) carries() float64 { return tr.rate * (1 - tr.loss) }

// TestTraces: what arrives, and what waits, over networks that do not change.
func TestTraces(t *testing.T) {
	for i := range traces {
		tr := &traces[i]
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s/%d", tr.name, seed), func(t *testing.T) {
				f := tr.run(seed + 1)
				reach := f.reaches(0.95*tr.carries(), 0)
				use := f.throughput(5*sec, duration) / tr.carries()
				wait := f.percentile(0.95, 0, duration)
				if reach < 0 || reach > tr.reach || use < tr.use || wait > tr.wait {
					t.Errorf("95 %% after %v (limit %v), %.3f used (%.2f), p95 of the queue %v (%v)", reach, tr.reach, use, tr.use, wait, tr.wait)
				}
			})
		}
	}
}

var (
	fall     = []nettest.Step{{Rate: 3 * mbit}, {At: 20 * sec, Rate: 0.7 * mbit}, {At: 40 * sec, Rate: 3 * mbit}}
	falling  = trace{name: "3 → 0.7 → 3 Mbit/s", steps: fall, delay: 25 * ms}
	fallings = []trace{
		falling,
		{name: "3 → 0.7 → 3 Mbit/s, 3 % loss", steps: fall, delay: 25 * ms, loss: 0.03},
	}
)

// TestFallAndReturn: the queue that a fall of the capacity makes is gone
// within a second, and capacity that returns is used within five.
func TestFallAndReturn(t *testing.T) {
	for i := range fallings {
		tr := &fallings[i]
		t.Run(tr.name, func(t *testing.T) {
			var below, back []time.Duration
			for seed := range uint64(5) {
				f := tr.run(seed + 1)
				below = append(below, f.below(100*ms, 20*sec))
				back = append(back, f.reaches(0.95*3*mbit*(1-tr.loss), 40*sec))
				if q := f.percentile(0.95, 21500*ms, 40*sec); q > 110*ms {
					t.Errorf("p95 of the queue %v while the capacity is low", q)
				}
				if use := f.throughput(22*sec, 40*sec) / (0.7 * mbit); use < 0.85 {
					t.Errorf("%.2f of the low capacity is used", use)
				}
			}
			if slices.Sort(below); below[2] > sec || below[4] > 3*sec/2 {
				t.Errorf("the queue is above 100 ms for %v after the fall", below)
			}
			if slices.Sort(back); back[0] < 0 || back[2] > 5*sec || back[4] > 8*sec {
				t.Errorf("95 %% of the returned capacity after %v", back)
			}
		})
	}
}

// TestOwnKind: two flows share a bottleneck, whoever was there first.
func TestOwnKind(t *testing.T) {
	for _, late := range []time.Duration{100 * ms, 20 * sec} {
		for seed := range uint64(3) {
			f, g := share(seed+1, late)
			a, b := f.throughput(60*sec, 120*sec), g.throughput(60*sec, 120*sec)
			// Jain's index: 1 is fair, 0.5 is all for one.
			if jain := (a + b) * (a + b) / (2 * (a*a + b*b)); jain < 0.85 || a+b < 0.93*3*mbit {
				t.Errorf("after %v, seed %d: %.2f and %.2f Mbit/s, fairness %.2f", late, seed, a/mbit, b/mbit, jain)
			}
			if q := f.percentile(0.95, 60*sec, 120*sec); q > 120*ms {
				t.Errorf("after %v, seed %d: p95 of the queue %v", late, seed, q)
			}
		}
	}
}

// share lets two flows share 3 Mbit/s, one later than the other.
func share(seed uint64, late time.Duration) (f, g *flow) {
	w := nettest.New(seed)
	down := &nettest.Link{World: w, Rates: []nettest.Step{{Rate: 3 * mbit}}, Delay: 25 * ms, Queue: 200 * ms}
	up := &nettest.Link{World: w, Delay: 25 * ms}
	f, g = newFlow(w, down, up, 0), newFlow(w, down, up, late)
	w.Run(120 * sec)
	return f, g
}

// TestQueueFiller: beside a flow that fills the queue as TCP does, ours keeps
// going, and so does the other; when that ends, ours has all again.
func TestQueueFiller(t *testing.T) {
	for seed := range uint64(3) {
		f, r := besides(seed + 1)
		ours, theirs := f.throughput(30*sec, 100*sec), float64(r.arrived)*8/80
		if ours < 0.1*3*mbit || theirs < 0.1*3*mbit {
			t.Errorf("seed %d: ours %.2f, theirs %.2f Mbit/s", seed, ours/mbit, theirs/mbit)
		}
		if after := f.throughput(110*sec, 120*sec); after < 0.9*3*mbit {
			t.Errorf("seed %d: %.2f Mbit/s when alone again", seed, after/mbit)
		}
		if q := f.percentile(0.95, 110*sec, 120*sec); q > 100*ms {
			t.Errorf("seed %d: p95 of the queue %v when alone again", seed, q)
		}
	}
}

// besides lets a flow share 3 Mbit/s with one like TCP from 20 s to 100 s.
func besides(seed uint64) (*flow, *reno) {
	w := nettest.New(seed)
	down := &nettest.Link{World: w, Rates: []nettest.Step{{Rate: 3 * mbit}}, Delay: 25 * ms, Queue: 200 * ms}
	up := &nettest.Link{World: w, Delay: 25 * ms}
	f, r := newFlow(w, down, up, 0), newReno(w, down, up, 20*sec)
	w.After(100*sec, func() { r.stopped = true })
	w.Run(120 * sec)
	return f, r
}

// TestLittleToSend: a sender that has less to send than it might keeps its
// estimate, and does not look for more than it wants.
func TestLittleToSend(t *testing.T) {
	tr := trace{rate: 4 * mbit, delay: 25 * ms, cap: 500 * kbit}
	w := nettest.New(1)
	down := &nettest.Link{World: w, Rates: []nettest.Step{{Rate: tr.rate}}, Delay: tr.delay}
	f := newFlow(w, down, &nettest.Link{World: w, Delay: tr.delay}, 0)
	f.cap = tr.cap
	w.After(ms, func() { f.e.Want(1200 * kbit) })
	w.Run(60 * sec)
	if got := f.e.Estimate(); got < 1100*kbit || got > 2000*kbit {
		t.Errorf("estimate %d where 1.2 Mbit/s are wanted", got)
	}
	if got := f.throughput(20*sec, 60*sec); got > 650*kbit {
		t.Errorf("sends %.0f bit/s, with padding, of 560000", got)
	}
	// Then it wants to send more, and finds that it may.
	w.After(0, func() { f.e.Want(3 * mbit) })
	w.Run(5 * sec)
	if got := f.e.Estimate(); got < 3*mbit {
		t.Errorf("estimate %d after 5 s in which 3 Mbit/s were wanted", got)
	}
}

// TestLadder: a sender of a few fixed rates goes up to the one that fits.
func TestLadder(t *testing.T) {
	tr := trace{rate: 1.5 * mbit, delay: 50 * ms, ladder: []float64{150 * kbit, 500 * kbit, 1200 * kbit, 2500 * kbit}}
	f := tr.run(1)
	if got := f.throughput(20*sec, 60*sec); got < 1.15*mbit {
		t.Errorf("%.2f Mbit/s", got/mbit)
	}
	if q := f.percentile(0.95, 5*sec, 60*sec); q > 80*ms {
		t.Errorf("p95 of the queue %v", q)
	}
}

// TestWander: a delay that wanders is not a queue, where there is room for all
// that there is to send.
func TestWander(t *testing.T) {
	for seed := range uint64(3) {
		w := nettest.New(seed + 1)
		down := &nettest.Link{World: w, Rates: []nettest.Step{{Rate: 20 * mbit}}, Delay: 20 * ms, Wander: 30 * ms}
		f := newFlow(w, down, &nettest.Link{World: w, Delay: 20 * ms, Wander: 30 * ms}, 0)
		f.ladder = []float64{150 * kbit, 500 * kbit, 1700 * kbit}
		w.After(ms, func() { f.e.Want(2300 * kbit) })
		w.Run(duration)
		for from := 10 * sec; from < duration; from += 5 * sec {
			if got := f.throughput(from, from+5*sec); got < 0.9*1700*kbit {
				t.Errorf("seed %d: %.2f Mbit/s from %v on", seed, got/mbit, from)
			}
		}
	}
}

// TestAllocations: neither a packet nor feedback allocates.
func TestAllocations(t *testing.T) {
	now := nettest.Epoch
	e := New(Config{Start: 1 * mbit, Min: 50 * kbit, Max: 10 * mbit}, now)
	p, r := e.NewPath(), twcc.NewRecorder(1)
	buf := make([]byte, 0, 2048)
	round := func() {
		for range 20 {
			now = now.Add(2500 * time.Microsecond)
			r.Record(1, p.Sent(1000, now), now.Add(20*ms))
			e.Padding(now)
			e.Rate(now)
		}
		e.Tick(now)
		f, _ := twcc.Parse(r.Append(buf))
		p.Feedback(f, now.Add(50*ms))
	}
	for range 100 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestSilence: without feedback the estimate falls, to the least.
func TestSilence(t *testing.T) {
	tr := trace{rate: 2 * mbit, delay: 25 * ms}
	f := tr.run(1)
	f.down.Loss = 1
	f.world.Run(10 * sec)
	if got := f.e.Estimate(); got > 200*kbit {
		t.Errorf("estimate %d after 10 s of silence", got)
	}
	f.down.Loss = 0
	f.world.Run(5 * sec)
	if got := f.e.Estimate(); got < 1.8*mbit {
		t.Errorf("estimate %d when the path is back for 5 s", got)
	}
}

// TestPathsComeAndGo: the estimate outlives the connections it came from.
func TestPathsComeAndGo(t *testing.T) {
	tr := trace{rate: 2 * mbit, delay: 25 * ms}
	f := tr.run(1)
	before := f.e.Estimate()
	f.video.path.Close()
	f.audio.path.Close()
	if f.e.inFlight() != 0 || f.e.Estimate() != before {
		t.Errorf("%d in flight, estimate %d", f.e.inFlight(), f.e.Estimate())
	}
	f.video.path, f.video.recorder = f.e.NewPath(), twcc.NewRecorder(3)
	f.audio.path, f.audio.recorder = f.e.NewPath(), twcc.NewRecorder(4)
	at := f.world.Elapsed()
	f.world.Run(10 * sec)
	if got := f.throughput(at+5*sec, at+10*sec); got < 1.8*mbit {
		t.Errorf("%.2f Mbit/s over new connections", got/mbit)
	}
}

// TestStalls: a network or a machine that holds all packets up for a moment
// now and then has not become narrower: what it takes is soon used again.
func TestStalls(t *testing.T) {
	tr := trace{delay: 25 * ms}
	for at := time.Duration(0); at < duration; at += 3 * sec {
		tr.steps = append(tr.steps, nettest.Step{At: at, Rate: 2 * mbit}, nettest.Step{At: at + 2850*ms, Rate: kbit})
	}
	for seed := range uint64(3) {
		f := tr.run(seed + 1)
		if use := f.throughput(5*sec, duration) / (2 * mbit); use < 0.75 {
			t.Errorf("seed %d: %.2f used", seed, use)
		}
	}
}
