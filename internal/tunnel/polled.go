package tunnel

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"causeway/protocol"
)

const (
	// pollWait is how long a GET waits for bytes: below what proxies allow.
	pollWait = 20 * time.Second
	// pollSilence ends a stream whose client has stopped asking.
	pollSilence = 60 * time.Second
	// pollBuffer bounds what waits for the client; the target is not read
	// beyond it.
	pollBuffer = 512 << 10
)

// polledStreams are the streams carried by plain requests, by id.
type polledStreams struct {
	mu   sync.Mutex
	byID map[string]*polledStream
}

// polledStream is one of them. What the target sent stays in down until the
// client asks for what follows it, so that a lost answer can be had again.
type polledStream struct {
	target   net.Conn
	quota    *quota
	release  func()     // gives the quota back
	up       sync.Mutex // one POST at a time
	upOffset int64

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	down    []byte
	base    int64 // offset of down[0]
	ended   bool
	asked   time.Time
}

func newPolledStreams() *polledStreams { return &polledStreams{byID: map[string]*polledStream{}} }

// openPolled opens a stream that plain requests carry.
func (s *Server) openPolled(w http.ResponseWriter, r *http.Request) {
	c, release, err := s.admit(r)
	if err != nil {
		s.refuse(w, err)
		return
	}
	target, err := s.dial(r.Context(), c.target)
	if err != nil {
		release()
		s.refuse(w, protocol.Wrap(protocol.ProblemTunnelRefused, fmt.Errorf("connect: %w", err)))
		return
	}
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	id := hex.EncodeToString(raw)
	p := &polledStream{target: target, quota: c.quota, release: release, changed: make(chan struct{}), asked: time.Now()}
	s.polled.mu.Lock()
	s.polled.byID[id] = p
	s.polled.mu.Unlock()
	s.metrics.opened.WithLabelValues("ok").Inc()
	s.streams.Go(func() {
		stop := context.AfterFunc(s.life, func() { _ = target.Close() })
		defer stop()
		p.read(s.life, s.count("down"))
	})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(protocol.TunnelStream{ID: id})
}

// read fills down from the target until it ends.
func (p *polledStream) read(ctx context.Context, count func(int)) {
	defer p.end()
	buf := make([]byte, 32<<10)
	for {
		n, err := p.target.Read(buf)
		if n > 0 {
			count(n)
			if p.quota.down.WaitN(ctx, n) != nil || !p.append(ctx, buf[:n]) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// append waits for room, then adds b; false when the stream has ended.
func (p *polledStream) append(ctx context.Context, b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.down) > pollBuffer && !p.ended {
		if !p.wait(ctx, nil) {
			return false
		}
	}
	if p.ended {
		return false
	}
	p.down = append(p.down, b...)
	p.signal()
	return true
}

// wait releases the lock until the next change, ctx's end or the timer.
func (p *polledStream) wait(ctx context.Context, timer <-chan time.Time) bool {
	changed := p.changed
	p.mu.Unlock()
	defer p.mu.Lock()
	select {
	case <-changed:
		return true
	case <-timer:
		return false
	case <-ctx.Done():
		return false
	}
}

func (p *polledStream) signal() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *polledStream) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.ended = true
		p.signal()
	}
	_ = p.target.Close()
}

// find gives the stream that a request names and its offset.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (p *polledStream, offset int64, ok bool) {
	w.Header().Set("Cache-Control", "no-store")
	s.polled.mu.Lock()
	p = s.polled.byID[r.PathValue("id")]
	s.polled.mu.Unlock()
	if p == nil {
		w.WriteHeader(http.StatusGone)
		return nil, 0, false
	}
	offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
	if r.Method != http.MethodDelete && (err != nil || offset < 0) {
		protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemBadRequest, "offset"))
		return nil, 0, false
	}
	p.mu.Lock()
	p.asked = time.Now()
	p.mu.Unlock()
	return p, offset, true
}

// sendPolled takes bytes for the target. A repeated request is recognised by
// its offset.
func (s *Server) sendPolled(w http.ResponseWriter, r *http.Request) {
	p, offset, ok := s.find(w, r)
	if !ok {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, protocol.MaxTunnelChunk))
	if err != nil {
		protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemTooLarge, ""))
		return
	}
	p.up.Lock()
	defer p.up.Unlock()
	skip := p.upOffset - offset
	if skip < 0 {
		protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemBadRequest, "bytes before this offset are missing"))
		return
	}
	if skip < int64(len(body)) {
		rest := body[skip:]
		if p.quota.up.WaitN(r.Context(), len(rest)) != nil {
			return
		}
		_ = p.target.SetWriteDeadline(time.Now().Add(pollSilence))
		n, err := p.target.Write(rest)
		p.upOffset += int64(n)
		s.count("up")(n)
		if err != nil {
			p.end()
			w.WriteHeader(http.StatusGone)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// receivePolled gives the bytes from an offset on, waiting for the first.
func (s *Server) receivePolled(w http.ResponseWriter, r *http.Request) {
	p, offset, ok := s.find(w, r)
	if !ok {
		return
	}
	timer := time.NewTimer(pollWait)
	defer timer.Stop()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()

	p.mu.Lock()
	if offset < p.base || offset > p.base+int64(len(p.down)) {
		p.mu.Unlock()
		protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemBadRequest, "no bytes at this offset"))
		return
	}
	if got := offset - p.base; got > 0 {
		p.down = append(p.down[:0], p.down[got:]...)
		p.base = offset
		p.signal()
	}
	for len(p.down) == 0 && !p.ended && p.wait(ctx, timer.C) {
	}
	chunk := append([]byte(nil), p.down[:min(len(p.down), protocol.MaxTunnelChunk)]...)
	ended := p.ended
	p.mu.Unlock()

	switch {
	case len(chunk) > 0:
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(chunk)
	case ended:
		s.polled.forget(r.PathValue("id"))
		w.WriteHeader(http.StatusGone)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// closePolled ends a stream.
func (s *Server) closePolled(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := s.find(w, r); !ok {
		return
	}
	s.polled.forget(r.PathValue("id"))
	w.WriteHeader(http.StatusNoContent)
}

// forget ends a stream. Until then it counts, though its target may have ended
// it long before: what that has sent is kept for the client.
func (t *polledStreams) forget(id string) {
	t.mu.Lock()
	p := t.byID[id]
	delete(t.byID, id)
	t.mu.Unlock()
	if p != nil {
		p.end()
		p.release()
	}
}

// sweep forgets streams whose client has stopped asking, until ctx ends.
func (t *polledStreams) sweep(ctx context.Context) {
	tick := time.NewTicker(pollSilence / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, id := range t.silent(now) {
				t.forget(id)
			}
		}
	}
}

// silent lists the streams whose client has stopped asking.
func (t *polledStreams) silent(now time.Time) (ids []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, p := range t.byID {
		p.mu.Lock()
		if now.Sub(p.asked) > pollSilence {
			ids = append(ids, id)
		}
		p.mu.Unlock()
	}
	return ids
}
