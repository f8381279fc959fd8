package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"causeway/client/connect"
	"causeway/internal/peer"
	"causeway/protocol"
)

const (
	// mediaBudget bounds how long media connections may take to get ready, from
	// when the control channel stands: the router may be slow before that.
	mediaBudget = 10 * time.Second
	// slowMedia is how much longer those get that the router has answered on.
	slowMedia = 15 * time.Second
)

// An admission is one stay at one router: what the four phases led to.
type admission struct {
	answer  protocol.JoinAnswer
	links   []*link
	slots   map[protocol.SlotID]place
	control *connect.Control
	way     *connect.Network // by which the router is reached
	welcome *protocol.Welcome
	clock   routerClock
	cancel  context.CancelFunc // ends the links
	wake    chan struct{}      // a link has changed
	follows *succession        // nil for the first

	// What follows is its meeting's own goroutine's.
	lostAt time.Time // when the control channel broke; zero while it stands
	parted bool      // the router has said farewell
}

// A place is where a slot is.
type place struct {
	link *link
	slot *incoming
}

func newAdmission(way *connect.Network, s *succession) *admission {
	return &admission{slots: map[protocol.SlotID]place{}, way: way, follows: s, wake: make(chan struct{}, 1), cancel: func() {}}
}

// rouse tells whoever looks after the admission that a link has changed; it
// never blocks.
func (a *admission) rouse() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// admit goes through the four phases; as the successor of an earlier
// admission, if s is not nil, it comes back as the same participant. life
// bounds the admission, ctx how long getting it may take.
func (m *Meeting) admit(ctx, life context.Context, s *succession) (*admission, error) {
	token, zone := m.identity()
	pkg, err := connect.Lookup(ctx, m.network, m.link, m.lookupRequest(token), m.recorder)
	if err != nil {
		return nil, err
	}
	m.identify(pkg)
	survey, err := connect.Reach(ctx, m.network, pkg, zone, m.recorder)
	if err != nil {
		return nil, err
	}
	defer survey.Close()
	a := newAdmission(survey.Network(), s)
	plans, request := m.request(s)
	if a.answer, err = connect.Join(ctx, survey, pkg.Token, request, m.recorder); err != nil {
		return nil, err
	}
	if err := m.settleIn(ctx, life, a, plans, m.ladder(a, roundTrip(survey, a.answer.Controller))); err != nil {
		return nil, err
	}
	return a, nil
}

// readmit is admit for a successor: it knows the zones and the way to them,
// and goes right to the router's choice.
func (m *Meeting) readmit(ctx, life context.Context, s *succession) (*admission, error) {
	a := newAdmission(s.way, s)
	plans, request := m.request(s)
	token, zones := m.known(s.resume.Zone)
	var err error
	if a.answer, err = connect.Rejoin(ctx, s.way, zones, token, request, m.recorder); err != nil {
		return nil, err
	}
	if err := m.settleIn(ctx, life, a, plans, m.ladder(a, s.rtt)); err != nil {
		return nil, err
	}
	return a, nil
}

// request makes the request to be let in, with fresh streams.
func (m *Meeting) request(s *succession) ([]*plan, protocol.JoinRequest) {
	plans := plans(m.tracks, protocol.AudioSlots, m.options.VideoSlots, m.options.Receive != nil)
	request := protocol.JoinRequest{Client: m.options.info()}
	if s != nil {
		request.Resume = &s.resume
	}
	for _, p := range plans {
		request.Offers.Set(p.kind, p.offer(m.certificate.Fingerprint(), m.Self().ID))
	}
	return plans, request
}

// settleIn opens the connections to the router that admitted us. On error
// nothing is left of the admission.
func (m *Meeting) settleIn(ctx, life context.Context, a *admission, plans []*plan, l *ladder) error {
	m.recorder.Set(func(r *protocol.Report) {
		r.Zone, r.Controller, r.MMR = a.answer.Zone, a.answer.Controller, a.answer.MMR
	})
	m.recorder.Begin(protocol.PhaseMedia, time.Now())
	err := m.enter(ctx, life, a, plans, l)
	m.recordMedia(a, err)
	if err != nil {
		m.close(a)
		return err
	}
	m.rememberRung(a, a.links[0].snapshot().rung)
	return nil
}

// enter opens the media connections and, meanwhile, the control channel. A
// successor takes over as soon as its sound is ready.
func (m *Meeting) enter(ctx, life context.Context, a *admission, plans []*plan, l *ladder) error {
	life, a.cancel = context.WithCancel(life)
	attaching, giveUp := context.WithCancel(ctx)
	defer giveUp()
	attached := make(chan error, 1)
	go func() { attached <- m.attach(attaching, a) }()
	err := m.dialMedia(ctx, life, a, plans, l)
	if err != nil {
		giveUp()
	}
	if e := <-attached; err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	links := a.links
	if a.follows != nil {
		links = links[:1]
	}
	err = m.awaitMedia(ctx, a, links, mediaBudget)
	if errors.Is(err, context.DeadlineExceeded) && answered(links) {
		err = m.awaitMedia(ctx, a, links, slowMedia)
	}
	return err
}

