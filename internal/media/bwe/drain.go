package bwe

import "time"

// drain is the emptying of a queue of our own making.
type drain struct {
	since    time.Duration
	end      time.Duration // of the last one
	left     time.Duration // queue then
	measured time.Duration // queue at the beginning
	queue    time.Duration // then, predicted
	deadline time.Duration
	capacity float64
	share    float64 // estimate before
	limited  bool    // by what there is to send
	probe    bool    // after a probe: the estimate is set already
}

// drainSettles is how long after a drain's end packets must have been sent to
// tell anything of the time since.
const drainSettles = 40 * time.Millisecond

// overused begins a drain if more was sent than the bottleneck takes: the
// queue grows, or is longer than a few packets make it.
func (e *Estimator) overused(now time.Duration) bool {
	if w := &e.window; w.n == 0 || w.back(0).queue < trendFloor {
		return false // what the latest packet has not met neither grows nor stands
	}
	if e.lastAcked < e.drain.end+drainSettles && !e.rises(e.drain.left) {
		return false // what arrives was sent while the queue was longer
	}
	collapsed, growing := e.window.collapsed(), e.window.growing()
	if growing && !collapsed && now-e.suspected > trendMemory {
		// Once may be chance, as when a busy machine is late.
		e.suspected = now
		growing = false
	}
	if !collapsed && !growing && !e.stands() || e.patient(now) {
		return false
	}
	e.overuse(collapsed || growing, now)
	return true
}

// patient reports whether a queue is let be for now. What is sent, if it is
// less than what may be, fitted and may do so still: the delay of many networks
// wanders, which looks like a queue until it is over. A little patience costs
// a short queue; to lower a picture for nothing is seen.
func (e *Estimator) patient(now time.Duration) bool {
	return e.sent.rate(now, ackSpan) < 0.9*e.estimate && e.recent() < surge
}

func (e *Estimator) overuse(growing bool, now time.Duration) {
	if e.rival.found(e.estimate, now, e.rtt) {
		e.rival.begin(now, e.recent())
		e.estimate = max(e.estimate, e.rival.share)
		return
	}
	rate := e.overusedRate(growing, now)
	if e.estimate > 1.3*rate {
		e.probe.every = probeSoon // it fell a lot: it may come back
	}
	e.startDrain(rate, now)
	e.capacity, e.measured = rate, now
	e.estimate = min(e.estimate, afterOveruse*rate)
	e.retry(now)
}

// overusedRate is the capacity of the bottleneck, which is busy.
func (e *Estimator) overusedRate(growing bool, now time.Duration) float64 {
	limited := e.appLimited(now)
	rate, ok := e.window.carried(e.complete())
	// What came lately is the bottleneck's only if it was busy all the time.
	busy := !limited && !e.appLimited(now-ackSpan)
	if lately := e.lately(); busy && (!ok || rate > lately) {
		rate, ok = lately, true
	}
	if latest, new := e.window.latest(); growing && new && (!ok || latest < rate) {
		rate, ok = latest, true
	}
	rate /= 1 - e.losses.inherent()
	if !ok || limited && rate > 0.9*e.sent.rate(now, ackSpan) {
		// What arrives is all that was sent: it tells nothing of the capacity,
		// or others have filled the queue.
		rate = 0.9 * e.estimate
	}
	return max(min(rate, 1.1*e.estimate), float64(e.config.Min))
}

// lately is what came over some time: of a busy bottleneck the best measure,
// if its capacity has not changed.
func (e *Estimator) lately() float64 {
	return e.acked.rate(e.complete(), ackSpan)
}

func (e *Estimator) startDrain(capacity float64, now time.Duration) {
	q, _ := e.window.standing()
	q = max(q, e.predicted(capacity, now))
	e.mode = draining
	e.drain = drain{since: now, end: e.drain.end, measured: e.recent(), queue: q, capacity: capacity, share: e.estimate, limited: e.appLimited(now)}
	e.drain.deadline = now + 3*q + 2*e.rtt + 200*time.Millisecond
}

// complete is the moment up to which all paths have told what arrived. One
// that has long been silent does not count.
func (e *Estimator) complete() time.Duration {
	newest := time.Duration(0)
	for _, p := range e.paths {
		newest = max(newest, p.last)
	}
	until := newest
	for _, p := range e.paths {
		if newest-p.last < busyShort {
			until = min(until, p.last)
		}
	}
	return until
}

// recent is the least queue of the latest few packets.
func (e *Estimator) recent() time.Duration {
	if e.window.n == 0 {
		return 0
	}
	q := e.window.back(0).queue
	for i := range min(e.window.len(), 4) {
		q = min(q, e.window.back(i).queue)
	}
	return q
}

