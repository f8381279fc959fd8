// Package site serves the web client, which make build puts into dist and
// which is embedded in the binary, with the headers that keep it safe.
//
// Web mounts its handler at the root. The package keeps no state but what it
// reads of the files at start, and owns no goroutine.
package site

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed all:dist
var built embed.FS

// Built is the web client of this binary.
func Built() (fs.FS, error) {
	dist, err := fs.Sub(built, "dist")
	if err != nil {
		return nil, fmt.Errorf("open web client: %w", err)
	}
	return dist, nil
}

// file is one file of the site in one encoding.
type file struct {
	name string
	etag string
	body []byte
}

// encodings are tried in this order when the browser takes them.
var encodings = [...]struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}}

type handler struct {
	files map[string]file // by path without leading slash
}

// Handler serves the files of a web client. Every address that looks like a
// page (/j/NUMBER, /new) is answered with index.html, in which the client
// finds out for itself where it is.
func Handler(files fs.FS) (http.Handler, error) {
	h := &handler{files: map[string]file{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		h.files[name] = file{name, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, body}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read web client: %w", err)
	}
	return h, nil
}

// ServeHTTP answers GET and HEAD.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	Protect(w.Header())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Only GET and HEAD are possible here.", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	if _, there := h.files[name]; there && !strings.HasPrefix(path.Base(name), ".") {
		h.serve(w, r, name)
		return
	}
	if path.Ext(name) != "" || strings.HasPrefix(name, "assets/") {
		w.Header().Set("Cache-Control", "no-cache")
		http.Error(w, "There is nothing here. Check the address for typing errors.", http.StatusNotFound)
		return
	}
	if _, there := h.files["index.html"]; !there {
		missing(w)
		return
	}
	h.serve(w, r, "index.html")
}

// serve sends a file, compressed if it can be. Files in assets carry a hash in
// their names and never change; all others are asked for anew each time.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, name string) {
	f, header := h.files[name], w.Header()
	header.Set("Content-Type", contentType(name))
	header.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, "assets/") {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	for _, e := range encodings {
		packed, there := h.files[name+e.suffix]
		if !there {
			continue
		}
		header.Set("Vary", "Accept-Encoding")
		if accepts(r.Header.Get("Accept-Encoding"), e.name) {
			header.Set("Content-Encoding", e.name)
			f = packed
			break
		}
	}
	header.Set("ETag", f.etag)
	if strings.Contains(r.Header.Get("If-None-Match"), f.etag) {
		header.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(f.body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(f.body) // whoever asked may be gone
	}
}

// accepts reports whether an Accept-Encoding header allows a coding (RFC 9110
// §12.5.3); "*" is not understood.
func accepts(header, coding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !found || err == nil && weight > 0
	}
	return false
}

// contentType does not ask the operating system's table, which differs.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".webmanifest":
		return "application/manifest+json"
	case ".woff2":
		return "font/woff2"
	case ".wasm":
		return "application/wasm"
	case ".json", ".map":
		return "application/json"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}
