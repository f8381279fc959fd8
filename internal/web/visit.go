package web

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"causeway/internal/base/local"
	"causeway/internal/limit"

	"causeway/protocol"
)

// visit is what web knows of a request before it looks at its content.
type visit struct {
	address   netip.Addr   // of the client, behind proxies that we trust
	client    netip.Prefix // whom it is counted as
	local     bool         // came over the plain listener for this machine
	base      string       // of links in the answer
	bearer    string       // credential, "" none
	forwarded []string     // headers that proxies on the way have left
}

type visitKey struct{}

// visitOf gives the visit of the request that ctx belongs to.
func visitOf(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit)
	return v
}

// receive notes the visit of each request.
func (s *Server) receive(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visit{local: local.Is(r.Context()), forwarded: forwarded(r.Header)}
		v.address = clientAddress(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), s.proxies)
		v.client = limit.Client(v.address)
		v.base = s.base(r, v.local)
		if scheme, credential, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
			v.bearer = strings.TrimSpace(credential)
		}
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); r.URL.Path == protocol.PathConfig && err == nil && !contains(s.proxies, peer.Addr().Unmap()) {
			if mark := protocol.TLSMark(r.TLS); mark != "" {
				w.Header().Set(protocol.HeaderTLSMark, mark)
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
	})
}

// base is the beginning of links: the configured address; for browsers on this
// machine, and when none is configured, the one that the client used.
func (s *Server) base(r *http.Request, local bool) string {
	switch {
	case local:
		return "http://" + r.Host
	case s.cfg.PublicURL != "":
		return strings.TrimSuffix(s.cfg.PublicURL, "/")
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// clientAddress finds out who sent a request: the peer, or, if that is a
// trusted proxy, the last address in X-Forwarded-For that is not. Whatever
// stands left of it anybody can have written.
func clientAddress(remote string, forwardedFor []string, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(forwardedFor, ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(trusted, client); i-- {
		hop, ok := parseHop(strings.TrimSpace(hops[i]))
		if !ok {
			break
		}
		client = hop
	}
	return client
}

// parseHop reads an address of X-Forwarded-For, which some proxies write with
// a port.
func parseHop(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap(), true
	}
	a, err := netip.ParseAddrPort(s)
	return a.Addr().Unmap(), err == nil
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// Limits of what is told back of forwarding headers.
const (
	maxForwarded     = 16  // headers
	maxForwardedText = 512 // bytes of each
)

// forwarded gives the headers that proxies on the way have left, as they
// arrived: by them a client finds out that a proxy is in its path.
func forwarded(h http.Header) []string {
	var all []string
	for _, name := range []string{"Via", "Forwarded", "X-Forwarded-For"} {
		for _, value := range h.Values(name) {
			if len(all) == maxForwarded {
				return all
			}
			all = append(all, name+": "+value[:min(len(value), maxForwardedText)])
		}
	}
	return all
}
