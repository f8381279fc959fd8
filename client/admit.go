package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"causeway/client/connect"
	"causeway/internal/peer"
	"causeway/protocol"
)

// mediaBudget bounds how long media connections may take to get ready.
const mediaBudget = 10 * time.Second

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
}

// A place is where a slot is.
type place struct {
	link *link
	slot *incoming
}

// admit goes through the four phases. With the token of an earlier admission
// it comes back as the same participant. life bounds the admission, ctx how
// long getting it may take.
func (m *Meeting) admit(ctx, life context.Context) (*admission, error) {
	token, zone := m.identity()
	pkg, err := connect.Lookup(ctx, m.network, m.link, protocol.LookupRequest{
		Name: m.options.Name, Token: token, Client: m.options.info(),
	}, m.recorder)
	if err != nil {
		return nil, err
	}
	m.identify(pkg)
	survey, err := connect.Reach(ctx, m.network, pkg, zone, m.recorder)
	if err != nil {
		return nil, err
	}
	defer survey.Close()
	plans := plans(m.tracks, protocol.AudioSlots, m.options.VideoSlots, m.options.Receive != nil)
	request := protocol.JoinRequest{Client: m.options.info()}
	for _, p := range plans {
		request.Offers.Set(p.kind, p.offer(m.certificate.Fingerprint(), pkg.Participant.ID))
	}
	a := &admission{slots: map[protocol.SlotID]place{}, way: survey.Network()}
	if a.answer, err = connect.Join(ctx, survey, pkg.Token, request, m.recorder); err != nil {
		return nil, err
	}
	m.recorder.Set(func(r *protocol.Report) {
		r.Zone, r.Controller, r.MMR = a.answer.Zone, a.answer.Controller, a.answer.MMR
	})
	m.recorder.Begin(protocol.PhaseMedia, time.Now())
	err = m.enter(ctx, life, a, plans, m.ladder(a, survey), pkg)
	m.recordMedia(a, err)
	if err != nil {
		m.close(a)
		return nil, err
	}
	m.rememberRung(a, a.links[0].snapshot().rung)
	return a, nil
}

// enter opens the media connections and, meanwhile, the control channel.
func (m *Meeting) enter(ctx, life context.Context, a *admission, plans []*plan, l *ladder, pkg protocol.Package) error {
	life, a.cancel = context.WithCancel(life)
	start := time.Now()
	attaching, giveUp := context.WithCancel(ctx)
	defer giveUp()
	attached := make(chan error, 1)
	go func() {
		hello := protocol.Hello{Session: a.answer.Session, Token: pkg.Token}
		control, welcome, way, err := connect.Attach(attaching, a.network(m), a.answer.ControlURL, hello, m.recorder)
		m.mu.Lock()
		a.control, a.welcome, a.way = control, welcome, way
		m.mu.Unlock()
		attached <- err
	}()
	err := m.dialMedia(ctx, life, a, plans, l, pkg)
	if err != nil {
		giveUp()
	}
	if e := <-attached; err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	a.clock = routerClock{a.welcome.NowMS, time.Now()}
	ctx, cancel := context.WithDeadline(ctx, start.Add(mediaBudget))
	defer cancel()
	return m.awaitMedia(ctx, a)
}

// dialMedia starts the media connections in the order of their importance.
func (m *Meeting) dialMedia(ctx, life context.Context, a *admission, plans []*plan, ladder *ladder, pkg protocol.Package) error {
	for i, p := range plans {
		if i > 0 && !m.stagger(ctx, a.links[i-1]) {
			return protocol.Wrap(protocol.ProblemMediaFailed, ctx.Err())
		}
		l, err := dialLink(life, p, a.answer.Answers.Of(p.kind), linkConfig{
			certificate: m.certificate, ladder: ladder, cname: pkg.Participant.ID, emit: m.emit, wake: m.rouse, log: m.options.Log,
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
func (m *Meeting) stagger(ctx context.Context, before *link) bool {
	enough := time.NewTimer(kindDelay)
	defer enough.Stop()
	for before.snapshot().ready.IsZero() {
		select {
		case <-m.wake:
		case <-enough.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// awaitMedia waits until all media connections are ready.
func (m *Meeting) awaitMedia(ctx context.Context, a *admission) error {
	for {
		waiting := false
		for _, l := range a.links {
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
		case <-m.wake:
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
		if s.ready.IsZero() {
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
	if a.control != nil {
		a.control.Close()
	}
	for _, l := range a.links {
		l.conn.Close()
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

// identity is what a participant that comes back presents: its token and the
// zone it was in.
func (m *Meeting) identity() (token, zone string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.token, m.zone
}

func (m *Meeting) identify(pkg protocol.Package) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token, m.self, m.info, m.browser = pkg.Token, pkg.Participant, pkg.Meeting, pkg.WebClient
}

// certificate of a participant's media connections.
func newCertificate() (*peer.Certificate, error) {
	c, err := peer.NewCertificate()
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return c, nil
}
