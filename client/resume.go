package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"causeway/client/connect"
	"causeway/protocol"
)

// How long to go on trying.
const (
	reopenFirst = 250 * time.Millisecond // between attempts at the control channel, doubling
	reopenMost  = 2 * time.Second

	resumeFirst = 250 * time.Millisecond // between attempts to join again, doubling
	resumeMost  = 8 * time.Second
	resumeLimit = 2 * time.Minute
	stagingTime = 5 * time.Second // for one attempt by the known way
)

// A succession is the way from one admission to the next, which comes up
// beside it: the router is gone, or asks us to go. It owns one goroutine.
type succession struct {
	resume protocol.Resume
	way    *connect.Network // by which the router was reached,
	rtt    time.Duration    // and over which round trip
	began  time.Time
	cancel context.CancelFunc
	result chan succeeded // one value, always
	stage  atomic.Int32
}

// The stages of a succession: until it is committed it may be given up
// without a trace. From then on the routers may know the new session for the
// present one.
const (
	tentative int32 = iota
	committed
	abandoned
)

// succeeded is what a succession came to: an admission or why there is none.
type succeeded struct {
	next *admission
	err  error
}

// succeed begins the succession to an admission.
func (m *Meeting) succeed(a *admission, reason protocol.ResumeReason, limit time.Duration) *succession {
	ctx, cancel := context.WithTimeout(m.ctx, limit)
	me, _ := m.participant(m.Self().ID)
	s := &succession{
		resume: protocol.Resume{
			Session: a.answer.Session, Zone: a.answer.Zone, MMR: a.answer.MMR, Admitted: a.answer.Admitted, Reason: reason,
			JoinedAt: me.JoinedAt, HandRaisedAt: me.HandRaisedAt,
		},
		way: a.network(m), rtt: a.signs().rtt, began: time.Now(),
		cancel: cancel, result: make(chan succeeded, 1),
	}
	m.tasks.Go(func() {
		next, err := s.run(ctx, m)
		s.result <- succeeded{next, err}
	})
	return s
}

// abandon gives the succession up; false: it is too late for that.
func (s *succession) abandon() bool {
	if s.stage.CompareAndSwap(tentative, abandoned) {
		s.cancel()
		return true
	}
	return false
}

// commit is asked before the new session's control channel is opened.
func (s *succession) commit() bool {
	return s.stage.CompareAndSwap(tentative, committed) || s.stage.Load() == committed
}

// run joins again until that works, may not work any more, or ctx ends: by
// the way that is known, and every second time through all phases.
func (s *succession) run(ctx context.Context, m *Meeting) (*admission, error) {
	if s.resume.Reason == protocol.ResumeDead {
		s.way.Refresh() // it may be the network that has changed
	}
	for delay := resumeFirst; ; delay = min(2*delay, resumeMost) {
		a, err := s.once(ctx, m)
		if err == nil {
			return a, nil
		}
		if final(err) && !staleSession(err) {
			return nil, err
		}
		if !pause(ctx, delay) {
			return nil, protocol.Wrap(protocol.ProblemConnectionLost, err)
		}
	}
}

// once tries once by each way.
func (s *succession) once(ctx context.Context, m *Meeting) (*admission, error) {
	trying, cancel := context.WithTimeout(ctx, stagingTime)
	a, err := m.readmit(trying, m.ctx, s)
	cancel()
	if err == nil || final(err) && !staleSession(err) || ctx.Err() != nil {
		return a, err
	}
	a, more := m.admit(ctx, m.ctx, s)
	if more == nil {
		return a, nil
	}
	if final(more) {
		return nil, more
	}
	return nil, fmt.Errorf("%w; %w", more, err)
}

// final reports whether a problem will still be there at the next attempt.
func final(err error) bool {
	var p *protocol.Problem
	if !errors.As(err, &p) {
		return false
	}
	return slices.Contains([]protocol.Code{
		protocol.ProblemMeetingNotFound, protocol.ProblemMeetingEnded, protocol.ProblemWrongPasscode,
		protocol.ProblemBadInvitation, protocol.ProblemTokenInvalid, protocol.ProblemTokenExpired,
		protocol.ProblemForbidden, protocol.ProblemRemoved, protocol.ProblemBadOffer, protocol.ProblemBadRequest,
		protocol.ProblemCertificate, protocol.ProblemSessionUnknown, protocol.ProblemBadLink,
	}, p.Code)
}

// staleSession reports whether joining anew may help although the problem is
// final for what was tried.
func staleSession(err error) bool {
	code := protocol.ProblemOf(err).Code
	return code == protocol.ProblemSessionUnknown || code == protocol.ProblemTokenExpired
}

// A reopening opens the control channel of an admission anew while its media
// goes on. It owns one goroutine.
type reopening struct {
	cancel context.CancelFunc
	result chan reopened // one value, always
}

// reopened is a control channel that was opened anew, or why it was not.
type reopened struct {
	control *connect.Control
	welcome *protocol.Welcome
	way     *connect.Network
	err     error
}

// reopen begins to open the control channel of an admission anew.
func (m *Meeting) reopen(a *admission) *reopening {
	ctx, cancel := context.WithCancel(m.ctx)
	r := &reopening{cancel: cancel, result: make(chan reopened, 1)}
	way := a.network(m)
	token, _ := m.identity()
	hello := protocol.Hello{Session: a.answer.Session, Token: token}
	m.tasks.Go(func() {
		for delay := reopenFirst; ; delay = min(2*delay, reopenMost) {
			var o reopened
			o.control, o.welcome, o.way, o.err = connect.Reattach(ctx, way, a.answer.ControlURL, hello, m.recorder)
			way = o.way
			if o.err == nil || final(o.err) || !pause(ctx, delay) {
				r.result <- o
				return
			}
		}
	})
	return r
}

// end gives it up, with what it may have come to meanwhile.
func (r *reopening) end() {
	r.cancel()
	if o := <-r.result; o.control != nil {
		o.control.Close()
	}
}
