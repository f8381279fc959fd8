package site

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func client() fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		".gitkeep":              file(""),
		"index.html":            file("<html>"),
		"favicon.svg":           file("<svg>"),
		"assets/app-1a2b.js":    file("plain script"),
		"assets/app-1a2b.js.br": file("brotli"), "assets/app-1a2b.js.gz": file("gzip"),
		"assets/only-9f.css": file("plain style"), "assets/only-9f.css.gz": file("gzipped style"),
		"assets/font-77.woff2": file("font"),
	}
}

func get(t *testing.T, h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestSite(t *testing.T) {
	h, err := Handler(client())
	if err != nil {
		t.Fatal(err)
	}
	const forever, never = "public, max-age=31536000, immutable", "no-cache"
	for _, c := range []struct {
		name, path, accept string
		status             int
		body, kind         string
		encoding, cache    string
	}{
		{"index", "/", "", 200, "<html>", "text/html; charset=utf-8", "", never},
		{"index by name", "/index.html", "", 200, "<html>", "text/html; charset=utf-8", "", never},
		{"meeting", "/j/1234567890?pwd=x", "", 200, "<html>", "text/html; charset=utf-8", "", never},
		{"page", "/new", "", 200, "<html>", "text/html; charset=utf-8", "", never},
		{"page with slash", "/new/", "", 200, "<html>", "text/html; charset=utf-8", "", never},
		{"file", "/favicon.svg", "", 200, "<svg>", "image/svg+xml", "", never},
		{"asset", "/assets/app-1a2b.js", "", 200, "plain script", "text/javascript; charset=utf-8", "", forever},
		{"asset, brotli", "/assets/app-1a2b.js", "gzip, deflate, br", 200, "brotli", "text/javascript; charset=utf-8", "br", forever},
		{"asset, gzip", "/assets/app-1a2b.js", "GZIP;q=0.5", 200, "gzip", "text/javascript; charset=utf-8", "gzip", forever},
		{"asset, brotli refused", "/assets/app-1a2b.js", "br; q=0, gzip", 200, "gzip", "text/javascript; charset=utf-8", "gzip", forever},
		{"asset, nonsense refused", "/assets/app-1a2b.js", "br;q=x", 200, "plain script", "text/javascript; charset=utf-8", "", forever},
		{"asset, only gzip there", "/assets/only-9f.css", "br, gzip", 200, "gzipped style", "text/css; charset=utf-8", "gzip", forever},
		{"asset, nothing packed", "/assets/font-77.woff2", "br, gzip", 200, "font", "font/woff2", "", forever},
		{"asset of yesterday", "/assets/app-0000.js", "", 404, "There is nothing here.", "text/plain; charset=utf-8", "", never},
		{"asset without extension", "/assets/x", "", 404, "There is nothing here.", "text/plain; charset=utf-8", "", never},
		{"unknown file", "/robots.txt", "", 404, "There is nothing here.", "text/plain; charset=utf-8", "", never},
		{"hidden file", "/.gitkeep", "", 404, "There is nothing here.", "text/plain; charset=utf-8", "", never},
		{"way out", "/../../etc/passwd", "", 200, "<html>", "text/html; charset=utf-8", "", never},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := get(t, h, "GET", c.path, "Accept-Encoding", c.accept)
			header := w.Header()
			if w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.body) {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, c.status, c.body)
			}
			if got := header.Get("Content-Type"); got != c.kind {
				t.Errorf("content type %q, want %q", got, c.kind)
			}
			if got := header.Get("Content-Encoding"); got != c.encoding {
				t.Errorf("encoding %q, want %q", got, c.encoding)
			}
			if got := header.Get("Cache-Control"); got != c.cache {
				t.Errorf("cache %q, want %q", got, c.cache)
			}
			if strings.HasPrefix(c.path, "/assets/app-1") && header.Get("Vary") != "Accept-Encoding" {
				t.Error("answers depend on Accept-Encoding and do not say so")
			}
			if !strings.Contains(header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("not protected: %v", header)
			}
		})
	}
}

func TestNotModified(t *testing.T) {
	h, err := Handler(client())
	if err != nil {
		t.Fatal(err)
	}
	tag := get(t, h, "GET", "/").Header().Get("ETag")
	if w := get(t, h, "GET", "/j/123", "If-None-Match", `"other", W/`+tag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("%d %q, want 304", w.Code, w.Body)
	}
	if w := get(t, h, "GET", "/", "If-None-Match", `"other"`); w.Code != http.StatusOK {
		t.Errorf("%d, want 200", w.Code)
	}
	if br := get(t, h, "GET", "/assets/app-1a2b.js", "Accept-Encoding", "br").Header().Get("ETag"); br == get(t, h, "GET", "/assets/app-1a2b.js").Header().Get("ETag") {
		t.Error("two encodings share an ETag (RFC 9110 §8.8.3)")
	}
}

func TestMethods(t *testing.T) {
	h, err := Handler(client())
	if err != nil {
		t.Fatal(err)
	}
	if w := get(t, h, "HEAD", "/"); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "6" {
		t.Errorf("HEAD: %d %q %v", w.Code, w.Body, w.Header())
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
		if w := get(t, h, method, "/"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}

func TestWithoutWebClient(t *testing.T) {
	h, err := Handler(fstest.MapFS{".gitkeep": &fstest.MapFile{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/j/123456789"} {
		if w := get(t, h, "GET", path); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "make build") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestBuilt: whatever this binary was built with can be served.
func TestBuilt(t *testing.T) {
	files, err := Built()
	if err != nil {
		t.Fatal(err)
	}
	h, err := Handler(files)
	if err != nil {
		t.Fatal(err)
	}
	if w := get(t, h, "GET", "/"); w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Body.Len() == 0 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func FuzzAccepts(f *testing.F) {
	for _, s := range []string{"gzip, br", "br;q=0", "br ; q=0.5", ";;,,", "BR", "br;q=-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if accepts(header, "br") && !strings.Contains(strings.ToLower(header), "br") {
			t.Errorf("%q does not name br", header)
		}
	})
}
