package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"causeway/internal/bus"
	"causeway/internal/store"
	"causeway/protocol"

	"github.com/danielgtaylor/huma/v2"
)

const (
	maxTopic    = 200 // characters
	maxPasscode = 64
	maxName     = 64
)

// meetingPath is the path of one meeting.
const meetingPath = protocol.PathMeetings + "/{number}"

// owned is the input of what a meeting's owner may do: the holder of an API
// key, or whoever has the meeting's host link.
type owned struct {
	Number     string `path:"number" maxLength:"64" doc:"The meeting's number; spaces and hyphens do not matter"`
	Invitation string `header:"Causeway-Invitation" maxLength:"128" doc:"Instead of an API key: the secret of the meeting's host link (its host parameter)"`
}

type (
	createInput   struct{ Body protocol.CreateMeeting }
	meetingOutput struct{ Body protocol.Meeting }
	updateInput   struct {
		Number     string `path:"number" maxLength:"64" doc:"The meeting's number; spaces and hyphens do not matter"`
		Invitation string `header:"Causeway-Invitation" maxLength:"128" doc:"Instead of an API key: the secret of the meeting's host link (its host parameter)"`
		Body       protocol.UpdateMeeting
	}
	pageInput struct {
		After string `query:"after" maxLength:"256" doc:"The next of the page before"`
		Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most"`
	}
	meetingsOutput struct{ Body protocol.MeetingList }
)

func (s *Server) registerMeetings(api huma.API) {
	key := []map[string][]string{{"apiKey": {}}}
	maybe := []map[string][]string{{"apiKey": {}}, {}}
	tags := []string{"Meetings"}
	handle(s, api, huma.Operation{
		OperationID: "create-meeting", Method: http.MethodPost, Path: protocol.PathMeetings, Tags: tags, Security: maybe,
		DefaultStatus: http.StatusCreated, Summary: "Create a meeting",
		Description: "Number, and passcode when none is given, are made. Without an API key this works only where the site lets anyone create meetings.",
	}, s.createMeeting)
	handle(s, api, huma.Operation{
		OperationID: "list-meetings", Method: http.MethodGet, Path: protocol.PathMeetings, Tags: tags, Security: key,
		Summary: "List meetings", Description: "All meetings of the system, newest first.",
	}, s.listMeetings)
	handle(s, api, huma.Operation{
		OperationID: "get-meeting", Method: http.MethodGet, Path: meetingPath, Tags: tags, Security: maybe, Summary: "Read a meeting",
	}, s.getMeeting)
	handle(s, api, huma.Operation{
		OperationID: "update-meeting", Method: http.MethodPatch, Path: meetingPath, Tags: tags, Security: maybe, Summary: "Change a meeting",
		Description: "Fields that are absent stay. Whoever is in the meeting stays in it, also when the passcode changes.",
	}, s.updateMeeting)
	handle(s, api, huma.Operation{
		OperationID: "end-meeting", Method: http.MethodPost, Path: meetingPath + "/end", Tags: tags, Security: maybe, Summary: "End a meeting",
		Description: "Everyone in it is sent out and nobody comes in any more. Ending it again changes nothing.",
	}, s.endMeeting)
	handle(s, api, huma.Operation{
		OperationID: "delete-meeting", Method: http.MethodDelete, Path: meetingPath, Tags: tags, Security: key, Summary: "End and forget a meeting",
	}, s.deleteMeeting)
}

