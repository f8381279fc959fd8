package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"causeway/protocol"
)

// Report is a join report as it was received.
type Report struct {
	ID         string
	ReceivedAt time.Time
	Report     protocol.Report
}

func scanReport(r row) (Report, error) {
	var v Report
	var text string
	if err := r.Scan(&v.ID, &v.ReceivedAt, &text); err != nil {
		return v, err
	}
	v.ReceivedAt = v.ReceivedAt.UTC()
	if err := json.Unmarshal([]byte(text), &v.Report); err != nil {
		return v, fmt.Errorf("report %s: %w", v.ID, err)
	}
	return v, nil
}

// AddReport keeps a report, and says how many bytes it has.
func (s *Store) AddReport(ctx context.Context, r Report) (int, error) {
	text, err := json.Marshal(r.Report)
	if err != nil {
		return 0, fmt.Errorf("store: add report: %w", err)
	}
	_, err = s.exec(ctx, "add report",
		`INSERT INTO reports (id, meeting, participant, ok, received_at, report, size) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		r.ID, r.Report.Meeting, r.Report.Participant, r.Report.OK, stamp(r.ReceivedAt), string(text), len(text))
	return len(text), err
}

// Reports lists reports, newest first, with a cursor like Meetings. meeting
// is a number, or "" for the reports of all.
func (s *Store) Reports(ctx context.Context, meeting, after string, limit int) (page []Report, next string, err error) {
	from, err := parseCursor(after)
	if err != nil {
		return nil, "", fmt.Errorf("store: list reports: %w", err)
	}
	page, err = collect(ctx, s, "list reports", scanReport,
		`SELECT id, received_at, report FROM reports
		 WHERE ($1 = '' OR meeting = $1) AND (received_at < $2 OR (received_at = $2 AND id < $3))
		 ORDER BY received_at DESC, id DESC LIMIT $4`, meeting, from.At, from.ID, limit+1)
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	last := page[limit-1]
	return page[:limit], cursor{last.ReceivedAt, last.ID}.String(), nil
}

// DeleteReports forgets the reports received before a time, and the oldest where
// there are more than so many, or more bytes of them. It says how many they were.
func (s *Store) DeleteReports(ctx context.Context, before time.Time, most int, mostBytes int64) (int64, error) {
	return s.exec(ctx, "delete old reports", `
		DELETE FROM reports WHERE received_at < $1 OR id IN (
			SELECT id FROM (
				SELECT id, count(*) OVER newer AS reports, sum(size) OVER newer AS bytes
				FROM reports WINDOW newer AS (ORDER BY received_at DESC, id DESC)
			) AS upto WHERE reports > $2 OR bytes > $3)`, stamp(before), most, mostBytes)
}

// validText reports whether both databases can hold s: PostgreSQL refuses the
// character NUL and broken UTF-8.
func validText(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) < 0
}
