package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// codesInSource lists the constants of type Code in problem.go.
func codesInSource(t *testing.T) map[Code]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[Code]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Code" {
			s, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[Code(s)] = true
		}
		return true
	})
	return codes
}

func TestProblemTableIsComplete(t *testing.T) {
	codes := codesInSource(t)
	for c := range codes {
		if _, ok := Problems[c]; !ok {
			t.Errorf("code %q has no row in problems.json", c)
		}
	}
	for c, e := range Problems {
		if !codes[c] {
			t.Errorf("problems.json has %q, which no constant names", c)
		}
		if e.Status != 0 && (e.Status < 400 || e.Status > 599) {
			t.Errorf("%s: status %d", c, e.Status)
		}
		for _, lang := range []Language{English, TraditionalChinese} {
			w := e.Words[lang]
			if w.Title == "" || w.Cause == "" || w.Remedy == "" {
				t.Errorf("%s: words missing in %s", c, lang)
			}
		}
	}
}

func TestProblemOf(t *testing.T) {
	inner := errors.New("dial tcp: refused")
	p := Wrap(ProblemWebUnreachable, inner)
	wrapped := fmt.Errorf("lookup: %w", p)
	if got := ProblemOf(wrapped); got != p {
		t.Errorf("ProblemOf gave %v", got)
	}
	if !errors.Is(wrapped, inner) {
		t.Error("the cause is lost")
	}
	if !errors.Is(wrapped, NewProblem(ProblemWebUnreachable, "")) {
		t.Error("errors.Is does not see the code")
	}
	if errors.Is(wrapped, NewProblem(ProblemInternal, "")) {
		t.Error("another code matches")
	}
	hidden := ProblemOf(inner)
	if hidden.Code != ProblemInternal || strings.Contains(hidden.Error(), "refused") {
		t.Errorf("an internal error shows: %v", hidden)
	}
}

// TestWriteForeignProblem: what another server has said over the bus need not be
// an error of HTTP, or a status at all.
func TestWriteForeignProblem(t *testing.T) {
	for _, status := range []int{-1, 0, 7, 200, 399, 600, 1000} {
		rec := httptest.NewRecorder()
		WriteProblem(rec, &Problem{Code: "from_tomorrow", Title: "Something new", Status: status})
		var p Problem
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || rec.Code != 500 || p.Status != 500 || p.Code != ProblemInternal || p.Detail != "Something new" {
			t.Errorf("status %d is answered with %d: %v: %+v", status, rec.Code, err, p)
		}
	}
}

func TestWriteProblem(t *testing.T) {
	rec := httptest.NewRecorder()
	WriteProblem(rec, NewProblem(ProblemWrongPasscode, ""))
	if rec.Code != 403 || rec.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("status %d, type %q", rec.Code, rec.Header().Get("Content-Type"))
	}
	var p Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.Code != ProblemWrongPasscode || p.Remedy == "" {
		t.Errorf("%v: %+v", err, p)
	}
}
