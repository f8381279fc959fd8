package apidoc

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Problem stands for protocol.Problem, to which the page links.
type Problem struct{}

type child struct {
	Name string `json:"name" maxLength:"7" doc:"<What> it is called"`
	Kind string `json:"kind,omitempty" enum:"boy,girl"`
}

type input struct {
	ID   int `path:"id" doc:"Which"`
	Body struct {
		Children []child          `json:"children"`
		ByName   map[string]child `json:"by_name,omitempty"`
	}
}

type output struct{ Body child }

func fetch(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	c := huma.DefaultConfig("Test", "1.2.3")
	c.CreateHooks = nil
	api := humago.New(http.NewServeMux(), c)
	huma.Register(api, huma.Operation{
		OperationID: "adopt", Method: http.MethodPost, Path: "/things/{id}", Summary: "Adopt", Tags: []string{"Things"},
		Security: []map[string][]string{{"apiKey": {}}, {}},
	}, func(context.Context, *input) (*output, error) { return nil, nil })
	huma.Register(api, huma.Operation{OperationID: "drop", Method: http.MethodDelete, Path: "/things/{id}"},
		func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
	api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "")
	h, err := Handler(api.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestPage(t *testing.T) {
	w := fetch(t, "/docs")
	html := w.Body.String()
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	for _, want := range []string{
		"Test API", "1.2.3", "<h2>Things</h2>", "<h2>Other</h2>", "POST /things/{id}", `<article id="adopt">`, `<article id="drop">`,
		"Credential: API key (not always", "Credential: none", `list of <a href="#Child">Child</a>`, `object of <a href="#Child">Child</a>`,
		"string, at most 7 characters", "one of boy, girl", "&lt;What&gt; it is called", "integer (int64)", "otherwise",
		"<code>wrong_passcode</code><td>403<td>The passcode is not right.",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestNothingFromElsewhere: the page works offline and under its policy.
func TestNothingFromElsewhere(t *testing.T) {
	w := fetch(t, "/docs")
	if bad := regexp.MustCompile(`(?i)<script|<style|style=|\son[a-z]+=|(src|href)="?(https?:)?//`).FindString(w.Body.String()); bad != "" {
		t.Errorf("the page holds %q", bad)
	}
	if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'self'") {
		t.Error("no policy")
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`id="([^"]+)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		if ids[m[1]] {
			t.Errorf("id %q twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		if !ids[m[1]] {
			t.Errorf("a link leads to %q, which is not there", m[1])
		}
	}
	if s := fetch(t, "/docs/style.css"); s.Code != 200 || s.Header().Get("Content-Type") != "text/css; charset=utf-8" || strings.Contains(s.Body.String(), "url(") {
		t.Errorf("style: %d %v", s.Code, s.Header())
	}
	if s := fetch(t, "/docs/other"); s.Code != 404 {
		t.Errorf("other: %d", s.Code)
	}
}
