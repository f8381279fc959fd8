package relay

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"causeway/internal/mmr/forward"
	"causeway/internal/peer"
	"causeway/protocol"
)

// Times of dialling.
const (
	firstRetry = 100 * time.Millisecond // after a failure; doubles up to
	lastRetry  = 5 * time.Second
	steady     = 10 * time.Second // a connection that lasted so long is dialled again at once
	lookEvery  = time.Second
	upWithin   = 8 * time.Second  // a connection that is not up by then is dialled anew
	answered   = 15 * time.Second // a connection from whom this router would not dial is kept so long
	never      = time.Hour        // while the meeting has no other leg
)

// A Mesh is the relays of one meeting. Its methods may be called from any
// goroutine and do not wait for the network.
type Mesh struct {
	relays  *Relays
	meeting string
	epoch   int64
	loudest *forward.Loudest
	wake    func()
	ctx     context.Context // until Close
	cancel  context.CancelFunc
	news    chan struct{} // a token when there is something to look at

	mu      sync.Mutex
	own     []*forward.Source
	leaving bool
	legs    map[name]*leg
	routes  routes
	started bool         // run runs: since there was another leg
	stale   bool         // the plans are
	ending  []*peer.Conn // closed, perhaps not over yet
	running sync.WaitGroup

	pulse pulse
}

// Meeting makes the relays of a meeting, whose leg on this router began at
// epoch. loudest is where its microphones
// compete, own ones and those of other legs. wake is called, possibly with a
// shard held, when what Up reports may have changed; it must not block. Close
// must be called when the leg is over.
func (r *Relays) Meeting(id string, epoch int64, loudest *forward.Loudest, wake func()) *Mesh {
	ctx, cancel := context.WithCancel(r.ctx)
	m := &Mesh{
		relays: r, meeting: id, loudest: loudest, wake: wake, ctx: ctx, cancel: cancel,
		news: make(chan struct{}, 1), legs: map[name]*leg{}, epoch: epoch,
		routes: routes{self: r.self()}, pulse: pulse{self: r.self()},
	}
	r.add(m)
	return m
}

