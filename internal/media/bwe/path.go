package bwe

import (
	"slices"
	"time"

	"causeway/internal/media/twcc"
	"causeway/internal/prefetch"
)

// Path is one connection of the participant. Make it with Estimator.NewPath.
type Path struct {
	estimator *Estimator
	history   twcc.History
	base      minimum       // least one-way delay; its zero is any
	last      time.Duration // when the latest packet came, on our clock
	outcomes  []twcc.Outcome
}

// NewPath adds a connection.
func (e *Estimator) NewPath() *Path {
	p := &Path{estimator: e}
	e.paths = append(e.paths, p)
	return p
}

// Prefetch brings what Sent needs into the processor's cache. Unlike all else it
// may be called while others use the estimator: only Sent changes what it looks at.
func (p *Path) Prefetch() {
	prefetch.First(p.estimator, 192)
	p.history.Prefetch()
}

// PrefetchFeedback does so for Feedback, and may be called likewise.
func (p *Path) PrefetchFeedback() {
	prefetch.First(p.estimator, 640) // as much as is touched each time
	p.history.PrefetchFeedback()
}

// Close takes the connection out of the reckoning.
func (p *Path) Close() {
	e := p.estimator
	e.paths = slices.DeleteFunc(e.paths, func(q *Path) bool { return q == p })
	if len(e.paths) == 0 {
		e.window.clear()
	}
}

// Sent notes that a packet leaves, and returns the transport-wide sequence
// number that it is to carry. size is that of the datagram with all headers.
func (p *Path) Sent(size int, now time.Time) uint16 {
	e := p.estimator
	t := now.Sub(e.epoch)
	e.sent.add(t, size)
	return p.history.Sent(size, e.probe.note(size, t, e.rtt), now)
}

// Feedback takes feedback of the connection's remote.
func (p *Path) Feedback(f twcc.Feedback, now time.Time) {
	e := p.estimator
	t := now.Sub(e.epoch)
	p.outcomes = p.history.Feedback(f, p.outcomes[:0])
	for i := range p.outcomes {
		p.take(&p.outcomes[i], t)
	}
	if len(p.outcomes) > 0 {
		e.heard = t
		e.update(t)
	}
}

// take takes what became of one packet.
func (p *Path) take(o *twcc.Outcome, now time.Duration) {
	e := p.estimator
	e.losses.note(o.Lost, o.Late)
	ours := o.Probe != 0 && o.Probe == e.probe.id && e.probe.phase != idle
	if o.Lost {
		if ours {
			e.probe.heard(true, 0, 0)
		}
		return
	}
	sent := o.Sent.Sub(e.epoch)
	trip := o.Arrived - sent
	if lower := p.base.add(trip, now); lower > 0 {
		e.window.shift(p, lower)
	}
	s := sample{path: p, sent: sent, queue: trip - p.base.value(), size: o.Size}
	if ours && !o.Late {
		e.probe.heard(false, sent, o.Arrived-p.base.value())
	}
	e.trips.add(now-sent, now)
	e.rtt = e.trips.value()
	e.acked.add(max(0, min(s.recv(), now)), s.size)
	if s.sent >= e.lastAcked {
		e.lastAcked = s.sent
	}
	p.last = max(p.last, s.recv())
	e.window.add(s)
}
