package client

import (
	"fmt"
	"time"

	"causeway/protocol"
)

const (
	// overlap is how long an admission that another has taken over from brings
	// what the new one does not bring yet, and others what does not reach them
	// by the new one yet, who may be far away. The router keeps it for 2 s.
	overlap      = 1800 * time.Millisecond
	trafficEvery = time.Second
)

// A stay is a participation as the one goroutine that owns it sees it: the
// present admission, the one before while it is being left, and a successor
// on its way.
//
// Whether the router has died, is frozen, asks us to go, or has closed a media
// connection: the next admission comes up beside the present one, which is
// left only then. A router that was only thought dead and is heard again
// meanwhile is stayed with.
type stay struct {
	*Meeting
	now     *admission
	old     *admission // being left; nil if there is none
	oldTill time.Time

	vigil      vigil
	doomed     error // why the present admission is broken; nil if it is not
	doomedAt   time.Time
	succession *succession
	suspicion  bool // the succession is only for what the vigil thinks
	reopening  *reopening
	network    watch
	recorded   time.Time // when traffic was

	leaving  <-chan struct{}
	farewell <-chan time.Time
}

// An ending is why a participation is over.
type ending struct {
	reason protocol.FarewellReason
	err    error
}

func newStay(m *Meeting, a *admission) *stay {
	s := &stay{Meeting: m, now: a, leaving: m.leaving, network: watch{source: m.options.source}}
	s.arrive(false)
	return s
}

// run takes part until it is over.
func (s *stay) run() ending {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		var end *ending
		var next chan succeeded
		var again chan reopened
		if s.succession != nil {
			next = s.succession.result
		}
		if s.reopening != nil {
			again = s.reopening.result
		}
		select {
		case r := <-s.inbox:
			end = s.receive(r)
		case <-s.now.wake:
			s.inspect()
		case now := <-look.C:
			s.look(now)
		case r := <-next:
			end = s.succeeded(r)
		case o := <-again:
			s.reattached(o)
		case <-s.leaving:
			end = s.leave()
		case <-s.farewell:
			end = &ending{reason: protocol.FarewellLeft}
		}
		if end != nil {
			return *end
		}
	}
}

// arrive makes an admission the present one for everybody.
func (s *stay) arrive(live bool) {
	a := s.now
	s.mu.Lock()
	s.Meeting.now, s.zone, s.joined = a, a.answer.Zone, true
	s.mu.Unlock()
	s.splicer.begin(a, live)
	s.tasks.Go(func() { s.listen(a, a.control) })
	s.welcome(a, a.welcome, false)
	s.note(Event{At: time.Now(), Kind: Joined, Text: a.answer.MMR + " in zone " + a.answer.Zone})
}

// receive takes what came over a control channel.
func (s *stay) receive(r received) *ending {
	switch {
	case r.from == s.now && r.channel == s.now.control && r.err == nil:
		return s.handle(r.message)
	case r.from == s.now && r.channel == s.now.control && s.farewell != nil:
		return &ending{reason: protocol.FarewellLeft}
	case r.from == s.now && r.channel == s.now.control:
		s.lost(r.err)
	case r.from == s.old && r.err == nil:
		s.handleOld(r.message)
	}
	return nil
}

// look does what is due.
func (s *stay) look(now time.Time) {
	if now.Sub(s.recorded) >= trafficEvery {
		s.recorded = now
		s.recordTraffic()
		s.forget(now)
	}
	if s.old != nil && now.After(s.oldTill) {
		s.dropOld()
	}
	if s.farewell != nil {
		return
	}
	if s.network.changed(now, s.now) {
		s.networkChanged()
	}
	if s.doomed != nil && now.Sub(s.doomedAt) >= lastWordWait {
		s.goOn(protocol.ResumeMedia, s.doomed)
	}
	s.watchRouter(now)
}

// watchRouter looks whether the router is there.
func (s *stay) watchRouter(now time.Time) {
	signs := s.now.signs()
	if s.succession != nil {
		if s.suspicion && signs.heardSince(s.succession.began) && s.succession.abandon() {
			s.stayOn()
		}
		return
	}
	ask, gone := s.vigil.look(now, signs)
	if ask {
		s.now.control.Ping()
	}
	if gone {
		s.suspicion = true
		s.goOn(protocol.ResumeDead, protocol.NewProblem(protocol.ProblemConnectionLost, "the router is not heard any more"))
	}
}

// stayOn gives up looking for another router, as this one is heard again.
func (s *stay) stayOn() {
	went := s.succession
	s.succession, s.suspicion, s.vigil = nil, false, vigil{}
	s.tasks.Go(func() { <-went.result })
	s.note(Event{At: time.Now(), Kind: Reconnected, Text: "the router is heard again after " + inMS(time.Since(went.began))})
}

