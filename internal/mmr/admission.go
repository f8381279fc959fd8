package mmr

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"causeway/internal/mmr/meeting"
	"causeway/protocol"
)

// admit lets a participant in: the answer to zone.Z.mmr.M.admit. Its errors
// are *protocol.Problem.
func (s *Server) admit(ctx context.Context, req protocol.AdmitRequest) (protocol.AdmitAnswer, error) {
	answer, err := s.once.do(ctx, req.ID, time.Now(), func() (protocol.AdmitAnswer, error) { return s.tryAdmit(ctx, req) })
	if err != nil {
		p := protocol.ProblemOf(err)
		s.metrics.admissions.WithLabelValues(string(p.Code)).Inc()
		s.log.Info("admission refused", "code", p.Code, "err", err)
		return protocol.AdmitAnswer{}, p
	}
	s.metrics.admissions.WithLabelValues("ok").Inc()
	return answer, nil
}

func (s *Server) tryAdmit(ctx context.Context, req protocol.AdmitRequest) (protocol.AdmitAnswer, error) {
	claims, err := s.verifier.Verify(req.Token, time.Now())
	if err != nil {
		return protocol.AdmitAnswer{}, err
	}
	if err := s.room(claims.Meeting, claims.Subject); err != nil {
		return protocol.AdmitAnswer{}, err
	}
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
		answer, err := s.admitTo(ctx, m, a, plans)
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

// admitTo opens the media connections and lets the participant into m.
func (s *Server) admitTo(ctx context.Context, m *meeting.Meeting, a meeting.Admission, plans []*plan) (protocol.AdmitAnswer, error) {
	media, answers, err := s.connect(m, a.ID, plans)
	if err != nil {
		return protocol.AdmitAnswer{}, err
	}
	a.Media = media
	s.registry.addSession(a.Session, entry{meeting: m, id: m.Info().ID, participant: a.ID})
	admitted, err := m.Admit(ctx, a)
	if err != nil {
		s.registry.dropSession(a.Session)
		media.Close()
		return protocol.AdmitAnswer{}, err
	}
	if len(media.Links) > 0 {
		s.reach.admitted(a.Session, everUp(media.Links), time.Now())
	}
	return s.answer(a, admitted, answers), nil
}

// room refuses a newcomer when the router is at one of its limits. Whoever
// is here already may come again.
func (s *Server) room(meeting, participant string) error {
	if s.drain.On() {
		return protocol.NewProblem(protocol.ProblemMMRUnavailable, "router "+s.cfg.ID+" drains")
	}
	n, has := s.registry.participants(meeting, participant)
	load := s.load.latest()
	load.Participants = n
	if load.Value() >= 1 && !has {
		return protocol.NewProblem(protocol.ProblemZoneFull, "router "+s.cfg.ID)
	}
	return nil
}

// newSession makes a session id: 128 random bits, a secret.
func newSession() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// attach finds the session that a control channel belongs to. The session is
// the credential; the token only has to be the same participant's, and may
// have expired while the meeting went on.
func (s *Server) attach(hello protocol.Hello) (entry, error) {
	claims, err := s.verifier.VerifyExpired(hello.Token, time.Now(), tombstoneFor)
	if err != nil {
		return entry{}, err
	}
	e, ok := s.registry.session(hello.Session)
	if !ok || e.id != claims.Meeting || e.participant != claims.Subject {
		return entry{}, protocol.NewProblem(protocol.ProblemSessionUnknown, "")
	}
	return e, nil
}
