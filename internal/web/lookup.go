package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"causeway/internal/store"
	"causeway/internal/web/delivery"
	"causeway/protocol"

	"github.com/danielgtaylor/huma/v2"
	"github.com/golang-jwt/jwt/v5"
)

// tokenGrace is for how long after its end a join token still tells who its
// bearer was (protocol.LookupRequest).
const tokenGrace = 24 * time.Hour

type (
	lookupInput struct {
		Number string `path:"number" maxLength:"64" doc:"The meeting's number; spaces and hyphens do not matter"`
		Body   protocol.LookupRequest
	}
	lookupOutput struct{ Body protocol.Package }
)

func (s *Server) registerLookup(api huma.API) {
	handle(s, api, huma.Operation{
		OperationID: "lookup", Method: http.MethodPost, Path: meetingPath + "/lookup", Tags: []string{"Joining"},
		Summary: "Look a meeting up",
		Description: "Phase 1 of the connection process. The answer holds all that a client needs to enter the meeting: a join token, " +
			"and the zones that are best for it with their controllers. One of passcode, invitation and an earlier token must be right.",
	}, func(ctx context.Context, in *lookupInput) (*lookupOutput, error) {
		p, err := s.lookup(ctx, in, time.Now())
		outcome := "ok"
		if err != nil {
			outcome = string(protocol.ProblemOf(problemIn(err)).Code)
		}
		s.metrics.lookups.WithLabelValues(outcome).Inc()
		return &lookupOutput{p}, err
	})
}

// problemIn is the problem that a failure carries, or the error itself.
func problemIn(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return f.Problem
	}
	return err
}

// entrant is who comes in by a lookup.
type entrant struct {
	id   string
	role protocol.Role
	// knows the passcode or the invitation, not only an earlier token.
	invited bool
}

func (s *Server) lookup(ctx context.Context, in *lookupInput, now time.Time) (protocol.Package, error) {
	v := visitOf(ctx)
	if !s.limits.lookups.Allow(v.client, now) {
		return protocol.Package{}, tooMany(s.limits.lookups.Retry())
	}
	name, err := text("name", in.Body.Name, maxName)
	if err != nil {
		return protocol.Package{}, err
	}
	if name == "" {
		return protocol.Package{}, protocol.NewProblem(protocol.ProblemBadRequest, "body.name: a name is needed")
	}
	m, who, err := s.letIn(ctx, in, now)
	if err != nil {
		return protocol.Package{}, err
	}
	if m.EndedAt != nil {
		return protocol.Package{}, protocol.NewProblem(protocol.ProblemMeetingEnded, "")
	}
	now = s.firstWords(ctx, now)
	zones, err := s.offer(v, now)
	if err != nil {
		return protocol.Package{}, err
	}
	info := protocol.MeetingInfo{ID: m.ID, Number: m.Number, Topic: m.Topic, ScheduledAt: m.ScheduledAt}
	if m.Webinar() {
		info.Kind = protocol.KindWebinar
	}
	p := protocol.Package{
		Meeting:     info,
		Participant: protocol.Identity{ID: who.id, Name: name, Role: who.role},
		Zones:       zones,
		Tunnels:     s.tunnelsFor(v, now),
		Gateway:     protocol.PathGateway,
		WebClient:   v.base + "/j/" + m.Number,
		Seen:        protocol.Seen{Forwarded: v.forwarded},
	}
	if v.address.IsValid() {
		p.Seen.Address = v.address.WithZone("").String()
	}
	if who.invited {
		p.WebClient = joinURL(v.base, m.Number, m.Passcode)
	}
	p.Token, p.TokenExpiresAt, err = s.sign(p, now)
	return p, err
}

// letIn finds the meeting and who may enter it by this request. Wrong attempts
// are counted, and when there were too many even a right one is not told.
func (s *Server) letIn(ctx context.Context, in *lookupInput, now time.Time) (store.Meeting, entrant, error) {
	m, err := s.find(ctx, in.Number)
	if err != nil && protocol.ProblemOf(err).Code == protocol.ProblemInternal {
		return m, entrant{}, err
	}
	var who entrant
	if err == nil {
		who, err = s.identify(m, in.Body, now)
	}
	client := visitOf(ctx).client
	there := s.limits.wrongMeeting.Judge(attempt{client, m.Number}, err != nil, now)
	anywhere := s.limits.wrong.Judge(client, err != nil, now)
	if !there || !anywhere {
		return m, entrant{}, tooMany(s.limits.wrongMeeting.Retry())
	}
	return m, who, err
}