// answered reports whether the router has answered on all connections.
func answered(links []*link) bool {
	return !slices.ContainsFunc(links, func(l *link) bool { return l.snapshot().rung == "" })
}

// attach opens the control channel and says at once what we send and what we
// want to see.
func (m *Meeting) attach(ctx context.Context, a *admission) error {
	if a.follows != nil && !a.follows.commit() {
		return context.Canceled
	}
	token, _ := m.identity()
	hello := protocol.Hello{Session: a.answer.Session, Token: token}
	control, welcome, way, err := connect.Attach(ctx, a.network(m), a.answer.ControlURL, hello, m.recorder)
	m.mu.Lock()
	a.control, a.welcome, a.way = control, welcome, way
	wants := m.wants
	m.mu.Unlock()
	if err != nil {
		return err
	}
	a.clock = routerClock{welcome.NowMS, time.Now()}
	_ = control.Send(m.state()) // fails only if the channel has ended again
	if len(wants) > 0 {
		_ = control.Send(protocol.Want{Slots: wants})
	}
	return nil
}

// dialMedia starts the media connections in the order of their importance.
func (m *Meeting) dialMedia(ctx, life context.Context, a *admission, plans []*plan, ladder *ladder) error {
	for i, p := range plans {
		if i > 0 && !a.stagger(ctx, a.links[i-1]) {
			return protocol.Wrap(protocol.ProblemMediaFailed, ctx.Err())
		}
		l, err := dialLink(life, p, a.answer.Answers.Of(p.kind), linkConfig{
			certificate: m.certificate, ladder: ladder, cname: m.Self().ID, wake: a.rouse, log: m.options.Log,
			emit: func(f Frame) bool { return m.splicer.take(a, f, time.Now()) },
		})
		if err != nil {
			return protocol.Wrap(protocol.ProblemMediaFailed, err)
		}
		a.links = append(a.links, l)
		for _, s := range l.slots {
			a.slots[s.id] = place{l, s}
		}
		if m.publisher != nil {
			m.publisher.connect(l, p.tracks, p.streams)
		}
	}
	return nil
}

// stagger waits until the connection before is ready, but for kindDelay at
// most; false: ctx ended first.
func (a *admission) stagger(ctx context.Context, before *link) bool {
	enough := time.NewTimer(kindDelay)
	defer enough.Stop()
	for before.snapshot().ready.IsZero() {
		select {
		case <-a.wake:
		case <-enough.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// awaitMedia waits until media connections are ready, but only so long.
func (m *Meeting) awaitMedia(ctx context.Context, a *admission, links []*link, long time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	for {
		waiting := false
		for _, l := range links {
			s := l.snapshot()
			if s.closed {
				return protocol.Wrap(protocol.ProblemMediaFailed, fmt.Errorf("%s: %w", l.kind, orClosed(s.err)))
			}
			waiting = waiting || s.ready.IsZero()
		}
		if !a.links[0].snapshot().ready.IsZero() && m.publisher != nil && !m.publisher.once() {
			m.startFeed() // sound need not wait for pictures
		}
		if !waiting {
			return nil
		}
		select {
		case <-a.wake:
		case <-ctx.Done():
			return protocol.Wrap(protocol.ProblemMediaFailed, fmt.Errorf("not ready in time: %w", ctx.Err()))
		}
	}
}

func orClosed(err error) error {
	if err == nil {
		return errors.New("the router closed the connection")
	}
	return err
}

// recordMedia ends phase 4 in the report.
func (m *Meeting) recordMedia(a *admission, err error) {
	now := time.Now()
	for _, l := range a.links {
		s, stats := l.snapshot(), l.conn.Stats()
		carries := s.rung
		switch {
		case s.ready.IsZero() && err == nil:
			continue // a successor does not wait for it
		case s.ready.IsZero():
			carries = ""
		}
		for _, t := range l.tries.list(carries, s.ready.Sub(l.dialled), now) {
			t.Zone, t.Media = a.answer.Zone, string(l.kind)
			if t.OK {
				t.RTTMS = milliseconds(stats.RTT)
				if t.Transport == string(protocol.UDP) && stats.Remote.IsValid() {
					t.Target = stats.Remote.String() // of several, the one that answered
				}
			}
			m.recorder.Attempt(protocol.PhaseMedia, t)
		}
	}
	m.recorder.End(protocol.PhaseMedia, err, now)
}

// close ends an admission and waits for its goroutines.
func (m *Meeting) close(a *admission) {
	if m.publisher != nil {
		m.publisher.disconnect(a.links)
	}
	for _, l := range a.links {
		l.conn.Close()
	}
	if a.control != nil {
		a.control.Close()
	}
	a.cancel()
	for _, l := range a.links {
		<-l.conn.Done()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range a.links {
		m.past[l.kind] = m.total(l)
	}
}

// certificate of a participant's media connections.
func newCertificate() (*peer.Certificate, error) {
	c, err := peer.NewCertificate()
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return c, nil
}
