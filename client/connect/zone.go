package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"causeway/protocol"
)

// A Survey is phase 2 while it lasts: every controller of every zone being
// probed, and what is known of each. It goes on after the choice, to have the
// next best at hand, until it is closed.
type Survey struct {
	network  *Network
	previous string
	start    time.Time
	cancel   context.CancelFunc
	probers  sync.WaitGroup

	mu      sync.Mutex
	records []Record
	winner  string        // URL of the controller whose connection the join will use
	took    time.Duration // until it was found
	changed chan struct{} // closed and replaced at every change
}

// ProbeZones is phase 2: it probes all controllers of all zones at once and
// returns as soon as the best zone is known. previous is the zone that the
// participant comes from, "" if none. The caller closes the survey after
// Join. Problems: zones_unreachable, certificate_untrusted, no_zone.
func ProbeZones(ctx context.Context, n *Network, zones []protocol.Zone, previous string, rec *Recorder) (*Survey, error) {
	s := newSurvey(ctx, n, zones, previous)
	rec.Begin(protocol.PhaseZone, s.start)
	err := s.decide(ctx, zonesBudget)
	s.record(rec, err)
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// newSurvey begins to probe.
func newSurvey(ctx context.Context, n *Network, zones []protocol.Zone, previous string) *Survey {
	probing, cancel := context.WithCancel(ctx)
	s := &Survey{network: n, previous: previous, start: time.Now(), cancel: cancel, changed: make(chan struct{})}
	for _, z := range zones {
		for _, c := range z.Controllers {
			s.records = append(s.records, Record{Zone: z, Controller: c, timing: &timing{}})
		}
	}
	for i := range s.records {
		s.probers.Go(func() { s.probe(probing, i) })
	}
	return s
}

// record ends the phase in the report.
func (s *Survey) record(rec *Recorder, err error) {
	for _, a := range s.attempts() {
		rec.Attempt(protocol.PhaseZone, a)
	}
	if err == nil {
		rec.Event(verdict(s.winnerFirst(Choose(s.Records(), s.previous)), s.previous), time.Now())
	}
	rec.End(protocol.PhaseZone, err, time.Now())
}

// Network is the way by which the zones were reached; what follows goes the
// same way.
func (s *Survey) Network() *Network { return s.network }

// Close ends all probing and returns when it has ended.
func (s *Survey) Close() {
	s.cancel()
	s.probers.Wait()
}

// Records returns what is known of every controller now.
func (s *Survey) Records() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := slices.Clone(s.records)
	for i := range c {
		c[i].Samples = slices.Clone(c[i].Samples)
	}
	return c
}

// probe runs a few requests on one controller's warm connection.
func (s *Survey) probe(ctx context.Context, i int) {
	ctx, cancel := context.WithTimeout(ctx, lateBudget)
	defer cancel()
	zone, controller := s.records[i].Zone, s.records[i].Controller
	first := s.records[i].timing
	for n := range maxSamples {
		t := first
		if n > 0 {
			t = &timing{}
		}
		var answer protocol.ProbeAnswer
		err := s.network.do(ctx, call{method: http.MethodGet, url: controller.URL + protocol.PathProbe}, &answer, t)
		if err == nil && answer.Zone != zone.ID {
			err = fmt.Errorf("%w: it is of zone %q, not %q", errForeign, answer.Zone, zone.ID)
		}
		last := n == maxSamples-1
		more := s.update(func() {
			r := &s.records[i]
			if err != nil {
				r.Err, r.Done = err, true
				return
			}
			r.Samples = append(r.Samples, t.waited())
			r.Answer = answer
			r.Done = last
		}, controller.URL)
		if err != nil || last {
			return
		}
		if !more {
			break
		}
	}
	s.update(func() { s.records[i].Done = true }, controller.URL)
}

// update changes a record, decides if that decides, and reports whether the
// controller should be probed further: the one that won is left alone, so
// that its connection is free for the join.
func (s *Survey) update(change func(), controller string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.settle(time.Since(s.start))
	close(s.changed)
	s.changed = make(chan struct{})
	return s.winner != controller
}

// settle makes the choice if it can be made. The lock is held.
func (s *Survey) settle(elapsed time.Duration) {
	if s.winner == "" && decided(s.records, s.previous, elapsed) {
		s.winner, s.took = Choose(s.records, s.previous)[0].Controller.URL, elapsed
	}
}

// decide waits until the choice is made, every attempt has failed, or the
// budget is spent.
func (s *Survey) decide(ctx context.Context, budget time.Duration) error {
	for {
		s.mu.Lock()
		elapsed := time.Since(s.start)
		s.settle(elapsed)
		won, changed := s.winner != "", s.changed
		pending := slices.ContainsFunc(s.records, func(r Record) bool { return !r.Done })
		wait := patience(s.records, s.previous) - elapsed
		s.mu.Unlock()
		if won {
			return nil
		}
		if !pending || elapsed >= budget {
			return s.unreachable()
		}
		if wait <= 0 { // patience is over; only samples in flight are awaited
			wait = budget - elapsed
		}
		if err := s.await(ctx, changed, wait); err != nil {
			return problem(protocol.ProblemZonesUnreachable, err, "the zones")
		}
	}
}

// promising reports whether a controller that has not answered has at least
// taken the connection.
func (s *Survey) promising() bool {
	return slices.ContainsFunc(s.Records(), func(r Record) bool { return !r.Done && !r.Answered() && r.timing.connected() })
}

// await waits for a change, at most for d.
func (s *Survey) await(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// unreachable says why no zone answered.
func (s *Survey) unreachable() error {
	var all []error
	trusted := false
	for _, r := range s.Records() {
		err := r.Err
		if err == nil {
			err = context.DeadlineExceeded
		}
		trusted = trusted || !untrusted(err)
		all = append(all, &failure{words: explain(err, r.Controller.URL), err: err})
	}
	if len(all) == 0 {
		return protocol.NewProblem(protocol.ProblemNoZone, "the package listed no zone")
	}
	code := protocol.ProblemZonesUnreachable
	if !trusted {
		code = protocol.ProblemCertificate
	}
	return protocol.Wrap(code, errors.Join(all...))
}

// attempts renders the survey for the report.
func (s *Survey) attempts() []protocol.Attempt {
	var list []protocol.Attempt
	for _, r := range s.Records() {
		a := r.timing.attempt(r.Controller.URL, s.network.Via(r.Controller.URL))
		a.Zone, a.OK = r.Zone.ID, r.Answered()
		a.RTTMS, a.RTTMinMS, a.JitterMS = millis(r.Median()), millis(r.Min()), millis(r.Jitter())
		if a.OK {
			a.ScoreMS = round(r.Score())
		}
		switch {
		case r.Err != nil:
			blame(&a, r.Err, r.Controller.URL)
		case !a.OK && time.Since(s.start) >= zonesBudget:
			blame(&a, context.DeadlineExceeded, r.Controller.URL)
		case !a.OK:
			a.Error = hostOf(r.Controller.URL) + " had not answered when a zone as near as any was found"
		}
		list = append(list, a)
	}
	return list
}