func (s *Server) createMeeting(ctx context.Context, in *createInput) (*meetingOutput, error) {
	v, now := visitOf(ctx), time.Now().UTC().Truncate(time.Microsecond) // as it is kept
	owner, err := s.creator(ctx, v, now)
	if err != nil {
		return nil, err
	}
	m := store.Meeting{ID: newID(), HostSecret: newSecret(""), Owner: owner, CreatedAt: now}
	switch in.Body.Kind {
	case "", protocol.KindMeeting:
	case protocol.KindWebinar:
		m.PanelSecret = newSecret("")
	default:
		return nil, protocol.NewProblem(protocol.ProblemBadRequest, "body.kind: meeting or webinar")
	}
	if m.Topic, err = text("topic", in.Body.Topic, maxTopic); err != nil {
		return nil, err
	}
	if m.Passcode, err = text("passcode", in.Body.Passcode, maxPasscode); err != nil {
		return nil, err
	}
	if m.Passcode == "" {
		m.Passcode = newPasscode()
	}
	if m.ScheduledAt, err = planned(in.Body.ScheduledAt); err != nil {
		return nil, err
	}
	const tries = 10 // of 9·10⁹ numbers one is free
	for range tries {
		m.Number = newNumber()
		if err = s.store.CreateMeeting(ctx, m); !errors.Is(err, store.ErrTaken) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	s.metrics.created.Inc()
	s.log.Info("meeting created", "meeting", m.ID, "owner", m.Owner)
	return show(ctx, m), nil
}

// creator finds out who creates a meeting, "" for a visitor, and whether that
// is allowed.
func (s *Server) creator(ctx context.Context, v visit, now time.Time) (string, error) {
	if v.bearer != "" || s.cfg.Creation == CreationAPIKey {
		key, err := s.authenticate(ctx, now)
		return key.ID, err
	}
	if !s.limits.creations.Allow(v.client, now) {
		return "", tooMany(s.limits.creations.Retry())
	}
	return "", nil
}

func (s *Server) listMeetings(ctx context.Context, in *pageInput) (*meetingsOutput, error) {
	if _, err := s.authenticate(ctx, time.Now()); err != nil {
		return nil, err
	}
	page, next, err := s.store.Meetings(ctx, in.After, in.Limit)
	if errors.Is(err, store.ErrNotFound) {
		return nil, protocol.NewProblem(protocol.ProblemBadRequest, "query.after: not the next of a page")
	}
	if err != nil {
		return nil, err
	}
	list := protocol.MeetingList{Meetings: []protocol.Meeting{}, Next: next}
	for _, m := range page {
		list.Meetings = append(list.Meetings, show(ctx, m).Body)
	}
	return &meetingsOutput{list}, nil
}

func (s *Server) getMeeting(ctx context.Context, in *owned) (*meetingOutput, error) {
	m, err := s.ownedMeeting(ctx, *in)
	if err != nil {
		return nil, err
	}
	return show(ctx, m), nil
}

func (s *Server) updateMeeting(ctx context.Context, in *updateInput) (*meetingOutput, error) {
	m, err := s.ownedMeeting(ctx, owned{in.Number, in.Invitation})
	if err != nil {
		return nil, err
	}
	var change store.MeetingChange
	if in.Body.Topic != nil {
		topic, err := text("topic", *in.Body.Topic, maxTopic)
		if err != nil {
			return nil, err
		}
		change.Topic = &topic
	}
	if in.Body.Passcode != nil {
		passcode, err := text("passcode", *in.Body.Passcode, maxPasscode)
		if err != nil {
			return nil, err
		}
		if passcode == "" {
			return nil, protocol.NewProblem(protocol.ProblemBadRequest, "body.passcode: a meeting must have one")
		}
		change.Passcode = &passcode
	}
	if change.ScheduledAt, err = planned(in.Body.ScheduledAt); err != nil {
		return nil, err
	}
	m, err = s.store.UpdateMeeting(ctx, m.Number, change)
	if errors.Is(err, store.ErrNotFound) { // deleted meanwhile
		return nil, protocol.NewProblem(protocol.ProblemMeetingNotFound, "")
	}
	if err != nil {
		return nil, err
	}
	return show(ctx, m), nil
}

func (s *Server) endMeeting(ctx context.Context, in *owned) (*meetingOutput, error) {
	m, err := s.ownedMeeting(ctx, *in)
	if err != nil {
		return nil, err
	}
	if err := s.end(ctx, m.ID); err != nil {
		return nil, err
	}
	if m, err = s.find(ctx, m.Number); err != nil {
		return nil, err
	}
	return show(ctx, m), nil
}

func (s *Server) deleteMeeting(ctx context.Context, in *owned) (*struct{}, error) {
	if _, err := s.authenticate(ctx, time.Now()); err != nil {
		return nil, err
	}
	m, err := s.find(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	if err := s.end(ctx, m.ID); err != nil {
		return nil, err
	}
	err = s.store.DeleteMeeting(ctx, m.ID, time.Now())
	if errors.Is(err, store.ErrNotFound) { // somebody was quicker
		return nil, protocol.NewProblem(protocol.ProblemMeetingNotFound, "")
	}
	return nil, err
}

// end ends a meeting in the database and on every router that carries it. It
// tells the routers even if the meeting had ended, in case they missed it.
func (s *Server) end(ctx context.Context, id string) error {
	ended, err := s.store.EndMeeting(ctx, id, time.Now())
	if err != nil {
		return err
	}
	if ended {
		s.log.Info("meeting ended", "meeting", id, "by", "api")
	}
	return bus.Publish(s.bus, protocol.SubjectMeetingCommand(id), protocol.MeetingCommand{End: true})
}

// meetingEnded hears from a router that a host has ended a meeting.
func (s *Server) meetingEnded(ctx context.Context, e protocol.MeetingEnded) (protocol.Empty, error) {
	if !protocol.ValidID(e.Meeting) {
		return protocol.Empty{}, protocol.NewProblem(protocol.ProblemBadRequest, "meeting: not an id")
	}
	now := time.Now()
	if e.At.IsZero() || e.At.After(now) {
		e.At = now
	}
	ended, err := s.store.EndMeeting(ctx, e.Meeting, e.At)
	if ended {
		s.log.Info("meeting ended", "meeting", e.Meeting, "by", e.By)
	}
	return protocol.Empty{}, err
}

// find finds a meeting by its number as people write it.
func (s *Server) find(ctx context.Context, number string) (store.Meeting, error) {
	digits, ok := parseNumber(number)
	if !ok {
		return store.Meeting{}, protocol.NewProblem(protocol.ProblemMeetingNotFound, "a meeting number has 9 to 11 digits")
	}
	m, err := s.store.Meeting(ctx, digits)
	if errors.Is(err, store.ErrNotFound) {
		return m, protocol.NewProblem(protocol.ProblemMeetingNotFound, "")
	}
	return m, err
}

// ownedMeeting finds a meeting for whoever may change it. Who has neither an
// API key nor the meeting's invitation is not told whether it exists.
func (s *Server) ownedMeeting(ctx context.Context, in owned) (store.Meeting, error) {
	now := time.Now()
	if in.Invitation == "" {
		if _, err := s.authenticate(ctx, now); err != nil {
			return store.Meeting{}, err
		}
		return s.find(ctx, in.Number)
	}
	m, err := s.find(ctx, in.Number)
	missing := errors.Is(err, protocol.NewProblem(protocol.ProblemMeetingNotFound, ""))
	if err != nil && !missing {
		return store.Meeting{}, err
	}
	failed := missing || !same(in.Invitation, m.HostSecret)
	if client := visitOf(ctx).client; !s.limits.wrong.Judge(client, failed, now) {
		return store.Meeting{}, tooMany(s.limits.wrong.Retry())
	}
	if failed {
		return store.Meeting{}, protocol.NewProblem(protocol.ProblemBadInvitation, "")
	}
	return m, nil
}

// same compares secrets in a time that does not tell how much of them is
// right, nor how long the right one is.
func same(given, right string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(right))
	return right != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// text makes a text clean and sees that it is not too long. (The schema's
// bound alone can be got round by writing a field in capital letters.)
func text(field, s string, most int) (string, error) {
	s = cleanText(s)
	if utf8.RuneCountInString(s) > most {
		return "", protocol.NewProblem(protocol.ProblemBadRequest, fmt.Sprintf("body.%s: longer than %d characters", field, most))
	}
	return s, nil
}

// planned sees that a time can be kept and shown.
func planned(t *time.Time) (*time.Time, error) {
	if t != nil && (t.Year() < 2000 || t.Year() > 2999) {
		return nil, protocol.NewProblem(protocol.ProblemBadRequest, "body.scheduled_at: not a time at which people meet")
	}
	return t, nil
}

// show gives a meeting to its owner.
func show(ctx context.Context, m store.Meeting) *meetingOutput {
	join := joinURL(visitOf(ctx).base, m.Number, m.Passcode)
	shown := protocol.Meeting{
		ID: m.ID, Number: m.Number, Topic: m.Topic, Passcode: m.Passcode, Kind: kind(&m),
		JoinURL: join, HostURL: join + "&host=" + url.QueryEscape(m.HostSecret),
		ScheduledAt: m.ScheduledAt, CreatedAt: m.CreatedAt, EndedAt: m.EndedAt,
	}
	if m.Webinar() {
		shown.PanelURL = join + "&panel=" + url.QueryEscape(m.PanelSecret)
	}
	return &meetingOutput{shown}
}

func kind(m *store.Meeting) protocol.MeetingKind {
	if m.Webinar() {
		return protocol.KindWebinar
	}
	return protocol.KindMeeting
}

// joinURL is the link of a meeting.
func joinURL(base, number, passcode string) string {
	return base + "/j/" + number + "?pwd=" + url.QueryEscape(passcode)
}
