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
	err = m.enter(ctx, life, a, plans, pkg)
	m.recordMedia(a, err)
	if err != nil {
		m.close(a)
		return nil, err
	}
	m.publish(a, plans)
	return a, nil
}

// enter opens the media connections and, while they get ready, the control
// channel.
func (m *Meeting) enter(ctx, life context.Context, a *admission, plans []*plan, pkg protocol.Package) error {
	life, a.cancel = context.WithCancel(life)
	for _, p := range plans {
		l, err := dialLink(life, p, a.answer.Answers.Of(p.kind), linkConfig{
			certificate: m.certificate, cname: pkg.Participant.ID, emit: m.emit, wake: m.rouse, log: m.options.Log,
		})
		if err != nil {
			return protocol.Wrap(protocol.ProblemMediaFailed, err)
		}
		a.links = append(a.links, l)
		for _, s := range l.slots {
			a.slots[s.id] = place{l, s}
		}
	}
	start := time.Now()
	hello := protocol.Hello{Session: a.answer.Session, Token: pkg.Token}
	var err error
	a.control, a.welcome, a.way, err = connect.Attach(ctx, a.way, a.answer.ControlURL, hello, m.recorder)
	if err != nil {
		return err
	}
	a.clock = routerClock{a.welcome.NowMS, time.Now()}
	ctx, cancel := context.WithDeadline(ctx, start.Add(mediaBudget))
	defer cancel()
	return m.awaitMedia(ctx, a)
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
	for _, l := range a.links {
		s, stats := l.snapshot(), l.conn.Stats()
		t := protocol.Attempt{
			Transport: string(protocol.UDP), Via: "direct", Zone: a.answer.Zone, Media: string(l.kind),
			RTTMS: milliseconds(stats.RTT), OK: !s.ready.IsZero(),
		}
		if t.Target = l.target; stats.Remote.IsValid() {
			t.Target = stats.Remote.String()
		}
		if t.OK {
			t.ConnectMS = milliseconds(s.ready.Sub(l.dialled))
		} else if s.err != nil {
			t.Error = s.err.Error()
		} else {
			t.Error = "nothing answered"
		}
		m.recorder.Attempt(protocol.PhaseMedia, t)
	}
	m.recorder.End(protocol.PhaseMedia, err, time.Now())
}

// publish gives the feed its new connections.
func (m *Meeting) publish(a *admission, plans []*plan) {
	if m.publisher == nil {
		return
	}
	for i, p := range plans {
		m.publisher.connect(a.links[i], p.tracks, p.streams)
	}
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
