package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Meeting is a meeting, with its secrets.
type Meeting struct {
	ID          string
	Number      string
	Topic       string
	Passcode    string
	HostSecret  string
	PanelSecret string // of a webinar, "" otherwise
	Owner       string // id of the API key that made it, "" for a visitor
	ScheduledAt *time.Time
	CreatedAt   time.Time
	EndedAt     *time.Time
}

// MeetingChange names what UpdateMeeting changes; nil leaves a field as it is.
type MeetingChange struct {
	Topic       *string
	Passcode    *string
	ScheduledAt *time.Time
}

const meetingColumns = `id, number, topic, passcode, host_secret, panel_secret, owner, scheduled_at, created_at, ended_at`

func scanMeeting(r row) (Meeting, error) {
	var m Meeting
	var scheduled, ended sql.NullTime
	err := r.Scan(&m.ID, &m.Number, &m.Topic, &m.Passcode, &m.HostSecret, &m.PanelSecret, &m.Owner, &scheduled, &m.CreatedAt, &ended)
	m.CreatedAt = m.CreatedAt.UTC()
	m.ScheduledAt, m.EndedAt = timeOrNil(scheduled), timeOrNil(ended)
	return m, err
}

// Webinar reports whether the meeting is a webinar: whether it has panellists.
func (m *Meeting) Webinar() bool { return m.PanelSecret != "" }

// CreateMeeting adds a meeting. It is ErrTaken when its number is in use.
func (s *Store) CreateMeeting(ctx context.Context, m Meeting) error {
	n, err := s.exec(ctx, "create meeting",
		`INSERT INTO meetings (`+meetingColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (number) DO NOTHING`,
		m.ID, m.Number, m.Topic, m.Passcode, m.HostSecret, m.PanelSecret, m.Owner, stampOrNull(m.ScheduledAt), stamp(m.CreatedAt), stampOrNull(m.EndedAt))
	if err == nil && n == 0 {
		return fmt.Errorf("store: create meeting %s: %w", m.Number, ErrTaken)
	}
	return err
}

// Meeting finds a meeting by its number.
func (s *Store) Meeting(ctx context.Context, number string) (Meeting, error) {
	return one(ctx, s, "find meeting", scanMeeting, `SELECT `+meetingColumns+` FROM meetings WHERE number = $1`, number)
}

// MeetingsByID finds meetings by their ids, at most a few hundred; those that
// there are not are left out.
func (s *Store) MeetingsByID(ctx context.Context, ids []string) ([]Meeting, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	places, args := make([]string, len(ids)), make([]any, len(ids))
	for i, id := range ids {
		places[i], args[i] = fmt.Sprintf("$%d", i+1), id
	}
	return collect(ctx, s, "find meetings", scanMeeting,
		`SELECT `+meetingColumns+` FROM meetings WHERE id IN (`+strings.Join(places, ", ")+`)`, args...)
}

// UpdateMeeting changes a meeting and returns it as it then is.
func (s *Store) UpdateMeeting(ctx context.Context, number string, c MeetingChange) (Meeting, error) {
	return one(ctx, s, "update meeting", scanMeeting,
		`UPDATE meetings SET topic = COALESCE($2, topic), passcode = COALESCE($3, passcode), scheduled_at = COALESCE($4, scheduled_at)
		 WHERE number = $1 RETURNING `+meetingColumns, number, c.Topic, c.Passcode, stampOrNull(c.ScheduledAt))
}

// EndMeeting ends the meeting with this id, unless it has ended already, and
// reports whether this call did it.
func (s *Store) EndMeeting(ctx context.Context, id string, at time.Time) (bool, error) {
	n, err := s.exec(ctx, "end meeting", `UPDATE meetings SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL`, id, stamp(at))
	return n > 0, err
}

// DeleteMeeting forgets the meeting with this id, but for EndedMeetings.
func (s *Store) DeleteMeeting(ctx context.Context, id string, at time.Time) error {
	// Whatever happens between the two, no end is lost.
	_, err := s.exec(ctx, "delete meeting",
		`INSERT INTO deleted_meetings (id, ended_at) SELECT id, COALESCE(ended_at, $2) FROM meetings WHERE id = $1 ON CONFLICT (id) DO NOTHING`,
		id, stamp(at))
	if err != nil {
		return err
	}
	n, err := s.exec(ctx, "delete meeting", `DELETE FROM meetings WHERE id = $1`, id)
	if err == nil && n == 0 {
		return fmt.Errorf("store: delete meeting %s: %w", id, ErrNotFound)
	}
	return err
}

// EndedMeetings lists the ids of meetings that have ended since a time, also
// of those that were deleted after that; at most limit, the latest.
func (s *Store) EndedMeetings(ctx context.Context, since time.Time, limit int) ([]string, error) {
	scan := func(r row) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	}
	return collect(ctx, s, "list ended meetings", scan,
		`SELECT id FROM (
		   SELECT id, ended_at FROM meetings WHERE ended_at >= $1
		   UNION
		   SELECT id, ended_at FROM deleted_meetings WHERE ended_at >= $1
		 ) AS ended ORDER BY ended_at DESC, id LIMIT $2`, stamp(since), limit)
}

// ForgetEnded forgets deleted meetings that ended before a time and says how
// many they were.
func (s *Store) ForgetEnded(ctx context.Context, before time.Time) (int64, error) {
	return s.exec(ctx, "forget ended meetings", `DELETE FROM deleted_meetings WHERE ended_at < $1`, stamp(before))
}

// Meetings lists meetings, newest first: at most limit of those after the
// cursor, "" for the first page. next is the cursor of the page after, "" on
// the last. A cursor that Meetings did not make is ErrNotFound.
func (s *Store) Meetings(ctx context.Context, after string, limit int) (page []Meeting, next string, err error) {
	from, err := parseCursor(after)
	if err != nil {
		return nil, "", fmt.Errorf("store: list meetings: %w", err)
	}
	page, err = collect(ctx, s, "list meetings", scanMeeting,
		`SELECT `+meetingColumns+` FROM meetings WHERE created_at < $1 OR (created_at = $1 AND id < $2)
		 ORDER BY created_at DESC, id DESC LIMIT $3`, from.At, from.ID, limit+1)
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	last := page[limit-1]
	return page[:limit], cursor{last.CreatedAt, last.ID}.String(), nil
}

// cursor is a place in a list that is ordered by time and id, newest first.
type cursor struct {
	At time.Time `json:"t"`
	ID string    `json:"i"`
}

func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil { // a year beyond 9999
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor reads a cursor; "" is the place before everything.
func parseCursor(s string) (cursor, error) {
	if s == "" {
		return cursor{At: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
	}
	var c cursor
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || !validText(c.ID) {
		return cursor{}, fmt.Errorf("cursor %w", ErrNotFound)
	}
	c.At = stamp(c.At)
	return c, nil
}
