package zone

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

// TestJoinOfPages joins as a page of another origin does: the token inside,
// the body compressed, and no header that would need a preflight.
func TestJoinOfPages(t *testing.T) {
	w := newWorld(t)
	w.router("mmr-1", admits)
	s := w.controller("zc-1", nil)
	w.knows(s, 1)
	ask := func(video string, cut int) *httptest.ResponseRecorder {
		body, _ := json.Marshal(protocol.JoinRequest{Token: w.token("tea", time.Hour), Offers: protocol.Offers{Video: video}})
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(body)
		_ = z.Close()
		b.Truncate(b.Len() - cut)
		r := httptest.NewRequest(http.MethodPost, protocol.PathJoin, &b)
		r.Header.Set("Content-Type", "text/plain")
		r.Header.Set("Accept-Encoding", "gzip, br")
		rec := httptest.NewRecorder()
		s.Handler().ServeHTTP(rec, r)
		return rec
	}
	rec := ask("offer", 0)
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("status %d, %v", rec.Code, rec.Header())
	}
	z, err := gzip.NewReader(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a protocol.JoinAnswer
	if err := json.NewDecoder(z).Decode(&a); err != nil || a.Session != "mmr-1-1" {
		t.Errorf("%v: %+v", err, a)
	}
	if p := w.problem(ask(strings.Repeat("x", maxBody), 0)); p.Code != protocol.ProblemTooLarge {
		t.Errorf("a body that is too large when unpacked: %v", p)
	}
	if p := w.problem(ask("offer", 12)); p.Code != protocol.ProblemBadRequest {
		t.Errorf("a body that breaks off: %v", p)
	}
}
