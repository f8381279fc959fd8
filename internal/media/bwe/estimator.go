package bwe

import "time"

// Config bounds an estimate, in bits per second.
type Config struct {
	Start, Min, Max int
}

// The mode of an Estimator.
type mode uint8

const (
	steady   mode = iota
	draining      // a queue of our own making
)

const (
	// afterOveruse is the share of the capacity that is used next.
	afterOveruse = 0.93
	// standingLimit is how long a queue may stand.
	standingLimit = 20 * time.Millisecond
	// afterProbe is the share of the estimate that is used until it is known
	// how a probe beyond the known capacity went.
	afterProbe = 0.75
	// emptied is the queue at which a drain ends.
	emptied = 8 * time.Millisecond
	// quiet is the queue up to which the estimate may grow.
	quiet = 15 * time.Millisecond
	// limited is the share of the estimate below which the sender is limited
	// by what it has to send.
	limited = 0.8
	// enough is the share of the estimate up to which what is wanted has room.
	enough   = 1.05
	ackSpan  = 500 * time.Millisecond
	deafness = time.Second // without feedback
)

// Estimator estimates what one participant's network takes. Make it with New.
type Estimator struct {
	// What is touched for each packet that leaves comes first, then what is for
	// each feedback, so that they take few lines of a processor's cache.
	epoch time.Time
	rtt   time.Duration // the least round trip
	probe prober
	sent  meter

	mode      mode
	started   bool
	ahead     bool // a probe may be what the network is first heard of by
	estimate  float64
	capacity  float64       // as last seen; 0 not known
	measured  time.Duration // when the capacity was last exceeded
	want      float64
	config    Config
	paths     []*Path
	trips     minimum       // round trips, with feedback's delay
	lastAcked time.Duration // when the latest packet that came was sent
	heard     time.Duration // when feedback came last
	updated   time.Duration
	suspected time.Duration // when the queue last seemed to grow
	held      time.Duration // until when the estimate does not grow
	drain     drain
	rival     rival
	losses    losses
	acked     meter // by when it came, on the sender's clock
	window    window
}

// New makes an estimator.
func New(c Config, now time.Time) *Estimator {
	e := &Estimator{config: c, epoch: now, estimate: float64(c.Start), want: float64(c.Max)}
	e.probe.every = probeSoon
	return e
}

// Want says how much the sender would like to send, in bits per second: there
// is no need to look for more.
func (e *Estimator) Want(bitsPerSecond int) { e.want = float64(bitsPerSecond) }

// Ahead has the network looked at before there is anything to send, by probes
// alone.
func (e *Estimator) Ahead() { e.ahead = true }

// Estimate is what the network takes in the long run, in bits per second.
func (e *Estimator) Estimate() int { return int(e.estimate) }

// RTT is the shortest round trip of late, with the delay of feedback.
func (e *Estimator) RTT() time.Duration { return e.rtt }

// Loss is the share of packets lost of late.
func (e *Estimator) Loss() float64 { return e.losses.latest }

// Inherent is the share of packets that the path loses at any rate.
func (e *Estimator) Inherent() float64 { return e.losses.inherent() }

// Settled reports whether there is nothing to look after: all that is wanted
// has room, and there is neither queue nor probe. Feedback alone can change it.
func (e *Estimator) Settled() bool {
	return e.started && e.mode == steady && e.probe.phase == idle && !e.rival.there && !e.wantsMore()
}

// wantsMore reports whether the sender would like to send more than the
// estimate, and may.
func (e *Estimator) wantsMore() bool {
	return e.want > enough*e.estimate && e.estimate < float64(e.config.Max)
}

// Queue is how long packets wait at the bottleneck.
func (e *Estimator) Queue() time.Duration {
	q, _ := e.window.standing()
	return q
}

// Rate is what may leave right now, in bits per second: less than the estimate
// while a queue is drained, more while a probe runs.
func (e *Estimator) Rate(now time.Time) int {
	t := now.Sub(e.epoch)
	switch {
	case e.mode == draining:
		return int(e.drainRate(t))
	case e.probe.phase == sending:
		return int(max(e.probe.rate, e.estimate))
	case e.probe.phase == waiting && e.capacity > 0:
		return int(afterProbe * e.estimate) // it has likely left a queue
	}
	return int(e.estimate)
}

