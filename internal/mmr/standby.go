package mmr

import (
	"context"
	"sync"
	"time"

	"causeway/internal/mmr/control"
	"causeway/internal/mmr/meeting"
	"causeway/protocol"
)

const (
	// standbyFor is how long a session on standby is kept.
	standbyFor = 2 * time.Minute
	// standbyLoad is the load from which on the router keeps none: the room
	// that is left is for those who join.
	standbyLoad = 0.75
)

// A standby is a session that was asked for ahead, by somebody who is in the
// lobby: media connections and control channel come up, so that entering
// takes one message. The meeting does not know of it, only that somebody may
// come: nobody is told, nothing is put into its slots, and its sources are muted
// as they begin.
type standby struct {
	meeting   *meeting.Meeting
	admission meeting.Admission
	channel   *control.Channel // nil before the hello
	until     time.Time
}

// close lets go of what the session would have needed.
func (w *standby) close(reason protocol.FarewellReason) {
	if w.channel != nil {
		w.channel.End(protocol.Farewell{Reason: reason})
	}
	w.admission.Media.Close()
}

// standbys are the sessions on standby. Whoever takes one out owns it.
type standbys struct {
	mu     sync.Mutex
	of     map[string]*standby // by session
	closed bool                // none is taken any more
}

// add keeps a session, in the place of an earlier one of the same
// participant.
func (s *standbys) add(w *standby) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return protocol.NewProblem(protocol.ProblemMMRUnavailable, "the router is not running")
	}
	for session, o := range s.of {
		if o.meeting == w.meeting && o.admission.ID == w.admission.ID {
			delete(s.of, session)
			o.close(protocol.FarewellResumed)
		}
	}
	if s.of == nil {
		s.of = map[string]*standby{}
	}
	s.of[w.admission.Session] = w
	w.meeting.Expect()
	return nil
}

// attach makes ch the channel of a session that has none yet, and is kept for
// so long then; false if there is no such session.
func (s *standbys) attach(session, meeting, participant string, ch *control.Channel, now time.Time) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.of[session]
	if w == nil || w.channel != nil || w.meeting.Info().ID != meeting || w.admission.ID != participant {
		return 0, false
	}
	w.channel, w.until = ch, now.Add(standbyFor)
	return standbyFor, true
}

// take takes a session out; nil if there is none.
func (s *standbys) take(session string) *standby {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.of[session]
	delete(s.of, session)
	return w
}

// soon has the first picture made ready for a session that seems to be entered.
func (s *standbys) soon(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.of[session]; w != nil {
		w.meeting.Soon()
	}
}

func (s *standbys) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.of)
}

// look ends those whose time is up, and those whose meeting is over, and has
// the others go on being expected.
func (s *standbys) look(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session, w := range s.of {
		select {
		case <-w.meeting.Done():
			w.close(protocol.FarewellEnded)
		default:
			if now.Before(w.until) {
				w.meeting.Expect()
				continue
			}
			w.close(protocol.FarewellLost)
		}
		delete(s.of, session)
	}
}

// end ends all, and takes none any more if the router stops.
func (s *standbys) end(stops bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = s.closed || stops
	for _, w := range s.of {
		w.close(protocol.FarewellMoved)
	}
	clear(s.of)
}

// stand keeps a session for somebody who may enter m.
func (s *Server) stand(m *meeting.Meeting, a meeting.Admission) error {
	return s.standbys.add(&standby{meeting: m, admission: a, until: time.Now().Add(meeting.ControlDeadline)})
}

// lobby is the control.Session of somebody on standby, and leads on to the
// meeting's once they have entered.
type lobby struct {
	server  *Server
	session string
	inside  control.Session // nil before
}

// Receive implements control.Session.
func (l *lobby) Receive(ctx context.Context, ch *control.Channel, m protocol.ControlMessage) {
	if l.inside != nil {
		l.inside.Receive(ctx, ch, m)
		return
	}
	if _, soon := m.(*protocol.Soon); soon {
		l.server.standbys.soon(l.session)
		return
	}
	enter, ok := m.(*protocol.Enter)
	if !ok {
		ch.Send(protocol.Refusal{Problem: *protocol.NewProblem(protocol.ProblemBadRequest, m.ControlType()+" before enter")})
		return
	}
	inside, err := l.server.enter(ctx, l.session, ch, enter.Token)
	if err != nil {
		ch.End(protocol.Refusal{Problem: *protocol.ProblemOf(err), Fatal: true})
		return
	}
	l.inside = inside
}

// Detached implements control.Session: who has gone out of the lobby, or has
// lost the way to it, joins anew.
func (l *lobby) Detached(ch *control.Channel) {
	if l.inside != nil {
		l.inside.Detached(ch)
	} else if w := l.server.standbys.take(l.session); w != nil {
		w.close(protocol.FarewellLeft)
	}
}

// enter leads a session on standby into its meeting, by what the token says
// now, if a join were granted now. Whatever it is refused for, it is over.
func (s *Server) enter(ctx context.Context, session string, ch *control.Channel, raw string) (control.Session, error) {
	w := s.standbys.take(session)
	if w == nil {
		return nil, protocol.NewProblem(protocol.ProblemSessionUnknown, "the time on standby is over")
	}
	a := w.admission
	claims, err := s.verifier.Verify(raw, time.Now())
	if err == nil && (claims.Meeting != w.meeting.Info().ID || claims.Subject != a.ID) {
		err = protocol.NewProblem(protocol.ProblemSessionUnknown, "")
	}
	var seated func()
	if err == nil {
		seated, err = s.room(claims.Meeting, claims.Subject, false)
	}
	if err == nil {
		a.Name, a.Role = claims.Name, claims.Role
		_, err = s.letIn(ctx, w.meeting, a, seated)
	}
	s.admitted(err)
	if err != nil {
		a.Media.Close()
		return nil, overIsUnknown(err)
	}
	return s.follow(ctx, w.meeting, session, ch)
}
