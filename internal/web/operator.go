package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"causeway/internal/bus"
	"causeway/protocol"

	"github.com/danielgtaylor/huma/v2"
)

const (
	stateEvery   = time.Second
	drainTimeout = 3 * time.Second
)

type (
	statusOutput struct{ Body protocol.SystemStatus }
	eventsInput  struct {
		After int64 `query:"after" minimum:"0" doc:"The id of the last event that is known"`
		Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"200" doc:"How many at most"`
	}
	eventsOutput struct{ Body protocol.EventList }
	drainInput   struct{ Body protocol.DrainServer }
	drainOutput  struct{ Body protocol.DrainState }
)

func (s *Server) registerOperator(api huma.API) {
	key := []map[string][]string{{"apiKey": {}}}
	tags := []string{"Operation"}
	handle(s, api, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: protocol.PathStatus, Tags: tags, Security: key,
		Summary:     "Show the whole system",
		Description: "Zones, controllers, routers, tunnels, web nodes and meetings, with their load, as this node hears of them.",
	}, s.systemStatus)
	handle(s, api, huma.Operation{
		OperationID: "events", Method: http.MethodGet, Path: protocol.PathEvents, Tags: tags, Security: key,
		Summary:     "List what has happened to servers",
		Description: "Oldest first. Each web node numbers and keeps its own, the latest 1000, since it was started.",
	}, s.listEvents)
	handle(s, api, huma.Operation{
		OperationID: "drain", Method: http.MethodPost, Path: protocol.PathDrain, Tags: tags, Security: key,
		Summary:     "Drain a server, or take it back into service",
		Description: "It takes nobody new, moves those who are there elsewhere, and ends. How far it has got is in the status.",
	}, s.drain)
}

// systemStatus answers with what the board shows, and the meetings' names.
func (s *Server) systemStatus(ctx context.Context, _ *struct{}) (*statusOutput, error) {
	if _, err := s.authenticate(ctx, time.Now()); err != nil {
		return nil, err
	}
	picture := s.board.Picture(time.Now())
	ids := make([]string, 0, len(picture.Meetings))
	for _, m := range picture.Meetings {
		ids = append(ids, m.ID)
	}
	known, err := s.store.MeetingsByID(ctx, ids)
	if err != nil {
		s.log.Warn("status without the meetings' names", "err", err) // it is needed most when something is down
	}
	for _, k := range known {
		for i := range picture.Meetings {
			if m := &picture.Meetings[i]; m.ID == k.ID {
				m.Number, m.Topic = k.Number, k.Topic
			}
		}
	}
	return &statusOutput{picture}, nil
}

func (s *Server) listEvents(ctx context.Context, in *eventsInput) (*eventsOutput, error) {
	if _, err := s.authenticate(ctx, time.Now()); err != nil {
		return nil, err
	}
	events, missed := s.board.Events(in.After, in.Limit)
	return &eventsOutput{protocol.EventList{Events: events, Missed: missed}}, nil
}

// drain passes the wish on to the server, and answers with how far it is.
func (s *Server) drain(ctx context.Context, in *drainInput) (*drainOutput, error) {
	by, err := s.authenticate(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	d := in.Body
	if !protocol.ValidID(d.ID) || d.Zone != "" && !protocol.ValidID(d.Zone) || (d.Zone == "") != (d.Kind == protocol.KindTunnel) {
		return nil, protocol.NewProblem(protocol.ProblemBadRequest, "a controller or mmr is named by its zone and id, a tunnel by its id")
	}
	subject := protocol.SubjectDrainTunnel(d.ID)
	switch d.Kind {
	case protocol.KindController:
		subject = protocol.SubjectDrainController(d.Zone, d.ID)
	case protocol.KindMMR:
		subject = protocol.SubjectDrainMMR(d.Zone, d.ID)
	}
	s.log.Info("drain", "kind", d.Kind, "zone", d.Zone, "server", d.ID, "cancel", d.Cancel, "by", by.Name)
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	state, err := bus.Request[protocol.DrainState](ctx, s.bus, subject, protocol.DrainRequest{
		DeadlineMS: d.DeadlineMS, Cancel: d.Cancel, By: by.Name,
	})
	if errors.Is(err, bus.ErrNoResponder) || errors.Is(err, context.DeadlineExceeded) {
		return nil, protocol.NewProblem(protocol.ProblemServerSilent, "")
	}
	if err != nil {
		return nil, err
	}
	return &drainOutput{state}, nil
}

// watch feeds the board with what servers repeat of themselves.
func (s *Server) watch(keep func(*bus.Subscription, error)) {
	keep(feed(s, protocol.SubjectControllers, s.board.Controller))
	keep(feed(s, protocol.SubjectMMRState("*", "*"), s.board.MMR))
	keep(feed(s, protocol.SubjectLeg("*", "*"), s.board.Leg))
	keep(feed(s, protocol.SubjectTunnels, s.board.Tunnel))
	keep(feed(s, protocol.SubjectWebs, s.board.Web))
}

// feed passes the messages of a subject to the board.
func feed[T any](s *Server, subject string, hear func(string, T, time.Time) error) (*bus.Subscription, error) {
	return bus.Subscribe(s.bus, subject, func(subject string, state T) {
		if err := hear(subject, state, time.Now()); err != nil {
			s.log.Debug("state ignored", "err", err)
		}
	})
}

// announce repeats this node's own state, and lets the board look round.
func (s *Server) announce(ctx context.Context, asked <-chan struct{}) error {
	tick := time.NewTicker(stateEvery)
	defer tick.Stop()
	state := protocol.WebState{ID: s.cfg.ID, URL: s.cfg.PublicURL, Health: protocol.Healthy, Version: s.version}
	for {
		_ = bus.Publish(s.bus, protocol.SubjectWeb(s.cfg.ID), state) // said again in a second
		select {
		case <-ctx.Done():
			state.Health = protocol.Stopping
			_ = bus.Publish(s.bus, protocol.SubjectWeb(s.cfg.ID), state)
			return nil
		case <-asked:
		case <-tick.C:
			s.board.Look(time.Now())
		}
	}
}
