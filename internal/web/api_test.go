package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"causeway/protocol"
)

func TestUnknownAddresses(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	for _, path := range []string{"/api/v1", "/api/v1/nothing", "/api/v2/meetings", "/api/v1/meetings/1/2/3"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			n.fails(protocol.ProblemNotFound, request{method: method, path: path})
		}
	}
	for path, allow := range map[string]string{
		protocol.PathMeetings:                "GET, POST",
		protocol.PathMeetings + "/123456789": "GET, PATCH, DELETE",
		lookupPath("123456789"):              "POST",
		protocol.PathConfig:                  "GET",
	} {
		r := request{method: "PUT", path: path}
		n.fails(protocol.ProblemMethodNotAllowed, r)
		if got := n.do(r).Header().Get("Allow"); got != allow {
			t.Errorf("%s: Allow %q, want %q", path, got, allow)
		}
	}
}

func TestBadRequests(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	m := n.create(protocol.CreateMeeting{})
	for _, c := range []struct {
		name, path, body, kind string
		want                   protocol.Code
		status                 int
		detail                 string
	}{
		{"no body", lookupPath(m.Number), "", "", protocol.ProblemBadRequest, 400, "request body is required"},
		{"no JSON", lookupPath(m.Number), "name=x", "", protocol.ProblemBadRequest, 400, "invalid character"},
		{"cut off", lookupPath(m.Number), `{"name":"x"`, "", protocol.ProblemBadRequest, 400, "unexpected end"},
		{"null", lookupPath(m.Number), "null", "", protocol.ProblemBadRequest, 400, "body"},
		{"list", lookupPath(m.Number), "[]", "", protocol.ProblemBadRequest, 400, "body"},
		{"another type", lookupPath(m.Number), `{"name":7}`, "", protocol.ProblemBadRequest, 400, "body.name"},
		{"no name", lookupPath(m.Number), `{}`, "", protocol.ProblemBadRequest, 400, "name"},
		{"empty name", lookupPath(m.Number), `{"name":""}`, "", protocol.ProblemBadRequest, 400, "body.name"},
		{"blank name", lookupPath(m.Number), `{"name":" \u0000\u202e"}`, "", protocol.ProblemBadRequest, 400, "body.name"},
		{"long name", lookupPath(m.Number), `{"name":"` + strings.Repeat("茶", 65) + `"}`, "", protocol.ProblemBadRequest, 400, "body.name"},
		{"long name in capital letters", lookupPath(m.Number), `{"name":"x","NAME":"` + strings.Repeat("x", 65) + `"}`, "", protocol.ProblemBadRequest, 400, "body.name"},
		{"long number", lookupPath(strings.Repeat("1", 65)), `{"name":"x"}`, "", protocol.ProblemBadRequest, 400, "path.number"},
		{"unknown kind of client", lookupPath(m.Number), `{"name":"x","client":{"kind":"fax"}}`, "", protocol.ProblemBadRequest, 400, "body.client.kind"},
		{"long topic", protocol.PathMeetings, `{"topic":"` + strings.Repeat("x", 201) + `"}`, "", protocol.ProblemBadRequest, 400, "body.topic"},
		{"long passcode", protocol.PathMeetings, `{"passcode":"` + strings.Repeat("x", 65) + `"}`, "", protocol.ProblemBadRequest, 400, "body.passcode"},
		{"no time", protocol.PathMeetings, `{"scheduled_at":"tomorrow"}`, "", protocol.ProblemBadRequest, 400, "body.scheduled_at"},
		{"time of the dinosaurs", protocol.PathMeetings, `{"scheduled_at":"0000-01-01T00:00:00Z"}`, "", protocol.ProblemBadRequest, 400, "body.scheduled_at"},
		{"too large", protocol.PathMeetings, `{"topic":"` + strings.Repeat("x", maxBody) + `"}`, "", protocol.ProblemTooLarge, 413, "limit"},
		{"deep", protocol.PathMeetings, strings.Repeat("[", 5000), "", protocol.ProblemBadRequest, 400, "nested deeper"},
		{"deep beside", protocol.PathMeetings, `{"topic":"\"{[","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "", protocol.ProblemBadRequest, 400, "nested deeper"},
		{"form", protocol.PathMeetings, "a=b", "application/x-www-form-urlencoded", protocol.ProblemBadRequest, 415, "unknown content type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &node{Server: n.Server, t: t}
			r := request{method: "POST", path: c.path, body: c.body}
			if c.kind != "" {
				r.header = map[string]string{"Content-Type": c.kind}
			}
			if p := n.fails(c.want, r); p.Status != c.status || !strings.Contains(p.Detail, c.detail) || len(p.Detail) > 500 {
				t.Errorf("status %d, detail %q, want %d, %q", p.Status, p.Detail, c.status, c.detail)
			}
		})
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	deep := strings.Repeat("[", maxDepth-1) + `"[[["` + strings.Repeat("]", maxDepth-1)
	m := get[protocol.Meeting](n, 201, request{method: "POST", path: protocol.PathMeetings, body: `{"topic":"Tea","future":` + deep + `}`})
	if m.Topic != "Tea" {
		t.Errorf("created %+v", m)
	}
}

func TestAnswersAreNotCached(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	for _, r := range []request{
		{method: "POST", path: protocol.PathMeetings, body: `{}`},
		{method: "POST", path: protocol.PathMeetings, body: `x`},
		{method: "GET", path: protocol.PathMeetings},
		{method: "GET", path: "/api/v1/nothing"},
	} {
		if got := n.do(r).Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s %s: Cache-Control %q", r.method, r.path, got)
		}
	}
	if got := n.do(request{method: "GET", path: protocol.PathMeetings}).Header().Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("WWW-Authenticate %q", got)
	}
}

func TestPanicIsAnswered(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	n.handler = n.survive(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") }))
	n.fails(protocol.ProblemInternal, request{method: "GET", path: "/"})
}

// TestOpenAPI sees that the document holds together: everything that it
// refers to is there, and every operation says what it must.
func TestOpenAPI(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	w := n.do(request{method: "GET", path: "/openapi.json"})
	var doc struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID, Summary string
			Parameters           []struct{ Name, In string }
			Responses            map[string]struct {
				Description *string
				Content     map[string]struct{ Schema json.RawMessage }
			}
			Security []map[string][]string
		}
		Components struct {
			Schemas         map[string]json.RawMessage
			SecuritySchemes map[string]struct{ Type, Scheme string }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title == "" || doc.Info.Version != "test" {
		t.Errorf("head: %q, %+v", doc.OpenAPI, doc.Info)
	}
	for _, m := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		name, ok := strings.CutPrefix(m[1], "#/components/schemas/")
		if _, there := doc.Components.Schemas[name]; !ok || !there {
			t.Errorf("a reference leads to %q, which is not there", m[1])
		}
	}
	for _, name := range []string{"Problem", "Package", "LookupRequest", "Meeting", "Report"} {
		if doc.Components.Schemas[name] == nil {
			t.Errorf("no schema %s", name)
		}
	}
	if doc.Components.Schemas["ErrorModel"] != nil {
		t.Error("there is a schema of errors that are not sent")
	}
	var operations []string
	parameter := regexp.MustCompile(`\{(\w+)\}`)
	for path, item := range doc.Paths {
		for method, op := range item {
			at := strings.ToUpper(method) + " " + path
			if op.OperationID == "" || op.Summary == "" || slices.Contains(operations, op.OperationID) {
				t.Errorf("%s: operation %q, %q", at, op.OperationID, op.Summary)
			}
			operations = append(operations, op.OperationID)
			for _, m := range parameter.FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == m[1] && p.In == "path" }) {
					t.Errorf("%s: parameter %s is not described", at, m[1])
				}
			}
			if string(op.Responses["default"].Content["application/problem+json"].Schema) != `{"$ref":"#/components/schemas/Problem"}` {
				t.Errorf("%s: problems are not described", at)
			}
			for status, r := range op.Responses {
				if r.Description == nil {
					t.Errorf("%s: answer %s has no description", at, status)
				}
			}
			for _, s := range op.Security {
				for name := range s {
					if doc.Components.SecuritySchemes[name].Scheme != "bearer" {
						t.Errorf("%s: credential %q is not described", at, name)
					}
				}
			}
		}
	}
	slices.Sort(operations)
	const want = "[add-zone create-api-key create-enrolment create-meeting delete-meeting drain end-meeting enroll events get-config get-meeting " +
		"list-api-keys list-meetings list-reports list-servers list-zones lookup remove-zone revoke revoke-api-key rotate-keys send-report status update-meeting]"
	if got := fmt.Sprint(operations); got != want {
		t.Errorf("operations %s, want %s", got, want)
	}
}

func TestPages(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	for _, begin := range []string{"/api", "/api/"} {
		if w := n.do(request{method: "GET", path: begin}); w.Code != 302 || w.Header().Get("Location") != "/docs" {
			t.Errorf("%s: %d to %s", begin, w.Code, w.Header().Get("Location"))
		}
	}
	if w := n.do(request{method: "GET", path: "/docs"}); w.Code != 200 || !strings.Contains(w.Body.String(), "POST /api/v1/meetings/{number}/lookup") {
		t.Errorf("/docs: %d", w.Code)
	}
	for _, path := range []string{"/", "/j/1234567890"} {
		if w := n.do(request{method: "GET", path: path}); w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}
