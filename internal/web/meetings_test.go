package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"causeway/internal/bus"
	"causeway/protocol"

	"github.com/google/go-cmp/cmp"
)

func TestMeetingLife(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		m := get[protocol.Meeting](n, 201, request{
			method: "POST", path: protocol.PathMeetings, key: n.key,
			body: protocol.CreateMeeting{Topic: " Tea\n& <茶> ", Passcode: "a b&c", ScheduledAt: &at},
		})
		if m.Topic != "Tea & <茶>" || m.Passcode != "a b&c" || !m.ScheduledAt.Equal(at) || m.EndedAt != nil || !protocol.ValidID(m.ID) {
			t.Errorf("created %+v", m)
		}
		if want := "https://meet.example/j/" + m.Number + "?pwd=a+b%26c"; m.JoinURL != want {
			t.Errorf("join link %s, want %s", m.JoinURL, want)
		}
		if !strings.HasPrefix(m.HostURL, m.JoinURL+"&host=") || len(m.HostURL) < len(m.JoinURL)+32 {
			t.Errorf("host link %s", m.HostURL)
		}
		path := protocol.PathMeetings + "/" + m.Number
		if diff := cmp.Diff(m, get[protocol.Meeting](n, 200, request{method: "GET", path: path, key: n.key})); diff != "" {
			t.Errorf("read: (-want +got)\n%s", diff)
		}
		spaced := protocol.PathMeetings + "/" + url.PathEscape(m.Number[:3]+" "+m.Number[3:6]+"-"+m.Number[6:])
		if got := get[protocol.Meeting](n, 200, request{method: "GET", path: spaced, key: n.key}); got.ID != m.ID {
			t.Errorf("read with spaces: %+v", got)
		}

		m.Topic, m.Passcode = "Coffee", "new"
		m.JoinURL, m.HostURL = strings.Replace(m.JoinURL, "a+b%26c", "new", 1), strings.Replace(m.HostURL, "a+b%26c", "new", 1)
		got := get[protocol.Meeting](n, 200, request{method: "PATCH", path: path, key: n.key, body: `{"topic":"Coffee","passcode":"new"}`})
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("changed: (-want +got)\n%s", diff)
		}
		n.fails(protocol.ProblemBadRequest, request{method: "PATCH", path: path, key: n.key, body: `{"passcode":" "}`})

		ended := get[protocol.Meeting](n, 200, request{method: "POST", path: path + "/end", key: n.key})
		if ended.EndedAt == nil {
			t.Error("not ended")
		}
		if again := get[protocol.Meeting](n, 200, request{method: "POST", path: path + "/end", key: n.key}); !again.EndedAt.Equal(*ended.EndedAt) {
			t.Errorf("ended again at %v, first at %v", again.EndedAt, ended.EndedAt)
		}
		if w := n.do(request{method: "DELETE", path: path, key: n.key}); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
			t.Errorf("delete: %d %s", w.Code, w.Body)
		}
		for _, r := range []request{{method: "GET", path: path}, {method: "DELETE", path: path}, {method: "POST", path: path + "/end"}, {method: "PATCH", path: path, body: `{}`}} {
			r.key = n.key
			n.fails(protocol.ProblemMeetingNotFound, r)
		}
	})
}

func TestListMeetings(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		if list := get[protocol.MeetingList](n, 200, request{method: "GET", path: protocol.PathMeetings, key: n.key}); list.Meetings == nil || len(list.Meetings) != 0 {
			t.Errorf("empty list: %+v", list)
		}
		want := map[string]bool{}
		for i := range 5 {
			want[n.create(protocol.CreateMeeting{Topic: fmt.Sprint(i)}).ID] = true
		}
		after := ""
		for pages := 0; pages == 0 || after != ""; pages++ {
			list := get[protocol.MeetingList](n, 200, request{method: "GET", path: protocol.PathMeetings + "?limit=2&after=" + after, key: n.key})
			for _, m := range list.Meetings {
				if !want[m.ID] {
					t.Errorf("meeting %s twice or unknown", m.ID)
				}
				delete(want, m.ID)
			}
			after = list.Next
			if pages > 3 {
				t.Fatal("pages without end")
			}
		}
		if len(want) > 0 {
			t.Errorf("not listed: %v", want)
		}
		for _, query := range []string{"limit=0", "limit=201", "limit=x", "after=%00", "after=" + strings.Repeat("x", 300)} {
			n.fails(protocol.ProblemBadRequest, request{method: "GET", path: protocol.PathMeetings + "?" + query, key: n.key})
		}
	})
}

func TestPasscodeCannotBeOmitted(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	seen := map[string]bool{}
	for _, body := range []string{`{}`, `{"passcode":""}`, `{"passcode":"  "}`, `{"passcode":"\u0000\t"}`} {
		m := get[protocol.Meeting](n, 201, request{method: "POST", path: protocol.PathMeetings, body: body})
		if len(m.Passcode) != 10 || seen[m.Passcode] || seen[m.Number] {
			t.Errorf("body %s: passcode %q, number %s", body, m.Passcode, m.Number)
		}
		seen[m.Passcode], seen[m.Number] = true, true
	}
}

