package health

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHandler(t *testing.T) {
	var missing error
	h := Handler(func() error { return missing })
	for _, c := range []struct {
		name, method, path string
		missing            error
		status             int
		body               string
	}{
		{"alive", "GET", "/healthz", nil, 200, "ok\n"},
		{"alive though not ready", "GET", "/healthz", errors.New("no bus"), 200, "ok\n"},
		{"ready", "GET", "/readyz", nil, 200, "ok\n"},
		{"not ready", "GET", "/readyz", errors.New("no bus"), 503, "no bus\n"},
		{"head", "HEAD", "/readyz", nil, 200, ""},
		{"post", "POST", "/readyz", nil, 405, "Method Not Allowed\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			missing = c.missing
			server := httptest.NewServer(h)
			defer server.Close()
			req, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			body := make([]byte, 100)
			n, _ := res.Body.Read(body)
			if res.StatusCode != c.status || string(body[:n]) != c.body {
				t.Errorf("got %d %q, want %d %q", res.StatusCode, body[:n], c.status, c.body)
			}
		})
	}
}
