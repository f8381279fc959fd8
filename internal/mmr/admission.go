package mmr

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"sync"
	"time"

	"causeway/internal/mmr/meeting"
	"causeway/protocol"
)

// admit lets a participant in: the answer to zone.Z.mmr.M.admit. Its errors
// are *protocol.Problem.
func (s *Server) admit(ctx context.Context, req protocol.AdmitRequest) (protocol.AdmitAnswer, error) {
	answer, err := s.once.do(ctx, req.ID, time.Now(), func() (protocol.AdmitAnswer, error) { return s.tryAdmit(ctx, req) })
	if !req.Standby {
		s.admitted(err)
	}
	if err != nil {
		return protocol.AdmitAnswer{}, protocol.ProblemOf(err)
	}
	return answer, nil
}

// admitted counts what came of an admission.
func (s *Server) admitted(err error) {
	if err == nil {
		s.metrics.admissions.WithLabelValues("ok").Inc()
		return
	}
	p := protocol.ProblemOf(err)
	s.metrics.admissions.WithLabelValues(string(p.Code)).Inc()
	s.log.Info("admission refused", "code", p.Code, "err", err)
}

func (s *Server) tryAdmit(ctx context.Context, req protocol.AdmitRequest) (protocol.AdmitAnswer, error) {
	claims, err := s.verifier.Verify(req.Token, time.Now())
	if err != nil {
		return protocol.AdmitAnswer{}, err
	}
	seated, err := s.room(claims.Meeting, claims.Subject, req.Standby)
	if err != nil {
		return protocol.AdmitAnswer{}, err
	}
	defer seated()
	plans, err := planAll(req.Offers)
	if err != nil {
		return protocol.AdmitAnswer{}, err
	}
	info := protocol.MeetingInfo{ID: claims.Meeting, Number: claims.Number, Topic: claims.Topic, Kind: claims.Kind}
	a := meeting.Admission{
		Session: newSession(), ID: claims.Subject, Name: claims.Name, Role: claims.Role, ClientKind: req.Client.Kind,
	}
	if req.Resume != nil {
		a.Resumed, a.JoinedAt, a.HandRaisedAt = req.Resume.Admitted, req.Resume.JoinedAt, req.Resume.HandRaisedAt
	}
	// A meeting may be over between being found and being asked: then a new
	// one is made. It cannot happen often.
	for range 3 {
		m, err := s.registry.open(info)
		if err != nil {
			return protocol.AdmitAnswer{}, err
		}
		answer, err := s.admitTo(ctx, m, a, plans, req.Standby, seated)
		if err == nil {
			return answer, nil
		}
		if !errors.Is(err, meeting.ErrOver) {
			return protocol.AdmitAnswer{}, err
		}
	}
	return protocol.AdmitAnswer{}, meeting.ErrOver
}

// answer tells the participant the ways to the media port.
func (s *Server) answer(a meeting.Admission, admitted int64, answers protocol.Offers) protocol.AdmitAnswer {
	r := protocol.AdmitAnswer{
		Session: a.Session, Admitted: admitted, Answers: answers, MediaTCP: s.mediaTCP(), MediaTLS: s.mediaTLS(),
	}
	if a.ClientKind == "web" {
		r.TURN = s.turnServers(a.ID)
	}
	return r
}

// admitTo opens the media connections and lets the participant into m, or has
// it stand by.
func (s *Server) admitTo(
	ctx context.Context, m *meeting.Meeting, a meeting.Admission, plans []*plan, standby bool, seated func(),
) (protocol.AdmitAnswer, error) {
	media, answers, err := s.connect(m, a.ID, plans, standby)
	if err != nil {
		return protocol.AdmitAnswer{}, err
	}
	a.Media = media
	var admitted int64
	if standby {
		err = s.stand(m, a)
	} else {
		admitted, err = s.letIn(ctx, m, a, seated)
	}
	if err != nil {
		media.Close()
		return protocol.AdmitAnswer{}, err
	}
	answer := s.answer(a, admitted, answers)
	answer.Standby = standby
	return answer, nil
}

// letIn lets the participant into m, and returns when that was. The session takes
// the place that was kept for it.
func (s *Server) letIn(ctx context.Context, m *meeting.Meeting, a meeting.Admission, seated func()) (int64, error) {
	s.registry.addSession(a.Session, entry{meeting: m, id: m.Info().ID, participant: a.ID})
	seated()
	admitted, err := m.Admit(ctx, a)
	if err != nil {
		s.registry.dropSession(a.Session)
		return 0, err
	}
	if links := a.Media.Links; len(links) > 0 {
		s.reach.admitted(a.Session, everUp(links), time.Now())
	}
	return admitted, nil
}

// room keeps a place for a newcomer until seated is called, by when its session
// counts or has come to nothing; it refuses one when the router is at one of
// its limits. Whoever is here already may come again. The last of the room is
// not for standbys, and a refusal of one does not mean that the router is full.
func (s *Server) room(meeting, participant string, standby bool) (seated func(), err error) {
	if s.drain.On() {
		return nil, protocol.NewProblem(protocol.ProblemMMRUnavailable, "router "+s.cfg.ID+" drains")
	}
	load := s.load.latest()
	s.keeping.Lock()
	defer s.keeping.Unlock()
	n, has := s.registry.participants(meeting, participant)
	load.Participants = n + s.kept
	if standby {
		load.Participants += s.standbys.count()
	}
	switch {
	case standby && load.Value() >= standbyLoad:
		return nil, protocol.NewProblem(protocol.ProblemMMRUnavailable, "router "+s.cfg.ID+" keeps nobody on standby now")
	case load.Value() >= 1 && !has:
		return nil, protocol.NewProblem(protocol.ProblemZoneFull, "router "+s.cfg.ID)
	}
	s.kept++
	return sync.OnceFunc(func() {
		s.keeping.Lock()
		defer s.keeping.Unlock()
		s.kept--
	}), nil
}

// newSession makes a session id: 128 random bits, a secret.
func newSession() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}