// inFlight is how many bytes have left of which nothing was heard.
func (e *Estimator) inFlight() int {
	n := 0
	for _, p := range e.paths {
		n += p.history.InFlight()
	}
	return n
}

// appLimited reports whether the sender has less to send than it may.
func (e *Estimator) appLimited(now time.Duration) bool {
	return e.sent.rate(now, ackSpan) < limited*e.estimate
}

// update draws the conclusions of new feedback.
func (e *Estimator) update(now time.Duration) {
	dt := min(now-e.updated, 200*time.Millisecond)
	e.updated = now
	e.started = true
	if e.recent() < quiet+e.packetTime() {
		e.rival.failures = 0
	}
	e.conclude(now)
	share, congested, closed := e.losses.close(now)
	if closed && congested {
		e.lossy(share, now)
	}
	switch {
	case e.mode == draining:
		e.drained(now)
	case e.rival.there:
		e.compete(congested, dt, now)
	case e.probe.phase != idle:
		e.watchProbe(now)
	case e.overused(now):
	case now >= e.held:
		e.grow(dt, now)
	}
	e.bound()
}

func (e *Estimator) bound() {
	e.estimate = max(float64(e.config.Min), min(e.estimate, float64(e.config.Max)))
}

// stands reports whether a queue stands that is longer than a few packets'.
func (e *Estimator) stands() bool {
	q, ok := e.window.standing()
	return ok && q > standingLimit+e.packetTime()
}

// packetTime is how long the bottleneck takes for a packet, if it is ours
// alone.
func (e *Estimator) packetTime() time.Duration {
	rate := max(e.estimate, 300e3)
	return time.Duration(probePacket * 8 / rate * float64(time.Second))
}

// grow lets the estimate grow while it is used: fast while nothing is known
// of the capacity, slowly near it.
func (e *Estimator) grow(dt, now time.Duration) {
	if e.appLimited(now) {
		return
	}
	if q, ok := e.window.standing(); !ok || q > quiet+e.packetTime() {
		return
	}
	if e.capacity > 0 && e.estimate > 1.1*e.capacity {
		e.capacity = 0
	}
	per := 0.15 * e.estimate
	if e.capacity > 0 {
		per = 15e3 + 0.02*e.capacity
	}
	limit := max(e.estimate, 1.5*e.acked.rate(now, ackSpan))
	e.estimate = min(e.estimate+per*dt.Seconds(), limit)
}

// lossy takes losses that are congestion's: what gets through is what the
// path takes.
func (e *Estimator) lossy(share float64, now time.Duration) {
	if e.rival.there {
		return // compete sees to it
	}
	through := e.acked.rate(now-e.rtt, ackSpan) / (1 - e.losses.inherent())
	if e.appLimited(now) {
		through = e.estimate * (1 - share/2)
	}
	through = max(through*0.97, e.estimate*0.6)
	if through < e.estimate {
		e.estimate, e.capacity = through, through
	}
	e.held = now + time.Second
	e.retry(now)
}

// Tick is to be called now and then, also when there is no feedback: if
// there is none although packets leave, the path is likely blocked.
func (e *Estimator) Tick(now time.Time) {
	t := now.Sub(e.epoch)
	if e.probe.phase == sending && t-e.probe.begin > 4*e.probe.span {
		e.probe.stop(t, e.rtt) // the sender could not follow
	}
	if e.probe.phase == waiting && t >= e.probe.deadline {
		e.conclude(t) // the rest of it was lost, and nothing else is sent
	}
	if e.started && e.inFlight() == 0 && t-e.heard > ackSpan {
		// Nothing is sent: what was a queue has gone.
		e.mode = steady
		e.window.clear()
	}
	if !e.started || e.inFlight() == 0 || t-e.heard < deafness+e.rtt {
		return
	}
	e.heard = t - e.rtt // again after deafness
	e.estimate /= 2
	e.bound()
	for _, p := range e.paths {
		p.history.Forget(now.Add(-2 * deafness))
	}
}
