package mmr

import (
	"context"
	"sync"
	"time"

	"causeway/internal/mmr/meeting"
	"causeway/protocol"
)

// Tombstones: how long an ended meeting admits nobody, which is longer than
// any join token lives, and how many are kept at most.
const (
	tombstoneFor  = 24 * time.Hour
	maxTombstones = 1 << 16
)

// registry knows the meetings that the router carries, the sessions in them,
// and the meetings that have ended.
type registry struct {
	make func(context.Context, protocol.MeetingInfo) *meeting.Meeting // a meeting that Run is to host
	span func(context.Context, *meeting.Meeting)                      // lets it hear its other legs

	mu       sync.Mutex
	ctx      context.Context // of Run; nil while the router takes nobody
	running  sync.WaitGroup
	meetings map[string]*hosted
	sessions map[string]entry
	ended    map[string]time.Time
}

// hosted is a meeting that the router carries.
type hosted struct {
	meeting *meeting.Meeting
	count   int
}

// entry is a session: where it is, and whose it is.
type entry struct {
	meeting     *meeting.Meeting
	id          string // of the meeting
	participant string
}

func newRegistry(
	make func(context.Context, protocol.MeetingInfo) *meeting.Meeting, span func(context.Context, *meeting.Meeting),
) *registry {
	return &registry{
		make:     make,
		span:     span,
		meetings: map[string]*hosted{},
		sessions: map[string]entry{},
		ended:    map[string]time.Time{},
	}
}

// start lets meetings run until ctx ends.
func (r *registry) start(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx = ctx
}

// stop takes no more meetings and waits for those that run; their context
// must have ended.
func (r *registry) stop() {
	r.mu.Lock()
	r.ctx = nil
	r.mu.Unlock()
	r.running.Wait()
}

// open returns the meeting, making it if the router does not carry it yet.
func (r *registry) open(info protocol.MeetingInfo) (*meeting.Meeting, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ctx == nil:
		return nil, protocol.NewProblem(protocol.ProblemMMRUnavailable, "the router is not running")
	case r.isEnded(info.ID):
		return nil, protocol.NewProblem(protocol.ProblemMeetingEnded, "")
	}
	if h := r.meetings[info.ID]; h != nil {
		select {
		case <-h.meeting.Done(): // over, about to be forgotten
		default:
			return h.meeting, nil
		}
	}
	ctx, cancel := context.WithCancel(r.ctx)
	h := &hosted{meeting: r.make(ctx, info)}
	r.meetings[info.ID] = h
	r.running.Go(func() { r.span(ctx, h.meeting) })
	r.running.Go(func() {
		defer cancel()
		h.meeting.Run(ctx)
		r.forget(info.ID, h)
	})
	return h.meeting, nil
}

func (r *registry) forget(id string, h *hosted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.meetings[id] == h {
		delete(r.meetings, id)
	}
}

// carries returns the meeting if the router carries it.
func (r *registry) carries(id string) *meeting.Meeting {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.meetings[id]; h != nil {
		return h.meeting
	}
	return nil
}

// wake lets all meetings look at how things stand.
func (r *registry) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.meetings {
		h.meeting.Wake()
	}
}

// setCount notes how many participants a meeting has.
func (r *registry) setCount(id string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.meetings[id]; h != nil {
		h.count = n
	}
}

// legs lists the meetings and their participants.
func (r *registry) legs() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	legs := make(map[string]int, len(r.meetings))
	for id, h := range r.meetings {
		legs[id] = h.count
	}
	return legs
}

// addSession makes a session known before it is admitted.
func (r *registry) addSession(session string, e entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[session] = e
}

func (r *registry) dropSession(session string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, session)
}

// session finds a session.
func (r *registry) session(session string) (entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.sessions[session]
	return e, ok
}

// participants counts the sessions; has reports whether one of them is the
// participant's already.
func (r *registry) participants(meeting, participant string) (n int, has bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.sessions {
		has = has || e.id == meeting && e.participant == participant
	}
	return len(r.sessions), has
}

// end puts up a meeting's tombstone.
func (r *registry) end(id string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ended) >= maxTombstones {
		oldest, at := "", now
		for e, t := range r.ended {
			if t.Before(at) || oldest == "" {
				oldest, at = e, t
			}
		}
		delete(r.ended, oldest)
	}
	r.ended[id] = now
}

// knowsEnd reports whether a meeting's tombstone is up.
func (r *registry) knowsEnd(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isEnded(id)
}

// isEnded needs r.mu.
func (r *registry) isEnded(id string) bool {
	_, ok := r.ended[id]
	return ok
}

// weather takes down tombstones that are old enough.
func (r *registry) weather(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, at := range r.ended {
		if now.Sub(at) > tombstoneFor {
			delete(r.ended, id)
		}
	}
}
