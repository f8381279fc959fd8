package connect

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"causeway/protocol"
)

const (
	// joinBudget bounds one controller's answer: it may have to ask a second
	// router when the first is silent for 2 s.
	joinBudget = 12 * time.Second
	// joinPatience is how long a controller may take to answer, and at least as
	// long as it took to find one, before the next one is asked as well: it may
	// be frozen, or look for a router that is not there. Where all are slow, the
	// second would have done in vain what the first does.
	joinPatience = 1500 * time.Millisecond
	// joinsBudget bounds all of them.
	joinsBudget = 30 * time.Second
)

// Join asks for a router: first the controller that won, on the connection
// that won; where that fails for a reason that another might not have, or takes
// long, the other controllers of its zone and then the next best zones. It begins phase
// 3 in the report, which OpenControl ends. Problems: zone_full,
// mmr_unavailable, token_expired, bad_offer and their like, zones_unreachable.
func Join(ctx context.Context, s *Survey, token string, req protocol.JoinRequest, rec *Recorder) (protocol.JoinAnswer, error) {
	rec.Begin(protocol.PhaseMMR, time.Now())
	ctx, cancel := context.WithTimeout(ctx, joinsBudget)
	defer cancel()
	answer, err := s.join(ctx, token, req, rec)
	if err != nil {
		rec.End(protocol.PhaseMMR, err, time.Now())
		return protocol.JoinAnswer{}, err
	}
	rec.Set(func(r *protocol.Report) { r.Zone, r.Controller, r.MMR = answer.Zone, answer.Controller, answer.MMR })
	return answer, nil
}

func (s *Survey) join(ctx context.Context, token string, req protocol.JoinRequest, rec *Recorder) (protocol.JoinAnswer, error) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel() // ends those that are asked in vain
	j := joining{found: make(chan found, 1), answers: make(chan asked)}
	patience := time.NewTimer(0) // the first is asked at once
	defer patience.Stop()
	for {
		select {
		case <-patience.C:
			j.look(ctx, s, &asking)
		case f := <-j.found:
			j.looking, j.exhausted = false, !f.ok
			if f.ok {
				j.tried = append(j.tried, f.at.Controller.URL)
				j.waiting++
				asking.Go(func() {
					answer, err := s.joinAt(ctx, f.at, token, req, rec)
					j.answer(ctx, asked{answer, err}, f.at)
				})
				patience.Reset(s.patience())
			}
		case a := <-j.answers:
			j.waiting--
			if a.err == nil {
				return a.answer, nil
			}
			if err := j.refuse(a.err); err != nil {
				return protocol.JoinAnswer{}, err
			}
			j.look(ctx, s, &asking)
		case <-ctx.Done():
			return protocol.JoinAnswer{}, j.nobody(ctx)
		}
		if j.exhausted && j.waiting == 0 {
			return protocol.JoinAnswer{}, j.nobody(ctx)
		}
	}
}

// joining is how far a join has come.
type joining struct {
	found   chan found // the next controller to ask
	answers chan asked

	tried     []string
	waiting   int   // controllers that have not answered yet
	looking   bool  // for the next one
	exhausted bool  // there is none
	refused   error // the first refusal, of the best zone: it says most
}

type found struct {
	at Record
	ok bool
}

// look begins to look for the next controller, which may have to be waited for.
func (j *joining) look(ctx context.Context, s *Survey, asking *sync.WaitGroup) {
	if j.looking || j.exhausted {
		return
	}
	j.looking = true
	asking.Go(func() {
		at, ok := s.next(ctx, j.tried)
		j.found <- found{at, ok}
	})
}

// answer hands on what a controller answered, unless nobody waits for it.
func (j *joining) answer(ctx context.Context, a asked, at Record) {
	if a.err != nil {
		a.err = problem(protocol.ProblemZonesUnreachable, a.err, at.Controller.URL)
	}
	select {
	case j.answers <- a:
	case <-ctx.Done():
	}
}

