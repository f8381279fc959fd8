package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestHandler(t *testing.T) {
	reg, other := New(), New() // two in one process do not collide
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "causeway_test_total", Help: "For this test."})
	reg.MustRegister(c)
	c.Inc()
	text := func(r *prometheus.Registry) string {
		w := httptest.NewRecorder()
		Handler(r).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	for _, want := range []string{"causeway_test_total 1", "go_goroutines "} {
		if !strings.Contains(text(reg), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text(other), "causeway_test_total") {
		t.Error("registries share metrics")
	}
}
