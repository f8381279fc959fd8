package mmr

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"causeway/internal/mmr/control"
	"causeway/protocol"
)

// The pace of a drain.
const (
	drainLook = 100 * time.Millisecond
	// leastMoving participants, or this share of all, move at a time: the
	// routers that take them should not feel it.
	leastMoving = 4
	movingShare = 25
	// moveTime is how long a participant may take. One that takes longer makes
	// room for others, and is asked again.
	moveTime = 10 * time.Second
	// farewellTime is how long those stay connected who were told at the
	// deadline that it is over: they move all at once now.
	farewellTime = 3 * time.Second
)

// A mover has those who are on a router that drains moved in small groups:
// what it is to do next follows from who is there and whom it has told. It is
// pure.
type mover struct {
	most int                  // participants seen at a time
	told map[string]time.Time // by session
}

// next are the sessions that are to move now, given those with a control
// channel.
func (m *mover) next(now time.Time, present []string) []string {
	maps.DeleteFunc(m.told, func(session string, _ time.Time) bool { return !slices.Contains(present, session) })
	m.most = max(m.most, len(present))
	room := max(leastMoving, m.most/movingShare)
	var waiting []string
	for _, session := range present {
		switch told, ok := m.told[session]; {
		case !ok:
			waiting = append(waiting, session)
		case now.Sub(told) < moveTime:
			room--
		default:
			waiting = append(waiting, session)
		}
	}
	// Whoever was never told goes before those who are slow.
	slices.SortStableFunc(waiting, func(a, b string) int { return m.told[a].Compare(m.told[b]) })
	waiting = waiting[:max(0, min(room, len(waiting)))]
	for _, session := range waiting {
		m.told[session] = now
	}
	return waiting
}

// attached are the control channels, by session.
type attached struct {
	mu       sync.Mutex
	channels map[string]*control.Channel
}

// add makes the session that it returns leave when its channel is gone.
func (a *attached) add(session string, ch *control.Channel, s control.Session) control.Session {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.channels == nil {
		a.channels = map[string]*control.Channel{}
	}
	a.channels[session] = ch
	return attachedSession{s, a, session}
}

// attachedSession is a session that is known to be attached.
type attachedSession struct {
	control.Session
	to      *attached
	session string
}

// Detached implements control.Session.
func (s attachedSession) Detached(ch *control.Channel) {
	s.to.mu.Lock()
	if s.to.channels[s.session] == ch {
		delete(s.to.channels, s.session)
	}
	s.to.mu.Unlock()
	s.Session.Detached(ch)
}

// sessions lists those that are attached, in an order of their own.
func (a *attached) sessions() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.channels))
}

// channel is the control channel of a session; nil if it has none any more.
func (a *attached) channel(session string) *control.Channel {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.channels[session]
}

// Drain takes the router out of service, as a request on the bus does: Run
// returns when everybody has been moved, or when the time of the configuration
// is up.
func (s *Server) Drain(by string) {
	_, _ = s.askedToDrain(context.Background(), protocol.DrainRequest{By: by}) // never fails
}

// askedToDrain answers zone.Z.mmr.M.drain.
func (s *Server) askedToDrain(_ context.Context, req protocol.DrainRequest) (protocol.DrainState, error) {
	state := s.drain.Ask(req, s.left(), time.Now())
	s.log.Info("asked to drain", "draining", state.Draining, "left", state.Left, "deadline_ms", state.DeadlineMS, "by", req.By)
	if s.drain.On() {
		s.standbys.end(false)
	}
	signal(s.announcer.asked) // the controllers should know at once
	s.registry.wake()         // and the other routers
	signal(s.draining)
	return state, nil
}

// left is how many participants are here.
func (s *Server) left() int {
	n, _ := s.registry.participants("", "")
	return n
}

// health is what the router says of itself while it runs.
func (s *Server) health() protocol.Health {
	if s.drain.On() {
		return protocol.Draining
	}
	return protocol.Healthy
}

// drained returns when the router has drained, or ctx has ended.
func (s *Server) drained(ctx context.Context) {
	var moving sync.WaitGroup
	defer moving.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	moving.Go(func() { s.moveEverybody(ctx) })
	if s.drain.Wait(ctx, s.left) != nil || s.left() == 0 {
		return
	}
	s.log.Warn("the time to drain is up", "left", s.left())
	for _, session := range s.attached.sessions() {
		if ch := s.attached.channel(session); ch != nil {
			ch.End(protocol.Farewell{Reason: protocol.FarewellMoved})
		}
	}
	s.untilEmpty(ctx, farewellTime)
}

// untilEmpty waits until nobody is left, for as long as limit.
func (s *Server) untilEmpty(ctx context.Context, limit time.Duration) {
	enough := time.After(limit)
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for s.left() > 0 {
		select {
		case <-look.C:
		case <-enough:
			return
		case <-ctx.Done():
			return
		}
	}
}

// moveEverybody asks participants to move, whenever the router drains.
func (s *Server) moveEverybody(ctx context.Context) {
	look := time.NewTicker(drainLook)
	defer look.Stop()
	m := mover{told: map[string]time.Time{}}
	for {
		tick := look.C
		if !s.drain.On() {
			tick, m = nil, mover{told: map[string]time.Time{}}
		}
		select {
		case now := <-tick:
			s.moveSome(&m, now)
		case <-s.draining:
			s.moveSome(&m, time.Now())
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) moveSome(m *mover, now time.Time) {
	state := s.drain.State(0, now)
	if state == nil {
		return
	}
	for _, session := range m.next(now, s.attached.sessions()) {
		if ch := s.attached.channel(session); ch != nil {
			ch.Send(protocol.Move{DeadlineMS: state.DeadlineMS, Reason: protocol.ResumeDrain})
		}
	}
}