// rises reports whether the queue is longer than it was.
func (e *Estimator) rises(was time.Duration) bool {
	return e.recent() > was+trendFloor+2*e.window.jitter
}

// predicted is the queue that a packet sent now would meet: that of the
// latest that arrived, plus what has been sent since, less what the
// bottleneck has carried away.
func (e *Estimator) predicted(capacity float64, now time.Duration) time.Duration {
	sent := time.Duration(float64(e.inFlight()) * 8 / capacity * float64(time.Second))
	return max(0, e.recent()+sent-(now-e.lastAcked))
}

// drainRate is what may be sent so that the queue empties, faster the longer
// it is.
func (e *Estimator) drainRate(now time.Duration) float64 {
	q := e.predicted(e.drain.capacity, now)
	share := min(0.85, max(0.1, 1-q.Seconds()/0.120))
	return max(float64(e.config.Min), share*e.drain.capacity)
}

// refine keeps the capacity up to date, as the bottleneck is busy all the
// while. What was sent since the drain began may be too little to tell.
func (e *Estimator) refine(now time.Duration) {
	d := &e.drain
	if now-d.since < e.rtt {
		return
	}
	// Unless the queue has become longer: then the capacity has fallen.
	settled := e.lastAcked > d.since && !e.rises(d.measured)
	rate, ok := e.window.carriedOver(busyShort, e.complete())
	if settled {
		rate, ok = e.window.carried(e.complete())
	}
	if !ok {
		return
	}
	if !d.limited {
		rate = min(rate, e.lately())
	}
	rate /= 1 - e.losses.inherent()
	if settled {
		rate = max(rate, d.capacity)
	}
	d.capacity = max(min(rate, 1.1*d.share), float64(e.config.Min))
	e.capacity = d.capacity
	e.estimate = min(afterOveruse*d.capacity, d.share)
}

// drained looks whether the drain is over.
func (e *Estimator) drained(now time.Duration) {
	d := &e.drain
	switch {
	case !d.probe:
		e.refine(now)
	case e.rises(d.measured + surge/2):
		e.overuse(true, now) // that is not the probe's queue any more
		return
	}
	switch q := e.predicted(d.capacity, now); {
	case e.recent() <= emptied/2:
	case q <= emptied && !e.rises(d.measured):
	case now < d.deadline:
		return
	case e.acked.rate(e.lastAcked+e.recent(), 200*time.Millisecond) > 0.85*d.capacity:
		// It still carries as much as it did, so the queue is ours.
		d.deadline = now + 200*time.Millisecond
		return
	}
	e.mode, d.end, d.left = steady, now, e.recent()
	e.held = now + e.rtt // until feedback tells of what is sent from now on
}

// rival is traffic of others that fills the queue whatever we do.
type rival struct {
	there    bool
	failures int           // drains in a row after which the queue was not found short
	first    time.Duration // of them
	share    float64       // estimate before them
	since    time.Duration // when it was found, or last looked for
	queue    time.Duration // then
	cut      time.Duration // when the estimate was last lowered
}

const (
	rivalFailures = 4
	rivalPatience = time.Second
	rivalBeta     = 0.7
	rivalCheck    = 10 * time.Second
	rivalSlack    = 100 * time.Millisecond
)

// found counts a drain that is about to begin, and reports whether those
// before it have shown that the queue is not ours.
func (r *rival) found(estimate float64, now, rtt time.Duration) bool {
	if r.failures == 0 {
		r.first, r.share = now, estimate
	}
	r.failures++
	return r.failures > rivalFailures && now-r.first > rivalPatience+4*rtt
}

func (r *rival) begin(now, queue time.Duration) {
	r.there, r.since, r.queue, r.cut = true, now, queue, now
}

// compete follows losses as TCP does: one packet more for each round trip, a
// good part less when packets are lost. It ends when the queue is found
// empty; now and then, and when the queue grows, it is tried whether we are
// alone with it.
func (e *Estimator) compete(congested bool, dt, now time.Duration) {
	q := e.recent()
	if q < quiet {
		e.rival = rival{}
		e.retry(now)
		return
	}
	trip := max(e.rtt+q, 20*time.Millisecond)
	switch {
	case congested && now-e.rival.cut > 2*trip+lossSpan:
		e.estimate *= rivalBeta
		e.rival.cut = now
	case now-e.rival.since > rivalCheck || q > 2*e.rival.queue+rivalSlack:
		e.rival = rival{failures: rivalFailures - 1, first: e.rival.first, share: e.estimate}
		e.overuse(false, now)
	case !e.appLimited(now):
		e.estimate += probePacket * 8 / trip.Seconds() * (dt.Seconds() / trip.Seconds())
		e.estimate = min(e.estimate, max(1.5*e.acked.rate(now, ackSpan), float64(e.config.Start)))
	}
}