func TestWhoMayCreate(t *testing.T) {
	cfg := testConfig()
	cfg.Creation = CreationAPIKey
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", cfg)
	r := request{method: "POST", path: protocol.PathMeetings, body: `{}`}
	n.fails(protocol.ProblemUnauthorized, r)
	r.key = "cwk_wrong"
	n.fails(protocol.ProblemUnauthorized, r)
	r.key = n.key
	get[protocol.Meeting](n, 201, r)
	if got := get[protocol.SiteConfig](n, 200, request{method: "GET", path: protocol.PathConfig}); got.Creation != "api_key" || got.Version != "test" {
		t.Errorf("config %+v", got)
	}
}

func TestWhoMayChange(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	m, other := n.create(protocol.CreateMeeting{}), n.create(protocol.CreateMeeting{})
	secret := func(m protocol.Meeting) string {
		_, s, _ := strings.Cut(m.HostURL, "&host=")
		return s
	}
	path := protocol.PathMeetings + "/" + m.Number
	for _, r := range []request{
		{method: "GET", path: path}, {method: "PATCH", path: path, body: `{"topic":"x"}`}, {method: "POST", path: path + "/end"},
	} {
		n.fails(protocol.ProblemUnauthorized, r)
		r.key = "cwk_wrong"
		n.fails(protocol.ProblemUnauthorized, r)
		r.key, r.header = "", map[string]string{"Causeway-Invitation": secret(other)}
		n.fails(protocol.ProblemBadInvitation, r)
		missing := r
		missing.path = strings.Replace(r.path, m.Number, "999999999", 1)
		n.fails(protocol.ProblemBadInvitation, missing)
		r.header["Causeway-Invitation"] = secret(m)
		if got := get[protocol.Meeting](n, 200, r); got.ID != m.ID {
			t.Errorf("%s %s with the host's invitation: %+v", r.method, r.path, got)
		}
	}
	for _, r := range []request{
		{method: "DELETE", path: path},
		{method: "GET", path: protocol.PathMeetings},
		{method: "GET", path: protocol.PathReports},
		{method: "GET", path: keysPath},
		{method: "POST", path: keysPath, body: `{"name":"x"}`},
		{method: "DELETE", path: keysPath + "/x"},
	} {
		r.header = map[string]string{"Causeway-Invitation": secret(m)}
		n.fails(protocol.ProblemUnauthorized, r)
	}
}

func TestEndIsTold(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		m := n.create(protocol.CreateMeeting{})
		told := make(chan protocol.MeetingCommand, 1)
		sub, err := bus.Subscribe(n.conn, protocol.SubjectMeetingCommand(m.ID), func(_ string, c protocol.MeetingCommand) { told <- c })
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Stop()
		get[protocol.Meeting](n, 200, request{method: "POST", path: protocol.PathMeetings + "/" + m.Number + "/end", key: n.key})
		if c := <-told; !c.End || c.By != "" {
			t.Errorf("told %+v", c)
		}
	})
}

func TestHostEndsMeeting(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		m := n.create(protocol.CreateMeeting{})
		at := m.CreatedAt.Add(-time.Second).Truncate(time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for i := range 2 { // a router may ask again
			e := protocol.MeetingEnded{Meeting: m.ID, By: "p", At: at.Add(time.Duration(i) * time.Hour)}
			if _, err := bus.Request[protocol.Empty](ctx, n.conn, protocol.SubjectMeetingEnded, e); err != nil {
				t.Fatal(err)
			}
		}
		got := get[protocol.Meeting](n, 200, request{method: "GET", path: protocol.PathMeetings + "/" + m.Number, key: n.key})
		if got.EndedAt == nil || !got.EndedAt.Equal(at) {
			t.Errorf("ended at %v, want %v", got.EndedAt, at)
		}
		n.open("eu")
		n.fails(protocol.ProblemMeetingEnded, request{method: "POST", path: lookupPath(m.Number), body: protocol.LookupRequest{Name: "A", Passcode: m.Passcode}})
		if _, err := bus.Request[protocol.Empty](ctx, n.conn, protocol.SubjectMeetingEnded, protocol.MeetingEnded{Meeting: "No.1"}); err == nil {
			t.Error("an id that is none was taken")
		}
	})
}

func TestCreationIsLimited(t *testing.T) {
	cfg := testConfig()
	cfg.Limits.Creations.Burst, cfg.Limits.Creations.PerMinute = 2, 0.001
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", cfg)
	r := request{method: "POST", path: protocol.PathMeetings, body: `{}`}
	get[protocol.Meeting](n, 201, r)
	get[protocol.Meeting](n, 201, r)
	n.fails(protocol.ProblemRateLimited, r)
	if got := n.do(r).Header().Get("Retry-After"); got == "" {
		t.Error("no Retry-After")
	}
	r.key = n.key
	get[protocol.Meeting](n, 201, r) // whoever has a key is not a stranger
	r.key, r.from = "", "198.51.100.8:1"
	get[protocol.Meeting](n, 201, r)
}