// refuse takes a refusal, and returns it if no other controller can help.
func (j *joining) refuse(err error) error {
	p := protocol.ProblemOf(err)
	if !elsewhere(p) {
		return p
	}
	if j.refused == nil || errors.Is(j.refused, &protocol.Problem{Code: protocol.ProblemZonesUnreachable}) {
		j.refused = p
	}
	return nil
}

// nobody says why nobody was found.
func (j *joining) nobody(ctx context.Context) error {
	if j.refused != nil {
		return j.refused
	}
	return problem(protocol.ProblemZonesUnreachable, cmp.Or(ctx.Err(), context.DeadlineExceeded), "the zones")
}

// joinAt runs the join at one controller.
func (s *Survey) joinAt(ctx context.Context, r Record, token string, req protocol.JoinRequest, rec *Recorder) (protocol.JoinAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinBudget)
	defer cancel()
	var answer protocol.JoinAnswer
	var t timing
	err := s.network.do(ctx, call{
		method: http.MethodPost, url: r.Controller.URL + protocol.PathJoin, bearer: token, in: req,
	}, &answer, &t)
	if err == nil {
		err = checkAnswer(answer, r.Controller.URL)
	}
	a := t.attempt(r.Controller.URL, s.network.Via(r.Controller.URL))
	a.Zone = r.Zone.ID
	if a.OK = err == nil; !a.OK {
		blame(&a, err, r.Controller.URL)
	}
	rec.Attempt(protocol.PhaseMMR, a)
	return answer, err
}

func checkAnswer(a protocol.JoinAnswer, controller string) error {
	if a.Session == "" || a.ControlURL == "" {
		return errForeign
	}
	return checkServer(a.ControlURL, controller)
}

// elsewhere reports whether another controller may do what one refused: it
// found no router, it is overrun, it was not reached, it met an error of its
// own. What is wrong with the token or the offer is wrong everywhere.
func elsewhere(p *protocol.Problem) bool {
	switch p.Code {
	case protocol.ProblemMMRUnavailable, protocol.ProblemZoneFull, protocol.ProblemRateLimited,
		protocol.ProblemInternal, protocol.ProblemNotFound,
		protocol.ProblemZonesUnreachable, protocol.ProblemCertificate:
		return true
	}
	return p.Status >= http.StatusInternalServerError
}

// patience is how long a controller may take until the next is asked as well.
func (s *Survey) patience() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(joinPatience, s.took)
}

// next is the best controller not tried yet; it waits for those that are
// still being probed when all that have answered were tried.
func (s *Survey) next(ctx context.Context, tried []string) (Record, bool) {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		records := s.Records()
		for _, r := range s.winnerFirst(Choose(records, s.previous)) {
			if !slices.Contains(tried, r.Controller.URL) {
				s.quiet(ctx, r)
				return r, ctx.Err() == nil
			}
		}
		wait := zonesBudget - time.Since(s.start)
		if wait <= 0 || !slices.ContainsFunc(records, func(r Record) bool { return !r.Done }) {
			return Record{}, false
		}
		if s.await(ctx, changed, wait) != nil {
			return Record{}, false
		}
	}
}

// winnerFirst puts the controller that was chosen first, whatever samples
// have come since.
func (s *Survey) winnerFirst(order []Record) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(order, func(r Record) bool { return r.Controller.URL == s.winner })
	if i > 0 {
		w := order[i]
		order = slices.Insert(slices.Delete(order, i, i+1), 0, w)
	}
	return order
}

// quiet waits until the controller's connection is free of probes, where the
// next request would otherwise open a second one (HTTP/1.1). It costs one
// round trip at most, a new connection three.
func (s *Survey) quiet(ctx context.Context, r Record) {
	if r.timing.isHTTP2() {
		return
	}
	s.mu.Lock()
	s.winner = r.Controller.URL
	s.mu.Unlock()
	deadline := time.Now().Add(2*r.Median() + firstLeeway)
	for {
		s.mu.Lock()
		changed := s.changed
		busy := slices.ContainsFunc(s.records, func(o Record) bool {
			return o.Controller.URL == r.Controller.URL && !o.Done
		})
		s.mu.Unlock()
		if wait := time.Until(deadline); !busy || wait <= 0 || s.await(ctx, changed, wait) != nil {
			return
		}
	}
}