// poke makes the mesh look at what there is. It never blocks.
func (m *Mesh) poke() {
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// Set says what there is: the sources of this leg's own participants, and the
// other legs with theirs. Sources that the mesh makes for streams are there
// when Set returns, and start out muted, as all do: the roster says who is
// heard and seen (forward.Source.SetMuted). Those of streams that are not
// listed any more are retired.
func (m *Mesh) Set(own []*forward.Source, legs []Leg) {
	m.mu.Lock()
	if m.ctx.Err() != nil {
		m.mu.Unlock()
		return
	}
	m.own, m.stale = slices.Clone(own), true
	var gone []*forward.Source
	listed := map[name]bool{}
	for i := range legs {
		told := &legs[i]
		n := name{Zone: told.Zone, MMR: told.MMR}
		if n == m.relays.self() || listed[n] || len(listed) >= MaxLegs {
			continue
		}
		listed[n] = true
		l := m.legs[n]
		if l == nil {
			l = &leg{name: n}
			m.legs[n] = l
			m.relays.meet(n, time.Now())
		}
		gone = m.update(l, told, gone)
	}
	for n, l := range m.legs {
		if listed[n] || l.gone {
			continue
		}
		l.gone = true
		for _, s := range l.sources {
			gone = append(gone, s)
		}
		l.sources = nil
		if !m.passes(l) {
			m.leave(l)
		}
	}
	m.route(time.Now())
	if len(m.legs) > 0 && !m.started {
		m.started = true
		m.relays.start(m.run)
	}
	m.mu.Unlock()
	for _, s := range gone {
		s.Retire()
	}
	m.poke()
}

// SetLeaving says whether this router is about to go, so that media should not
// come by it if they can come otherwise. It counts from the next Set on.
func (m *Mesh) SetLeaving(leaving bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leaving = leaving
}

// leave forgets a leg. m.mu is held.
func (m *Mesh) leave(l *leg) {
	delete(m.legs, l.name)
	m.part(l)
	now := time.Now()
	if l.heldUp {
		m.relays.settled(l.name, false, now)
	}
	m.relays.part(l.name, now)
}

// Source returns what a stream of another leg brings, for slots to take; nil
// if Set has not listed it.
func (m *Mesh) Source(zone, mmr string, stream uint32) *forward.Source {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.legs[name{Zone: zone, MMR: mmr}]; l != nil {
		return l.sources[stream]
	}
	return nil
}

// Up reports whether a leg's router has been heard in the last two seconds or
// so, over any of the connections with it.
func (m *Mesh) Up(zone, mmr string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.legs[name{Zone: zone, MMR: mmr}]
	return l != nil && !l.gone && l.up()
}

// Life is what media tell of a leg's router, as long as there are connections
// with it.
func (m *Mesh) Life(zone, mmr string) Life {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.legs[name{Zone: zone, MMR: mmr}]
	if l == nil || l.gone || !l.up() {
		return Unknown
	}
	return m.relays.vital(l.name).life()
}

// Alive reports whether a leg's router lives, as far as media tell: it is up,
// or routers in between have heard it lately.
func (m *Mesh) Alive(zone, mmr string) bool {
	return m.Up(zone, mmr) || m.pulse.alive(name{Zone: zone, MMR: mmr}, time.Now())
}

// Close ends the meeting's relays, those by which media of others come to
// others after a moment, in which they find another way. It does not wait;
// Relays.Close does.
func (m *Mesh) Close() {
	m.relays.forget(m)
	m.mu.Lock()
	middle := false
	for _, l := range m.legs {
		for _, o := range m.legs {
			middle = middle || o != l && l.up() && m.routes.by(l.name, m.routes.self, o.name)
		}
	}
	m.mu.Unlock()
	if !middle || !m.relays.lingers(m.cancel) {
		m.cancel()
	}
}

// run tends the relays until the meeting is over.
func (m *Mesh) run() {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for m.ctx.Err() == nil {
		timer.Reset(m.look(time.Now()))
		select {
		case <-m.ctx.Done():
		case <-m.news:
		case <-timer.C:
		}
	}
	m.end()
}

// end hangs up and waits for everything.
func (m *Mesh) end() {
	m.mu.Lock()
	var gone []*forward.Source
	for _, l := range m.legs {
		for _, s := range l.sources {
			gone = append(gone, s)
		}
		m.leave(l)
	}
	m.mu.Unlock()
	for _, s := range gone {
		s.Retire()
	}
	m.running.Wait()
	m.mu.Lock()
	ending := m.ending
	m.mu.Unlock()
	for _, c := range ending {
		<-c.Done()
	}
}

// look does what is due, and returns when to look again.
func (m *Mesh) look(now time.Time) time.Duration {
	m.mu.Lock()
	next := never
	m.settle(now)
	for _, l := range m.legs {
		next = min(next, m.tend(l, now))
	}
	m.ending = slices.DeleteFunc(m.ending, over)
	settle := m.plan()
	m.mu.Unlock()
	for _, c := range settle {
		m.relays.cfg.Router.Settle(int(c.shard.Load()), c.trunk, now)
	}
	return next
}

func over(c *peer.Conn) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// tend hangs up what is lost and dials what is missing. m.mu is held.
func (m *Mesh) tend(l *leg, now time.Time) time.Duration {
	next := lookEvery
	if l.gone && (!l.up() || !m.passes(l)) {
		m.leave(l)
		return next
	}
	if !m.routes.near(l.name) {
		if now.After(l.until) {
			m.part(l)
		}
		return next
	}
	dial := m.routes.present.Near(m.routes.self, l.name) && m.dials(l)
	var missing []protocol.MediaKind
	for i, kind := range protocol.MediaKinds {
		s := &l.sides[i]
		if s.conn != nil && (s.conn.lost.Load() || !s.conn.up.Load() && now.Sub(s.conn.made) >= upWithin) {
			m.lose(s, now)
			m.relays.lost.Add(1)
		}
		if s.conn != nil || !dial {
			continue
		}
		if wait := s.retry.Sub(now); wait > 0 {
			next = min(next, wait)
		} else {
			missing = append(missing, kind)
		}
	}
	if len(missing) > 0 && !l.asking {
		l.asking = true
		m.running.Go(func() { m.dial(l, missing) })
	}
	return next
}

// lose gives up a connection that is lost. m.mu is held.
func (m *Mesh) lose(s *side, now time.Time) {
	if s.conn.lasted(now) >= steady {
		s.backoff, s.retry = 0, time.Time{}
	} else {
		s.failed(now, rand.Float64())
	}
	m.hangUp(s)
	m.wake()
}

// failed puts the next attempt off, by up to a quarter more or less by
// chance, so that routers that lost each other together do not dial together.
func (s *side) failed(now time.Time, chance float64) {
	s.backoff = min(max(2*s.backoff, firstRetry), lastRetry)
	s.retry = now.Add(time.Duration(float64(s.backoff) * (0.75 + chance/2)))
}

// hangUp closes a connection. m.mu is held.
func (m *Mesh) hangUp(s *side) {
	if c := s.conn; c != nil {
		s.conn = nil
		c.peer.Close()
		m.ending = append(m.ending, c.peer)
	}
}