// identify finds out who makes a lookup. The invitation makes a host or a
// panellist; without one a webinar has attendees. An
// earlier token of this meeting keeps id and role, and is enough by itself:
// its bearer was let in before, and must not be locked out of a long meeting
// by a passcode that was changed meanwhile.
func (s *Server) identify(m store.Meeting, r protocol.LookupRequest, now time.Time) (entrant, error) {
	who := entrant{id: newID(), role: protocol.Guest, invited: same(strings.TrimSpace(r.Passcode), m.Passcode)}
	if m.Webinar() {
		who.role = protocol.Attendee
	}
	var returned error = protocol.NewProblem(protocol.ProblemWrongPasscode, "")
	known := false
	if r.Token != "" {
		claims, err := s.verifier.VerifyExpired(r.Token, now, tokenGrace)
		switch {
		case err == nil && claims.Meeting == m.ID:
			known = true
			who.id, who.role = claims.Subject, claims.Role
		case err == nil:
			err = protocol.NewProblem(protocol.ProblemTokenInvalid, "it is for another meeting")
			fallthrough
		default:
			if r.Passcode == "" {
				returned = err
			}
		}
	}
	if r.Invitation != "" {
		switch {
		case same(r.Invitation, m.HostSecret):
			who.role = protocol.Host
		case same(r.Invitation, m.PanelSecret):
			who.role = protocol.Guest
		default:
			return entrant{}, protocol.NewProblem(protocol.ProblemBadInvitation, "")
		}
		who.invited = true
	}
	if !who.invited && !known {
		return entrant{}, returned
	}
	return who, nil
}

// firstWords waits for the controllers' first words, where this server has
// begun to listen so lately that they may not have spoken, and returns the
// time: nobody is to hear that there is no zone because this server knows none.
func (s *Server) firstWords(ctx context.Context, now time.Time) time.Time {
	for now.Sub(s.listening) < delivery.Silence && len(s.zones.Zones(now)) == 0 {
		select {
		case <-ctx.Done():
			return now
		case now = <-time.After(50 * time.Millisecond):
		}
	}
	return now
}

// offer gives the zones for a client, best first.
func (s *Server) offer(v visit, now time.Time) ([]protocol.Zone, error) {
	alive := s.zones.Zones(now)
	offers := delivery.Order(v.address, s.locator.Locate(v.address), alive)
	if len(offers) == 0 {
		if slices.ContainsFunc(alive, func(z delivery.Zone) bool { return z.State == protocol.ZoneFull }) {
			return nil, protocol.NewProblem(protocol.ProblemZoneFull, "")
		}
		return nil, protocol.NewProblem(protocol.ProblemNoZone, "")
	}
	zones := make([]protocol.Zone, len(offers))
	for i, o := range offers {
		z := protocol.Zone{ID: o.ID, Name: o.Name, OnPremises: o.OnPremises, Own: o.Own, Weight: o.Weight, Load: o.Load, DistanceKM: o.DistanceKM}
		for _, c := range o.Controllers {
			address := c.URL
			if v.local && c.LocalURL != "" {
				address = c.LocalURL
			}
			z.Controllers = append(z.Controllers, protocol.Controller{ID: c.ID, URL: address})
		}
		zones[i] = z
	}
	return zones, nil
}

// tunnelsFor gives the HTTP tunnels for a client, best first.
func (s *Server) tunnelsFor(v visit, now time.Time) []protocol.Tunnel {
	tunnels := []protocol.Tunnel{}
	for _, o := range s.tunnels.Offer(now) {
		t := protocol.Tunnel{ID: o.ID, URL: o.URL}
		if v.local && o.LocalURL != "" {
			t.URL = o.LocalURL
		}
		tunnels = append(tunnels, t)
	}
	return tunnels
}

// sign makes the join token of a package.
func (s *Server) sign(p protocol.Package, now time.Time) (string, time.Time, error) {
	expires := now.Add(s.cfg.TokenLifetime).UTC().Truncate(time.Second)
	raw, err := s.signer.Load().Sign(protocol.JoinClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject: p.Participant.ID, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
		},
		Meeting: p.Meeting.ID, Kind: p.Meeting.Kind, Number: p.Meeting.Number, Topic: p.Meeting.Topic,
		Name: p.Participant.Name, Role: p.Participant.Role,
	})
	return raw, expires, err
}