// goOn looks for another router, beside this one.
func (s *stay) goOn(reason protocol.ResumeReason, cause error) {
	if s.succession != nil {
		return
	}
	s.note(Event{At: time.Now(), Kind: Reconnecting, Problem: protocol.ProblemOf(cause), Text: "joining again"})
	s.succession = s.succeed(s.now, reason, resumeLimit)
}

// move looks for another router because this one asks us to go.
func (s *stay) move(msg *protocol.Move) {
	if s.succession != nil {
		return
	}
	s.note(Event{At: time.Now(), Kind: Moving, Text: s.now.answer.MMR + " is being taken out of service"})
	s.splicer.remember()
	s.succession = s.succeed(s.now, protocol.ResumeDrain, max(time.Duration(msg.DeadlineMS)*time.Millisecond, stagingTime))
}

// succeeded takes what a succession has come to.
func (s *stay) succeeded(r succeeded) *ending {
	went := s.succession
	s.succession = nil
	switch {
	case r.err == nil:
		s.switchTo(r.next, went)
	case went.resume.Reason == protocol.ResumeDrain && !s.now.parted && s.now.lostAt.IsZero() && s.doomed == nil:
		s.splicer.end()
		s.note(Event{At: time.Now(), Kind: Reconnected, Problem: protocol.ProblemOf(r.err), Text: "staying, as no other router was found"})
	case went.resume.Reason == protocol.ResumeDrain && !final(r.err):
		s.goOn(protocol.ResumeDead, r.err)
	default:
		return &ending{reason: protocol.FarewellLost, err: r.err}
	}
	return nil
}

// switchTo lets an admission take over from the present one.
func (s *stay) switchTo(next *admission, by *succession) {
	now := time.Now()
	if s.reopening != nil {
		s.tasks.Go(s.reopening.end)
		s.reopening = nil
	}
	if s.old != nil {
		s.dropOld()
	}
	live := s.now.signs().media.After(now.Add(-mediaLimit))
	s.old, s.oldTill, s.now = s.now, now.Add(overlap), next
	s.vigil, s.suspicion, s.doomed = vigil{}, false, nil
	s.arrive(live)
	if !live {
		s.dropOld()
	}
	e := Event{At: now, Kind: Reconnected, Text: "joined again"}
	if by.resume.Reason == protocol.ResumeDrain {
		e.Kind, e.Text = Moved, "moved"
	}
	e.Text = fmt.Sprintf("%s at %s in zone %s after %s", e.Text, next.answer.MMR, next.answer.Zone, inMS(now.Sub(by.began)))
	s.note(e)
}

// dropOld leaves the admission that another has taken over from.
func (s *stay) dropOld() {
	old := s.old
	s.old = nil
	s.splicer.end()
	s.tasks.Go(func() { s.close(old) })
}

// lost takes the end of the control channel: it is opened again while media
// goes on.
func (s *stay) lost(err error) {
	a := s.now
	a.lostAt = time.Now()
	if a.parted {
		return // it has said goodbye
	}
	a.hold(true)
	if s.succession == nil || s.suspicion {
		s.note(Event{At: a.lostAt, Kind: Reconnecting, Problem: protocol.ProblemOf(err), Text: "control channel"})
		s.reopening = s.reopen(a)
	}
}

// reattached takes a control channel that was opened again.
func (s *stay) reattached(o reopened) {
	s.reopening = nil
	if o.err != nil {
		s.goOn(protocol.ResumeDead, o.err)
		s.suspicion = false
		return
	}
	a := s.now
	s.mu.Lock()
	old := a.control
	a.control, a.welcome, a.way = o.control, o.welcome, o.way
	s.mu.Unlock()
	a.lostAt = time.Time{}
	a.hold(false)
	s.tasks.Go(old.Close)
	s.tasks.Go(func() { s.listen(a, o.control) })
	s.welcome(a, o.welcome, true)
	s.note(Event{At: time.Now(), Kind: Reconnected, Text: "control channel"})
}

// networkChanged looks at every connection at once: this machine has got
// another address.
func (s *stay) networkChanged() {
	s.note(Event{At: time.Now(), Kind: NetworkChanged, Text: s.network.at.String()})
	s.Meeting.network.Refresh()
	for _, l := range s.now.links {
		l.conn.Nudge()
	}
	if !s.now.lostAt.IsZero() {
		return
	}
	if s.network.vanished() {
		s.now.control.Abort() // TCP would wait for answers to an address that is gone
	} else {
		s.now.control.Ping()
	}
}

func inMS(d time.Duration) string { return d.Round(time.Millisecond).String() }
