// Package local marks requests that came over the plain loopback listener.
//
// The one-process server also answers on http://localhost, for browsers on
// the same machine: loopback is a secure context without certificates. The
// servers then answer with plain local addresses instead of public ones. The
// command marks that listener's requests; servers ask with Is. The mark is
// in the request's context and never on the wire, so nobody can forge it.
package local

import (
	"context"
	"net/http"
)

type key struct{}

// Mark wraps the handler of the plain loopback listener.
func Mark(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, true)))
	})
}

// Is reports whether the request that ctx belongs to came over the plain
// loopback listener.
func Is(ctx context.Context) bool {
	marked, _ := ctx.Value(key{}).(bool)
	return marked
}
