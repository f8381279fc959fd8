package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"causeway/client/connect"
	"causeway/protocol"
)

// How long to go on trying.
const (
	reopenFirst = 250 * time.Millisecond // between attempts at the control channel, doubling
	reopenMost  = 2 * time.Second
	reopenLimit = 20 * time.Second
	heardWithin = 2500 * time.Millisecond // a router that was heard so lately is alive

	resumeFirst = 250 * time.Millisecond // between attempts to join again, doubling
	resumeMost  = 8 * time.Second
	resumeLimit = 2 * time.Minute
)

// comeBack joins again as the same participant. nil and nil: the meeting was
// left meanwhile.
func (m *Meeting) comeBack(cause error) (*admission, error) {
	m.note(Event{At: time.Now(), Kind: Reconnecting, Problem: protocol.ProblemOf(cause), Text: "joining again"})
	ctx, cancel := m.unlessLeaving(resumeLimit)
	defer cancel()
	for delay := resumeFirst; ; delay = min(2*delay, resumeMost) {
		a, err := m.admit(ctx, m.ctx)
		if err == nil {
			m.note(Event{At: time.Now(), Kind: Reconnected, Text: "joined again"})
			return a, nil
		}
		if end := m.unlessLeft(ending{err: err}); end.over {
			return nil, nil
		}
		if final(err) && !staleSession(err) {
			return nil, err
		}
		if !pause(ctx, delay) {
			if m.unlessLeft(ending{}).over {
				return nil, nil
			}
			return nil, protocol.Wrap(protocol.ProblemConnectionLost, err)
		}
	}
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

// openControl opens the control channel of an admission again, by another way
// than before if need be.
func (m *Meeting) openControl(ctx context.Context, a *admission) (*connect.Control, *protocol.Welcome, error) {
	token, _ := m.identity()
	hello := protocol.Hello{Session: a.answer.Session, Token: token}
	channel, welcome, way, err := connect.Attach(ctx, a.way, a.answer.ControlURL, hello, m.recorder)
	m.mu.Lock()
	a.way = way
	m.mu.Unlock()
	return channel, welcome, err
}

// heard reports whether the router was heard lately on a media connection.
func (a *admission) heard(now time.Time) bool {
	for _, l := range a.links {
		if now.Sub(l.conn.Stats().LastHeard) < heardWithin {
			return true
		}
	}
	return false
}
