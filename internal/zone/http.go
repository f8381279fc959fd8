package zone

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"causeway/internal/base/local"
	"causeway/internal/limit"
	"causeway/protocol"
)

// maxBody bounds a join request: three SDP offers, of which the video one may
// ask for 49 slots.
const maxBody = 256 << 10

// Handler serves phase 2 and phase 3. Pages of any origin may call it, since
// the join token is the credential and cookies are not used.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+protocol.PathProbe, s.probe)
	mux.HandleFunc("POST "+protocol.PathJoin, s.join)
	mux.HandleFunc("OPTIONS "+protocol.PathProbe, preflight)
	mux.HandleFunc("OPTIONS "+protocol.PathJoin, preflight)
	return open(mux)
}

// open lets pages of other origins read answers and their timing.
func open(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Timing-Allow-Origin", "*")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// preflight answers what browsers ask before a call across origins. They keep
// the answer for two hours, so that no join waits for it.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "7200")
	if r.Header.Get("Access-Control-Request-Private-Network") != "" {
		// A public page that calls an on-premises zone.
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	w.WriteHeader(http.StatusNoContent)
}

// probe answers from memory: what clients time is the network.
func (s *Server) probe(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	sum := s.state.glance(time.Now())
	s.mu.Unlock()
	if s.stopping.Load() || s.drain.On() {
		sum.status = protocol.ZoneDraining
	}
	answer(w, protocol.ProbeAnswer{
		Zone: s.config.Zone, Controller: s.id, State: sum.status, Load: max(sum.load, s.load.Latest().Value()), Weight: s.config.Weight,
	})
}

// join brokers a participant to a router.
func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	s.joining.Add(1)
	defer s.joining.Add(-1)
	a, err := s.joined(w, r)
	s.metrics.joined(err)
	if err != nil {
		p := protocol.ProblemOf(err)
		if p.Code == protocol.ProblemInternal && r.Context().Err() == nil {
			s.deps.Log.Error("zone: join failed", "err", err)
		}
		protocol.WriteProblem(w, p)
		return
	}
	packed(w, r, a)
}

func (s *Server) joined(w http.ResponseWriter, r *http.Request) (protocol.JoinAnswer, error) {
	if !s.keys.Knows() { // before it says that a good token is not valid
		return protocol.JoinAnswer{}, protocol.NewProblem(protocol.ProblemInternal, "this controller has just started and does not know the keys yet")
	}
	addr := clientOf(r)
	client := limit.Client(addr)
	tooMany := protocol.NewProblem(protocol.ProblemRateLimited, "")
	if !s.wrong.Judge(client, false, time.Now()) {
		return protocol.JoinAnswer{}, tooMany
	}
	req, raw, claims, err := s.asked(http.MaxBytesReader(w, r.Body, maxBody), r)
	if err != nil {
		s.wrong.Judge(client, true, time.Now())
		return protocol.JoinAnswer{}, err
	}
	if s.joins != nil && !s.joins.Allow(claims.Meeting+" "+claims.Subject, time.Now()) {
		return protocol.JoinAnswer{}, tooMany
	}
	start := time.Now()
	a, err := s.broker(r.Context(), newcomer{meeting: claims.Meeting, avoid: s.comesFrom(req.Resume, claims.Subject), req: protocol.AdmitRequest{
		Token: raw, Offers: req.Offers, Client: req.Client, Address: text(addr), Resume: req.Resume, Standby: req.Standby,
	}})
	s.metrics.broker.Observe(time.Since(start).Seconds())
	if err != nil {
		return protocol.JoinAnswer{}, err
	}
	if local.Is(r.Context()) && a.localControlURL != "" {
		a.controlURL = a.localControlURL
	}
	return protocol.JoinAnswer{
		Zone: s.config.Zone, Controller: s.id, MMR: a.mmr,
		Session: a.answer.Session, Admitted: a.answer.Admitted, Standby: a.answer.Standby, ControlURL: a.controlURL, Answers: a.answer.Answers,
		MediaTCP: a.answer.MediaTCP, MediaTLS: a.answer.MediaTLS, TURN: a.answer.TURN,
	}, nil
}

// asked reads who asks for what.
func (s *Server) asked(body io.Reader, r *http.Request) (protocol.JoinRequest, string, protocol.JoinClaims, error) {
	req, unreadable := readJoin(body)
	raw, err := bearer(r, req.Token)
	if err != nil && unreadable != nil {
		return req, "", protocol.JoinClaims{}, unreadable // the token may be inside
	}
	if err != nil {
		return req, "", protocol.JoinClaims{}, err
	}
	claims, err := s.keys.Verify(raw, time.Now())
	if err == nil {
		err = unreadable
	}
	return req, raw, claims, err
}

// comesFrom is the router that a participant comes from, "" if it is none of
// this zone. That it took the router for dead counts against the router.
func (s *Server) comesFrom(r *protocol.Resume, participant string) string {
	if r == nil || r.Zone != "" && r.Zone != s.config.Zone || !protocol.ValidID(r.MMR) {
		return ""
	}
	s.metrics.resumed(r.Reason)
	if r.Reason == protocol.ResumeDead {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.state.report(r.MMR, participant, time.Now())
	}
	return r.MMR
}

// bearer takes the token out of the Authorization header (RFC 6750 §2.1), or
// what the body says if there is none.
func bearer(r *http.Request, inBody string) (string, error) {
	if r.Header.Get("Authorization") == "" && inBody != "" {
		return inBody, nil
	}
	scheme, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(raw) == "" {
		return "", protocol.NewProblem(protocol.ProblemTokenInvalid, "no 'Authorization: Bearer TOKEN' header")
	}
	return strings.TrimSpace(raw), nil
}

// readJoin decodes the body.
func readJoin(body io.Reader) (protocol.JoinRequest, error) {
	var req protocol.JoinRequest
	data, err := unpacked(body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return req, protocol.Wrap(protocol.ProblemTooLarge, err)
	}
	if err != nil {
		return req, protocol.Wrap(protocol.ProblemBadRequest, err)
	}
	if err := json.Unmarshal(data, &req); err != nil {
		return req, protocol.Wrap(protocol.ProblemBadRequest, err)
	}
	if req.Offers == (protocol.Offers{}) {
		return req, protocol.NewProblem(protocol.ProblemBadOffer, "no offer for any media connection")
	}
	return req, nil
}

// unpacked reads a body that may be compressed (RFC 1952), as its first bytes
// tell: a page of another origin cannot say so in a header without a preflight.
// TCP begins slowly, so that three offers as they are take round trips.
func unpacked(body io.Reader) ([]byte, error) {
	in := bufio.NewReader(body)
	if magic, _ := in.Peek(2); string(magic) != "\x1f\x8b" {
		return io.ReadAll(in)
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(z, maxBody+1))
	if err == nil && len(data) > maxBody {
		err = &http.MaxBytesError{Limit: maxBody}
	}
	return data, err
}

// clientOf is the address that the request came from.
func clientOf(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr) // zero for what is no IP socket
	return ap.Addr().Unmap()
}

// text is an address in words, "" for none.
func text(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

// packed answers compressed, if the client takes that: see unpacked.
func packed(w http.ResponseWriter, r *http.Request, v any) {
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		answer(w, v)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // fails only for other levels
	_ = json.NewEncoder(z).Encode(v)               // fails only when the client has gone
	_ = z.Close()
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // fails only when the client has gone
}
