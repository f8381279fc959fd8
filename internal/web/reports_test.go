package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

func TestReports(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		m, other := n.create(protocol.CreateMeeting{}), n.create(protocol.CreateMeeting{})
		report := protocol.Report{
			OK: true, Meeting: other.Number, Participant: "somebody else", Route: "direct", Zone: "eu\x00",
			Phases: []protocol.PhaseReport{{Name: protocol.PhaseLookup, Attempts: []protocol.Attempt{{Target: "x"}}, Error: protocol.NewProblem(protocol.ProblemNoZone, "")}},
			Media:  map[protocol.MediaKind]protocol.MediaReport{protocol.Audio: {Remote: "192.0.2.1:8801"}},
			Events: []protocol.ReportEvent{{AtMS: 1, What: "path lost"}},
		}
		send := request{method: "POST", path: protocol.PathReports, body: report, key: n.signed(claimsFor(m, time.Now().Add(-25*time.Hour)))}
		if w := n.do(send); w.Code != http.StatusNoContent {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		list := get[ReportList](n, 200, request{method: "GET", path: protocol.PathReports + "?meeting=" + m.Number, key: n.key})
		if len(list.Reports) != 1 {
			t.Fatalf("reports %+v", list)
		}
		got := list.Reports[0].Report
		if got.Meeting != m.Number || got.Participant != "p-old" {
			t.Errorf("report of %s in %s: the token says who sent it", got.Participant, got.Meeting)
		}
		if !got.OK || len(got.Phases) != 1 || got.Phases[0].Error.Code != protocol.ProblemNoZone || got.Media[protocol.Audio].Remote != "192.0.2.1:8801" || len(got.Events) != 1 {
			t.Errorf("report %+v", got)
		}
		if list := get[ReportList](n, 200, request{method: "GET", path: protocol.PathReports + "?meeting=" + other.Number, key: n.key}); len(list.Reports) != 0 {
			t.Errorf("reports of the other meeting: %+v", list)
		}
		for _, query := range []string{"meeting=abc", "limit=0", "after=x"} {
			n.fails(protocol.ProblemBadRequest, request{method: "GET", path: protocol.PathReports + "?" + query, key: n.key})
		}
	})
}

func TestIncompleteReportIsKept(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	m := n.create(protocol.CreateMeeting{})
	token := n.signed(claimsFor(m, time.Now()))
	for _, body := range []string{`{}`, `{"phases":null,"new":1}`} {
		if w := n.do(request{method: "POST", path: protocol.PathReports, body: body, key: token}); w.Code != http.StatusNoContent {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if list := get[ReportList](n, 200, request{method: "GET", path: protocol.PathReports, key: n.key}); len(list.Reports) != 2 {
		t.Errorf("reports %+v", list)
	}
}

func TestBadReports(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	m := n.create(protocol.CreateMeeting{})
	token := n.signed(claimsFor(m, time.Now()))
	for _, c := range []struct {
		name, token, body string
		want              protocol.Code
	}{
		{"no token", "", `{}`, protocol.ProblemTokenInvalid},
		{"an API key", n.key, `{}`, protocol.ProblemTokenInvalid},
		{"old token", n.signed(claimsFor(m, time.Now().Add(-27*time.Hour))), `{}`, protocol.ProblemTokenExpired},
		{"no JSON", token, `x`, protocol.ProblemBadRequest},
		{"no report", token, `{"phases":7}`, protocol.ProblemBadRequest},
		{"large", token, `{"zone":"` + strings.Repeat("x", maxReport) + `"}`, protocol.ProblemTooLarge},
		{"deep", token, `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, protocol.ProblemBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &node{Server: n.Server, t: t}
			n.fails(c.want, request{method: "POST", path: protocol.PathReports, body: c.body, key: c.token})
		})
	}
}

// TestReportsAreBounded: however many come, only the newest are kept.
func TestReportsAreBounded(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		cfg := testConfig()
		cfg.ReportCount = 20
		n := startNode(t, dsn, cfg)
		m := n.create(protocol.CreateMeeting{})
		token := n.signed(claimsFor(m, time.Now()))
		for range 50 {
			if w := n.do(request{method: "POST", path: protocol.PathReports, body: `{}`, key: token}); w.Code != http.StatusNoContent {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		await(t, "there are not more than are to be kept", func() bool {
			return len(get[ReportList](n, 200, request{method: "GET", path: protocol.PathReports + "?limit=200", key: n.key}).Reports) <= cfg.ReportCount+1
		})
	})
}
