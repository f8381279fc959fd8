package local

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestMark(t *testing.T) {
	var was bool
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { was = Is(r.Context()) })
	r := httptest.NewRequest("GET", "/", nil)
	if h.ServeHTTP(httptest.NewRecorder(), r); was {
		t.Error("a request is local without a mark")
	}
	if Mark(h).ServeHTTP(httptest.NewRecorder(), r); !was {
		t.Error("a marked request is not local")
	}
	if Is(r.Context()) {
		t.Error("the mark is left on the request")
	}
}
