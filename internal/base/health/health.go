// Package health answers /healthz and /readyz.
//
// /healthz speaks of the process itself: it answers 200 as long as the
// process can answer at all. /readyz speaks of its work: 200 when it can
// serve, 503 with the reason in one line when it cannot. The admin listener
// of every server mounts it.
package health

import (
	"fmt"
	"net/http"
)

// Handler serves /healthz and /readyz; ready returns nil when the server can
// serve, else the reason why it cannot.
func Handler(ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, nil)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, ready())
	})
	return mux
}

func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, err)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}
