package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"causeway/internal/store"
	"causeway/protocol"

	"github.com/danielgtaylor/huma/v2"
)

// KeptReport is a join report as the administrator reads it.
type KeptReport struct {
	ID         string          `json:"id"`
	ReceivedAt time.Time       `json:"received_at"`
	Report     protocol.Report `json:"report"`
}

// ReportList is a page of reports, newest first.
type ReportList struct {
	Reports []KeptReport `json:"reports"`
	Next    string       `json:"next,omitempty" doc:"Pass as ?after= for the next page; absent on the last"`
}

type (
	reportInput  struct{ Body protocol.Report }
	reportsInput struct {
		After   string `query:"after" maxLength:"256" doc:"The next of the page before"`
		Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most"`
		Meeting string `query:"meeting" maxLength:"64" doc:"Only those of the meeting with this number"`
	}
	reportsOutput struct{ Body ReportList }
)

func (s *Server) registerReports(api huma.API) {
	tags := []string{"Join reports"}
	handle(s, api, huma.Operation{
		OperationID: "send-report", Method: http.MethodPost, Path: protocol.PathReports, Tags: tags,
		Security: []map[string][]string{{"joinToken": {}}}, MaxBodyBytes: maxReport,
		SkipValidateBody: true, // a report that lacks something is still worth keeping
		Summary:          "Tell how a join went", Description: "Sent by clients, with the join token as bearer.",
	}, s.takeReport)
	handle(s, api, huma.Operation{
		OperationID: "list-reports", Method: http.MethodGet, Path: protocol.PathReports, Tags: tags,
		Security: []map[string][]string{{"apiKey": {}}}, Summary: "List join reports", Description: "Newest first.",
	}, s.listReports)
}

func (s *Server) takeReport(ctx context.Context, in *reportInput) (*struct{}, error) {
	v, now := visitOf(ctx), time.Now()
	if !s.limits.reports.Allow(v.client, now) {
		return nil, tooMany(s.limits.reports.Retry())
	}
	claims, err := s.verifier.VerifyExpired(v.bearer, now, tokenGrace)
	if err != nil {
		return nil, err
	}
	r := store.Report{ID: newID(), ReceivedAt: now, Report: in.Body}
	r.Report.Meeting, r.Report.Participant = claims.Number, claims.Subject // not what the sender says
	size, err := s.store.AddReport(ctx, r)
	if err != nil {
		return nil, err
	}
	if s.unswept.add(size, s.cfg) {
		signal(s.sweepSoon)
	}
	s.metrics.reports.WithLabelValues(strconv.FormatBool(r.Report.OK)).Inc()
	return nil, nil
}

// unswept counts the reports that came since they were last looked through.
type unswept struct{ count, bytes atomic.Int64 }

// add counts a report, and says whether it is time to look them through: when
// a twentieth of what is kept may have come.
func (u *unswept) add(size int, cfg Config) bool {
	many := u.count.Add(1) > int64(cfg.ReportCount/20)
	return u.bytes.Add(int64(size)) > cfg.ReportBytes/20 || many
}

func (u *unswept) reset() {
	u.count.Store(0)
	u.bytes.Store(0)
}

func (s *Server) listReports(ctx context.Context, in *reportsInput) (*reportsOutput, error) {
	if _, err := s.authenticate(ctx, time.Now()); err != nil {
		return nil, err
	}
	number := ""
	if in.Meeting != "" {
		var ok bool
		if number, ok = parseNumber(in.Meeting); !ok {
			return nil, protocol.NewProblem(protocol.ProblemBadRequest, "query.meeting: a meeting number has 9 to 11 digits")
		}
	}
	page, next, err := s.store.Reports(ctx, number, in.After, in.Limit)
	if errors.Is(err, store.ErrNotFound) {
		return nil, protocol.NewProblem(protocol.ProblemBadRequest, "query.after: not the next of a page")
	}
	if err != nil {
		return nil, err
	}
	list := ReportList{Reports: []KeptReport{}, Next: next}
	for _, r := range page {
		list.Reports = append(list.Reports, KeptReport{r.ID, r.ReceivedAt, r.Report})
	}
	return &reportsOutput{list}, nil
}
