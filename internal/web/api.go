package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"causeway/internal/web/apidoc"
	"causeway/internal/web/site"
	"causeway/protocol"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	maxBody   = 16 << 10 // bytes of a request
	maxReport = 256 << 10
	maxDepth  = 32 // nesting of JSON
)

// routes makes the handler of everything.
func (s *Server) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	api := humago.New(mux, apiConfig(s.version))
	api.UseMiddleware(s.measure)
	s.registerMeetings(api)
	s.registerLookup(api)
	s.registerReports(api)
	s.registerKeys(api)
	s.registerServers(api)
	s.registerOperator(api)
	s.registerSite(api)
	delete(api.OpenAPI().Components.Schemas.Map(), "ErrorModel") // huma's own, not used

	spec, err := json.Marshal(api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("write OpenAPI document: %w", err)
	}
	doc, err := apidoc.Handler(api.OpenAPI())
	if err != nil {
		return nil, err
	}
	built, err := site.Built()
	if err != nil {
		return nil, err
	}
	pages, err := site.Handler(built)
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Access-Control-Allow-Origin", "*") // for viewers of others
		_, _ = w.Write(spec)                               // whoever asked may be gone
	})
	described := http.RedirectHandler("/docs", http.StatusFound)
	mux.Handle("GET /api", described)
	mux.Handle("GET /api/{$}", described)
	mux.Handle("/docs", doc)
	mux.Handle("/docs/", doc)
	mux.Handle("/api/", nothing(mux))
	mux.Handle(protocol.PathGateway+"/", s.gateway.Handler())
	mux.Handle("/", pages)
	return s.survive(s.receive(mux)), nil
}

// apiConfig is huma without what would load from elsewhere or change answers:
// no pages of its own and no links to schemas.
func apiConfig(version string) huma.Config {
	c := huma.DefaultConfig("Causeway", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil
	c.AllowAdditionalPropertiesByDefault = true // protocol: readers ignore unknown fields
	c.Info.Description = "Meetings: make them, look them up, end them, and see how people got in. " +
		"Everything that goes wrong is an application/problem+json document with a stable code, a cause and a remedy."
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	c.Formats = map[string]huma.Format{"application/json": format, "json": format} // "json" is for application/problem+json
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"apiKey":    {Type: "http", Scheme: "bearer", Description: "An API key of this system."},
		"joinToken": {Type: "http", Scheme: "bearer", Description: "The join token of a lookup's answer."},
	}
	c.Transformers = []huma.Transformer{func(_ huma.Context, _ string, v any) (any, error) {
		if e, ok := v.(*huma.ErrorModel); ok {
			return problemOf(e), nil
		}
		return v, nil
	}}
	return c
}

// unmarshal is json.Unmarshal with a bound on nesting.
func unmarshal(data []byte, v any) error {
	depth, quoted, escaped := 0, false, false
	for _, c := range data {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if depth > maxDepth {
			return fmt.Errorf("nested deeper than %d", maxDepth)
		}
	}
	return json.Unmarshal(data, v)
}

// problemOf turns what huma finds wrong with a request into a problem.
func problemOf(e *huma.ErrorModel) *protocol.Problem {
	var details []string
	for _, d := range e.Errors {
		if d != nil {
			details = append(details, strings.TrimPrefix(d.Location+": "+d.Message, ": "))
		}
	}
	if len(details) == 0 {
		details = []string{e.Detail}
	}
	detail := strings.Join(details[:min(len(details), 8)], "; ")
	switch {
	case e.Status == http.StatusRequestEntityTooLarge:
		return protocol.NewProblem(protocol.ProblemTooLarge, detail)
	case e.Status >= 500:
		return protocol.NewProblem(protocol.ProblemInternal, "")
	}
	p := protocol.NewProblem(protocol.ProblemBadRequest, detail)
	p.Status = answered(e.Status)
	return p
}

// answered is the status that goes out: a request that is well formed but not
// valid is 400 with us, like bad_request in the table, not huma's 422.
func answered(status int) int {
	if status == http.StatusUnprocessableEntity {
		return http.StatusBadRequest
	}
	return status
}

// failure is a problem as huma takes it from a handler.
type failure struct {
	*protocol.Problem
	retry time.Duration // 0: do not say
}

// GetStatus is for huma.
func (f *failure) GetStatus() int { return f.Status }

// GetHeaders is for huma.
func (f *failure) GetHeaders() http.Header {
	h := http.Header{}
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(f.retry/time.Second)+1))
	}
	if f.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	return h
}

// ContentType is for huma.
func (*failure) ContentType(string) string { return "application/problem+json" }

// tooMany is the failure of whom a limit stops.
func tooMany(retry time.Duration) error {
	return &failure{protocol.NewProblem(protocol.ProblemRateLimited, ""), retry}
}

// handle registers an operation. f's errors become problems; those that are
// none are logged and told as internal.
func handle[I, O any](s *Server, api huma.API, op huma.Operation, f func(context.Context, *I) (*O, error)) {
	problem := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[protocol.Problem](), true, "Problem")
	op.Responses = map[string]*huma.Response{"default": {
		Description: "What went wrong",
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
	}}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxBody
	}
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := f(ctx, in)
		if err == nil {
			return out, nil
		}
		var done *failure
		if errors.As(err, &done) {
			return nil, done
		}
		p := protocol.ProblemOf(err)
		if p.Code == protocol.ProblemInternal && ctx.Err() == nil {
			s.log.Error("request failed", "operation", op.OperationID, "err", err)
		}
		return nil, &failure{Problem: p}
	})
}

// humaContext is huma.Context under a name that does not hide its method
// Context when it is embedded.
type humaContext huma.Context

// answering notes the status of an answer.
type answering struct {
	humaContext
}

// SetStatus is for huma.
func (a answering) SetStatus(status int) { a.humaContext.SetStatus(answered(status)) }

// measure keeps answers out of caches, since they hold secrets, and times them.
func (s *Server) measure(ctx huma.Context, next func(huma.Context)) {
	start := time.Now()
	ctx.SetHeader("Cache-Control", "no-store")
	ctx.SetHeader("X-Content-Type-Options", "nosniff")
	next(answering{ctx})
	s.metrics.answers.WithLabelValues(ctx.Operation().OperationID, strconv.Itoa(ctx.Status())).Observe(time.Since(start).Seconds())
}

// nothing answers what is no address of the API, or not with this method.
func nothing(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{"GET", "POST", "PATCH", "DELETE"} {
			probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
			if _, pattern := mux.Handler(probe); pattern != "/api/" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemNotFound, ""))
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemMethodNotAllowed, ""))
	})
}

// survive turns a panic of a handler into a problem and a log entry.
func (s *Server) survive(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v)
			default:
				s.log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemInternal, ""))
			}
		}()
		next.ServeHTTP(w, r)
	})
}
