package bwe

import "time"

// Padding returns how many bytes of padding are to be sent now, beyond what
// there is to send, for a probe. It begins probes when they are due; the
// sender calls it every few milliseconds, and again after it has sent.
func (e *Estimator) Padding(now time.Time) int {
	t := now.Sub(e.epoch)
	e.probe.look(t)
	if e.probe.phase == idle && e.mayProbe(t) {
		e.probe.start(e.probeRate(t), probeSpan+3*max(0, e.window.jitter-probeJitter), t)
	}
	if e.probe.phase != sending {
		return 0
	}
	return e.probe.due(t)
}

// mayProbe reports whether it is time to look for more.
func (e *Estimator) mayProbe(now time.Duration) bool {
	if !e.started && !e.ahead || now < e.probe.next || e.mode != steady || e.rival.there || !e.wantsMore() {
		return false
	}
	q, _ := e.window.standing()
	return q < quiet+e.packetTime()
}

// measuredLately is how long a measured capacity makes probes careful.
const measuredLately = 10 * time.Second

// probeRate is more for each probe that was carried: first a careful one.
func (e *Estimator) probeRate(now time.Duration) float64 {
	factor := 1.5
	switch known := e.measured > 0 && now-e.measured < measuredLately; {
	case known && e.probe.row < 2:
	case e.capacity == 0 && e.probe.row < 2:
		factor = 3 // nothing is known yet
	case e.probe.row > 0:
		factor = 2
	}
	return min(factor*e.estimate, max(1.15*e.want, 1.1*e.estimate), 1.1*float64(e.config.Max))
}

// watchProbe ends a probe early if the queue is longer than the probe itself
// can have made it.
func (e *Estimator) watchProbe(now time.Duration) {
	own := time.Duration(float64(e.probe.span) * max(0, e.probe.rate/e.estimate-1))
	if e.recent() > own+surge+2*e.window.jitter+e.packetTime() {
		e.probe.phase = idle
		e.overuse(true, now)
	}
}

// conclude takes a probe's outcome, once enough is known of it.
func (e *Estimator) conclude(now time.Duration) {
	if v, done := e.probe.result(now, e.losses.inherent()); done {
		e.probed(v, now)
		e.bound()
	}
}

// unused is what may be believed of the estimate beyond what arrives.
const unused = 1.1

// probed takes a probe's outcome.
func (e *Estimator) probed(v verdict, now time.Duration) {
	switch {
	case v.carried:
		e.estimate = max(e.estimate, 0.95*v.rate)
		e.capacity = 0
		e.probe.row++
		e.probe.every = probeSoon
		e.probe.next = now
		return
	case v.rate > 0:
		// It came slower than it left, so there was a queue, and this is what the
		// bottleneck takes. An estimate beyond it was not used, or it would be
		// known to be wrong.
		e.estimate = min(e.estimate, max(v.rate, unused*e.acked.rate(e.complete(), ackSpan)))
		e.capacity, e.measured = max(v.rate, e.estimate), now
		e.startDrain(e.capacity, now)
		e.estimate = max(e.estimate, afterOveruse*v.rate)
		e.drain.probe, e.drain.share = true, e.estimate
	}
	e.retry(now)
}

// retry puts the next probe off.
func (e *Estimator) retry(now time.Duration) {
	e.probe.row = 0
	e.probe.next = now + e.probe.every
	// A slow path takes long for a probe of a few packets.
	late := max(1, min(probeSlow/e.estimate, 2))
	e.probe.every = min(2*e.probe.every, time.Duration(late*float64(probeLate)))
}
