// Package apidoc renders an OpenAPI document as one plain page that needs no
// script and nothing from elsewhere, so that it works offline and under a
// strict Content-Security-Policy. Web serves it at /docs. The page is made once
// at start; the package owns no goroutine.
package apidoc

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strings"

	"causeway/internal/web/site"
	"causeway/protocol"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed page.html style.css
var files embed.FS

// page is what the template is given.
type page struct {
	Title, Version, Description string
	Groups                      []group
	Schemas                     []schema
	Problems                    []problem
}

// problem is a row of the table of problems that cross HTTP.
type problem struct {
	Code   protocol.Code
	Status int
	protocol.Words
}

type group struct {
	Name       string
	Operations []operation
}

type operation struct {
	ID, Method, Path, Summary, Description, Credential string
	Parameters                                         []field
	Body                                               *typ
	Answers                                            []answer
}

type answer struct {
	Status, Description string
	Body                *typ
}

type schema struct {
	Name   string
	Fields []field
}

type field struct {
	Name, In, Doc string
	Type          typ
	Required      bool
}

// typ is a type: words around the name of a schema of the page, if it has one.
type typ struct{ Before, Schema, After string }

// Handler serves the page of a document at /docs and its style beside it.
func Handler(doc *huma.OpenAPI) (http.Handler, error) {
	t, err := template.ParseFS(files, "page.html")
	if err != nil {
		return nil, fmt.Errorf("read page of the API: %w", err)
	}
	var html bytes.Buffer
	if err := t.Execute(&html, describe(doc)); err != nil {
		return nil, fmt.Errorf("make page of the API: %w", err)
	}
	style, err := files.ReadFile("style.css")
	if err != nil {
		return nil, fmt.Errorf("read style of the API's page: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /docs", send("text/html; charset=utf-8", html.Bytes()))
	mux.HandleFunc("GET /docs/style.css", send("text/css; charset=utf-8", style))
	return mux, nil
}

func send(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		site.Protect(w.Header())
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(body) // whoever asked may be gone
	}
}

// describe turns the document into what the template shows.
func describe(doc *huma.OpenAPI) page {
	p := page{Title: doc.Info.Title, Version: doc.Info.Version, Description: doc.Info.Description}
	groups := map[string][]operation{}
	var order []string
	for _, at := range sorted(doc.Paths) {
		item := doc.Paths[at]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			tag := "Other"
			if len(op.Tags) > 0 {
				tag = op.Tags[0]
			}
			if groups[tag] == nil {
				order = append(order, tag)
			}
			groups[tag] = append(groups[tag], describeOperation(at, op))
		}
	}
	slices.Sort(order)
	for _, name := range order {
		p.Groups = append(p.Groups, group{name, groups[name]})
	}
	schemas := doc.Components.Schemas.Map()
	for _, name := range sorted(schemas) {
		p.Schemas = append(p.Schemas, schema{name, fieldsOf(schemas[name])})
	}
	for code, entry := range protocol.Problems {
		if entry.Status != 0 {
			p.Problems = append(p.Problems, problem{code, entry.Status, entry.Words[protocol.English]})
		}
	}
	slices.SortFunc(p.Problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.Status, b.Status), cmp.Compare(a.Code, b.Code))
	})
	return p
}

func describeOperation(at string, op *huma.Operation) operation {
	o := operation{ID: op.OperationID, Method: op.Method, Path: at, Summary: op.Summary, Description: op.Description}
	o.Credential = credential(op.Security)
	for _, p := range op.Parameters {
		o.Parameters = append(o.Parameters, field{Name: p.Name, In: p.In, Doc: p.Description, Type: typeOf(p.Schema), Required: p.Required})
	}
	if op.RequestBody != nil {
		o.Body = bodyOf(op.RequestBody.Content)
	}
	for _, status := range sorted(op.Responses) {
		r := op.Responses[status]
		o.Answers = append(o.Answers, answer{strings.Replace(status, "default", "otherwise", 1), r.Description, bodyOf(r.Content)})
	}
	return o
}

// credential says which credentials an operation takes.
func credential(security []map[string][]string) string {
	var names []string
	optional := len(security) == 0
	for _, s := range security {
		optional = optional || len(s) == 0
		names = append(names, sorted(s)...)
	}
	switch words := strings.NewReplacer("apiKey", "API key", "joinToken", "join token").Replace(strings.Join(names, " or ")); {
	case words == "":
		return "none"
	case optional:
		return words + " (not always, see below)"
	default:
		return words
	}
}

func bodyOf(content map[string]*huma.MediaType) *typ {
	for _, kind := range sorted(content) {
		if content[kind].Schema != nil {
			t := typeOf(content[kind].Schema)
			return &t
		}
	}
	return nil
}

func fieldsOf(s *huma.Schema) []field {
	var fields []field
	for _, name := range sorted(s.Properties) {
		p := s.Properties[name]
		fields = append(fields, field{Name: name, Doc: p.Description, Type: typeOf(p), Required: slices.Contains(s.Required, name)})
	}
	slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(rank(a), rank(b)) })
	return fields
}

func rank(f field) int {
	if f.Required {
		return 0
	}
	return 1
}

// typeOf puts a schema into words.
func typeOf(s *huma.Schema) typ {
	switch {
	case s == nil:
		return typ{Before: "anything"}
	case s.Ref != "":
		return typ{Schema: path.Base(s.Ref)}
	case s.Type == huma.TypeArray:
		t := typeOf(s.Items)
		t.Before = "list of " + t.Before
		return t
	case s.Type == huma.TypeObject:
		if of, ok := s.AdditionalProperties.(*huma.Schema); ok {
			t := typeOf(of)
			t.Before = "object of " + t.Before
			return t
		}
	}
	t := typ{Before: cmp.Or(s.Type, "anything")}
	if s.Format != "" {
		t.Before += " (" + s.Format + ")"
	}
	var notes []string
	if len(s.Enum) > 0 {
		var values []string
		for _, v := range s.Enum {
			values = append(values, fmt.Sprint(v))
		}
		notes = append(notes, "one of "+strings.Join(values, ", "))
	}
	if s.MaxLength != nil {
		notes = append(notes, fmt.Sprintf("at most %d characters", *s.MaxLength))
	}
	if len(notes) > 0 {
		t.After = ", " + strings.Join(notes, ", ")
	}
	return t
}

// sorted gives the keys of a map in order.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
