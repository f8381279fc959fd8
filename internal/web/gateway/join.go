package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"causeway/internal/base/local"
	"causeway/protocol"
)

const (
	maxRequest = 256 << 10 // three SDP offers, as controllers take them
	maxAnswer  = 1 << 20
	// joinTimeout is above what a controller takes at most (5 s).
	joinTimeout = 8 * time.Second
	// relayValid is how long TURN credentials last: a relay is refreshed with
	// them every few minutes, so it must be longer than meetings are.
	relayValid = 12 * time.Hour
)

// probe passes phase 2 on.
func (s *Server) probe(w http.ResponseWriter, r *http.Request) error {
	a, err := s.ask(r, http.MethodGet, protocol.PathProbe, nil)
	if err != nil {
		return err
	}
	a.write(w)
	return nil
}

// join passes phase 3 on, and has the answer lead through the gateway.
func (s *Server) join(w http.ResponseWriter, r *http.Request) error {
	claims, err := s.bearer(r)
	if err != nil {
		return err
	}
	host, err := hostOf(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return protocol.Wrap(protocol.ProblemTooLarge, err)
	}
	if err != nil {
		return protocol.Wrap(protocol.ProblemBadRequest, err)
	}
	a, err := s.ask(r, http.MethodPost, protocol.PathJoin, body)
	if err != nil {
		return err
	}
	if a.status == http.StatusOK {
		if a.body, err = s.redirect(a.body, host, local.Is(r.Context()), claims.Subject); err != nil {
			return protocol.Wrap(protocol.ProblemGatewayFailed, err)
		}
	}
	a.write(w)
	return nil
}

// bearer verifies the join token (RFC 6750 §2.1).
func (s *Server) bearer(r *http.Request) (protocol.JoinClaims, error) {
	scheme, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return protocol.JoinClaims{}, protocol.NewProblem(protocol.ProblemTokenInvalid, "no 'Authorization: Bearer TOKEN' header")
	}
	return s.deps.Keys.Verify(strings.TrimSpace(raw), time.Now())
}

// hostOf is the host, with its port, by which the browser knows this node.
func hostOf(r *http.Request) (string, error) {
	u, err := url.Parse("https://" + r.Host)
	if err != nil || u.Host != r.Host || u.Hostname() == "" || strings.ContainsAny(r.Host, "@/?#%\\ ") {
		return "", protocol.NewProblem(protocol.ProblemBadRequest, "host")
	}
	return r.Host, nil
}

// answer is what a controller has answered.
type answer struct {
	status      int
	contentType string
	body        []byte
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", a.contentType)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // whoever asked may be gone
}

// ask asks the controller that a request names.
func (s *Server) ask(r *http.Request, method, path string, body []byte) (answer, error) {
	base := r.URL.Query().Get("controller")
	if !s.targets.controllers.knows(base, time.Now()) {
		return answer{}, protocol.NewProblem(protocol.ProblemTunnelRefused, "controller")
	}
	ctx, cancel := context.WithTimeout(r.Context(), joinTimeout)
	defer cancel()
	out, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, protocol.Wrap(protocol.ProblemGatewayFailed, err)
	}
	if method == http.MethodPost {
		out.Header.Set("Authorization", r.Header.Get("Authorization"))
		out.Header.Set("Content-Type", "application/json")
	}
	res, err := s.http.Do(out)
	if err != nil {
		s.deps.Log.Warn("gateway: controller not reached", "controller", base, "err", err)
		return answer{}, protocol.NewProblem(protocol.ProblemGatewayFailed, "")
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{status: res.StatusCode, contentType: res.Header.Get("Content-Type")}
	a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, protocol.Wrap(protocol.ProblemGatewayFailed, err)
	case len(a.body) > maxAnswer:
		return answer{}, protocol.NewProblem(protocol.ProblemGatewayFailed, "the answer is too long")
	}
	// Nothing but what a controller answers may come from our own origin.
	media, _, _ := mime.ParseMediaType(a.contentType)
	if a.status == http.StatusOK && media == "application/json" || a.status >= 400 && media == "application/problem+json" {
		return a, nil
	}
	return answer{}, protocol.NewProblem(protocol.ProblemGatewayFailed, fmt.Sprintf("status %d", a.status))
}

// redirect has an answer's control channel lead through the gateway, and its
// TURN to this node. Fields that it does not know stay as they are.
func (s *Server) redirect(joined []byte, host string, plain bool, participant string) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(joined, &fields); err != nil || fields == nil {
		return nil, errors.New("the answer is no object")
	}
	var control string
	if err := json.Unmarshal(fields["control_url"], &control); err != nil || control == "" {
		return nil, errors.New("the answer has no control_url")
	}
	if isTLS(control, "wss") {
		// A controller vouches for its router, which may not have been heard yet.
		s.targets.routers.note(control, time.Now())
	}
	set := func(field string, v any) {
		fields[field], _ = json.Marshal(v) // strings only: it cannot fail
	}
	// A browser that came without TLS is on this machine.
	scheme := "wss"
	if plain {
		scheme = "ws"
	}
	set("control_url", scheme+"://"+host+protocol.PathGatewayControl+"?to="+url.QueryEscape(control))
	if relay := s.turn.Load(); relay != nil && !plain {
		username, password, err := relay.Credentials(participant, relayValid)
		if err != nil {
			return nil, err
		}
		set("turn", []protocol.TURNServer{{URLs: []string{turnURL(host)}, Username: username, Credential: password}})
	}
	return json.Marshal(fields)
}

// turnURL is the address of TURN over TLS (RFC 7065) on the port that a host
// was reached by.
func turnURL(host string) string {
	if _, port, err := net.SplitHostPort(host); err != nil || port == "" {
		host = strings.TrimSuffix(host, ":") + ":443"
	}
	return "turns:" + host + "?transport=tcp"
}
