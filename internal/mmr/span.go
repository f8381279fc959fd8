package mmr

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"causeway/internal/bus"
	"causeway/internal/mmr/legs"
	"causeway/internal/mmr/meeting"
	"causeway/protocol"
)

// maxDoing bounds the requests to other legs that are under way.
const maxDoing = 64

func (s *Server) self() legs.Address { return legs.Address{Zone: s.cfg.Zone, MMR: s.cfg.ID} }

// span lets a meeting hear its other legs until ctx ends, and then asks them
// what they have. It is called in a goroutine of its own.
func (s *Server) span(ctx context.Context, m *meeting.Meeting) {
	sub, err := bus.Subscribe(s.deps.Bus, protocol.SubjectMeeting(m.Info().ID), func(subject string, data json.RawMessage) {
		if err := s.spoken(ctx, m, subject, data); err != nil {
			s.log.Warn("another leg's message dropped", "subject", subject, "err", err)
		}
	})
	if err != nil {
		s.log.Error("a meeting cannot hear its other legs", "meeting", m.Info().ID, "err", err)
		return
	}
	defer sub.Stop()
	_ = m.AskAll(ctx) // an error says that it is over
	<-ctx.Done()
}

// spoken hands what a leg has said to the meeting.
func (s *Server) spoken(ctx context.Context, m *meeting.Meeting, subject string, data json.RawMessage) error {
	parts := strings.Split(subject, ".") // meeting.M.what…
	if len(parts) < 3 {
		return nil
	}
	var err error
	switch what := parts[2]; {
	case what == "leg" && len(parts) == 5:
		from := legs.Address{Zone: parts[3], MMR: parts[4]}
		if from == s.self() {
			return nil
		}
		var u protocol.LegUpdate
		if err = json.Unmarshal(data, &u); err == nil {
			_ = m.Hear(ctx, from, &u) // an error says that it is over
		}
	case what == "chat":
		var c protocol.LegChat
		if err = json.Unmarshal(data, &c); err == nil {
			_ = m.HearChat(ctx, &c)
		}
	case what == "ask":
		var a protocol.LegAsk
		if err = json.Unmarshal(data, &a); err == nil {
			_ = m.Asked(ctx, a)
		}
	}
	return err
}

// publish tells a meeting's other legs what this one has to say. What is lost
// while the bus is away is asked for later.
func (s *Server) publish(meeting string, out legs.Out) {
	for i := range out.Asks {
		_ = bus.Publish(s.deps.Bus, protocol.SubjectMeetingAsk(meeting), out.Asks[i])
	}
	for i := range out.Updates {
		_ = bus.Publish(s.deps.Bus, protocol.SubjectMeetingLeg(meeting, s.cfg.Zone, s.cfg.ID), out.Updates[i])
	}
	for i := range out.Chats {
		_ = bus.Publish(s.deps.Bus, protocol.SubjectMeetingChat(meeting), out.Chats[i])
	}
}

// do asks another leg for what a host wants there; failed is told if that
// comes to nothing.
func (s *Server) do(ctx context.Context, leg legs.Address, d protocol.LegDo, failed func(*protocol.Problem)) {
	select {
	case s.doing <- struct{}{}:
	default:
		s.requests.Go(func() { failed(protocol.NewProblem(protocol.ProblemRateLimited, "too many requests to other routers")) })
		return
	}
	s.requests.Go(func() {
		defer func() { <-s.doing }()
		_, err := bus.Request[protocol.Empty](ctx, s.deps.Bus, protocol.SubjectMeetingDo(d.Meeting, leg.Zone, leg.MMR), d)
		switch {
		case errors.Is(err, bus.ErrNoResponder):
			failed(protocol.NewProblem(protocol.ProblemMMRUnavailable, "router "+leg.MMR+" of zone "+leg.Zone))
		case err != nil && ctx.Err() == nil:
			failed(protocol.ProblemOf(err))
		}
	})
}

// answerDo carries out what a host on another leg wants here.
func (s *Server) answerDo(ctx context.Context, d protocol.LegDo) (protocol.Empty, error) {
	m := s.registry.carries(d.Meeting)
	if m == nil {
		return protocol.Empty{}, protocol.NewProblem(protocol.ProblemNotFound, "the meeting is not here")
	}
	err := m.Do(ctx, d)
	if errors.Is(err, meeting.ErrOver) {
		err = protocol.NewProblem(protocol.ProblemNotFound, "the meeting is over")
	}
	return protocol.Empty{}, err
}
