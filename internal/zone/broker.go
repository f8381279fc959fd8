package zone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"causeway/internal/bus"
	"causeway/protocol"
)

const (
	admitTimeout = 2 * time.Second        // for one router's answer (Server.admitTimeout)
	brokerBudget = 5 * time.Second        // for all of them
	askAgain     = 400 * time.Millisecond // until a router that has not answered is asked again
	absence      = 100 * time.Millisecond // until routers that were not there are asked again
)

// admission is where a participant was admitted.
type admission struct {
	mmr             string
	controlURL      string
	localControlURL string
	answer          protocol.AdmitAnswer
}

// newcomer is who is to be placed.
type newcomer struct {
	meeting string
	avoid   string // the router that it comes from, "" for none
	req     protocol.AdmitRequest
}

// broker finds a router that admits the participant. Its errors are problems:
// what a router refuses for the participant's own sake is final; otherwise
// zone_full when no router has room, else mmr_unavailable.
//
// When another controller dies, the routers that were connected to it are out
// of reach until they have connected to this one, so those that were not there
// are asked again for a while.
func (s *Server) broker(ctx context.Context, who newcomer) (admission, error) {
	ctx, cancel := context.WithTimeout(ctx, brokerBudget)
	defer cancel()
	patience := time.NewTimer(2 * s.admitTimeout)
	defer patience.Stop()
	again := time.NewTicker(absence)
	defer again.Stop()
	for {
		a, absent, err := s.round(ctx, who)
		if err == nil || !absent {
			return a, err
		}
		select {
		case <-again.C:
		case <-patience.C:
			return a, err
		case <-ctx.Done():
			return a, err
		}
	}
}

// round asks the routers in the order of placement until one admits the
// participant. absent tells that some were not to be reached.
func (s *Server) round(ctx context.Context, who newcomer) (_ admission, absent bool, _ error) {
	var tried []string
	full := true // every router asked said that it has no room
	for ctx.Err() == nil {
		a, placedAt, ok := s.choose(who, tried)
		if !ok {
			break
		}
		tried = append(tried, a.mmr)
		var err error
		if a.answer, err = s.admit(ctx, a.mmr, who.req); err == nil {
			s.settled(who.meeting, a.mmr, placedAt, nil)
			return a, false, nil
		}
		if errors.Is(ctx.Err(), context.Canceled) { // the client has gone: not the router's fault
			err = protocol.Wrap(protocol.ProblemInternal, ctx.Err())
		}
		s.settled(who.meeting, a.mmr, placedAt, err)
		if final(err) || errors.Is(err, context.Canceled) {
			return admission{}, false, err
		}
		full = full && isCode(err, protocol.ProblemZoneFull)
		absent = absent || errors.Is(err, bus.ErrNoResponder) || errors.Is(err, context.DeadlineExceeded)
		s.deps.Log.Warn("zone: router did not admit", "mmr", a.mmr, "meeting", who.meeting, "err", err)
		if who.req.Standby { // which is not worth a second router's time
			return admission{}, false, s.refuse(tried, full)
		}
	}
	return admission{}, absent, s.refuse(tried, full)
}

// choose places a participant and notes it.
func (s *Server) choose(who newcomer, tried []string) (admission, time.Time, bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.state.place(who.meeting, who.avoid, tried, now)
	if !ok {
		return admission{}, now, false
	}
	said := s.state.routers[id].said
	return admission{mmr: id, controlURL: said.ControlURL, localControlURL: said.LocalControlURL}, now, true
}

// admit asks one router, and again when no answer comes: question or answer
// may have gone by way of a controller that has died.
func (s *Server) admit(ctx context.Context, mmr string, req protocol.AdmitRequest) (protocol.AdmitAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.admitTimeout)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	req.ID = rand.Text()
	type answered struct {
		answer protocol.AdmitAnswer
		err    error
	}
	answers := make(chan answered, 2)
	ask := func() {
		a, err := bus.Request[protocol.AdmitAnswer](ctx, s.deps.Bus, protocol.SubjectAdmit(s.config.Zone, mmr), req)
		if err == nil && a.Session == "" {
			err = errors.New("admission without a session")
		}
		answers <- answered{a, err}
	}
	asked.Go(ask)
	again := time.NewTimer(askAgain)
	defer again.Stop()
	for {
		select {
		case a := <-answers:
			return a.answer, a.err
		case <-again.C:
			asked.Go(ask)
		}
	}
}

// settled notes how a placement ended.
func (s *Server) settled(meeting, mmr string, placedAt time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.state.cleared(mmr)
		return
	}
	s.state.withdrawn(meeting, mmr, placedAt)
	var p *protocol.Problem
	switch {
	case !errors.As(err, &p): // silent, absent or talking nonsense
		s.state.suspect(mmr, time.Now())
	case p.Code == protocol.ProblemZoneFull:
		s.state.full(mmr)
	}
}

// final reports whether another router would refuse the same.
func final(err error) bool {
	var p *protocol.Problem
	if !errors.As(err, &p) {
		return false
	}
	switch p.Code {
	case protocol.ProblemZoneFull, protocol.ProblemMMRUnavailable, protocol.ProblemRateLimited, protocol.ProblemInternal:
		return false
	}
	return true
}

// refuse says why nobody was found.
func (s *Server) refuse(tried []string, full bool) error {
	if len(tried) > 0 {
		if full {
			return protocol.NewProblem(protocol.ProblemZoneFull, "")
		}
		return protocol.NewProblem(protocol.ProblemMMRUnavailable, fmt.Sprintf("asked: %v", tried))
	}
	s.mu.Lock()
	status := s.state.summary(time.Now()).status
	s.mu.Unlock()
	switch status {
	case protocol.ZoneFull:
		return protocol.NewProblem(protocol.ProblemZoneFull, "")
	case protocol.ZoneDraining:
		return protocol.NewProblem(protocol.ProblemMMRUnavailable, "every router of this zone is draining")
	}
	return protocol.NewProblem(protocol.ProblemMMRUnavailable, "no router of this zone has been heard lately")
}

func isCode(err error, code protocol.Code) bool {
	return errors.Is(err, &protocol.Problem{Code: code})
}
