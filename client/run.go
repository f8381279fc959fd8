package client

import (
	"context"
	"slices"
	"time"

	"causeway/internal/peer"
	"causeway/protocol"
)

// run owns the participation: it takes what the router says, sees to the
// connections, and winds everything up.
func (m *Meeting) run(a *admission) {
	reason, err := m.stay(a)
	m.cancel()
	m.recordTraffic()
	close(m.frames) // no link is left that emits
	m.tasks.Wait()
	m.network.Close()
	m.mu.Lock()
	m.err = err
	m.mu.Unlock()
	e := Event{At: time.Now(), Kind: Over, Reason: reason}
	if err != nil {
		e.Problem = protocol.ProblemOf(err)
	}
	m.note(e)
	close(m.outbox.events)
	close(m.done)
}

// stay takes part until it is over, through as many admissions as it takes.
// When it returns no admission is left.
func (m *Meeting) stay(a *admission) (protocol.FarewellReason, error) {
	for {
		end := m.serve(a)
		m.depart(a)
		if end.over {
			return end.reason, end.err
		}
		var err error
		if a, err = m.comeBack(end.err); err != nil {
			return protocol.FarewellLost, err
		}
		if a == nil {
			return protocol.FarewellLeft, nil
		}
		m.arrive(a)
	}
}

// arrive makes an admission the present one.
func (m *Meeting) arrive(a *admission) {
	m.mu.Lock()
	m.now, m.zone, m.joined = a, a.answer.Zone, true
	m.mu.Unlock()
	m.tasks.Go(func() { m.listen(a) })
	m.welcome(a, a.welcome)
	m.note(Event{At: time.Now(), Kind: Joined, Text: a.answer.MMR + " in zone " + a.answer.Zone})
}

// depart closes what is left of an admission.
func (m *Meeting) depart(a *admission) {
	m.mu.Lock()
	m.now = nil
	m.mu.Unlock()
	m.close(a)
}

// listen hands on what comes over a control channel, then how it ended.
func (m *Meeting) listen(a *admission) {
	channel := a.control
	for {
		msg, err := channel.Receive(m.ctx)
		select {
		case m.inbox <- received{channel, msg, err}:
		case <-m.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// An ending is why an admission is not served any more: the participation is
// over, or err broke the admission.
type ending struct {
	over   bool
	reason protocol.FarewellReason
	err    error
}

// serve takes part by way of one admission.
func (m *Meeting) serve(a *admission) ending {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	leaving, farewell := m.leaving, (<-chan time.Time)(nil)
	for {
		select {
		case r := <-m.inbox:
			switch {
			case r.channel != a.control: // of a channel that was given up
			case r.err == nil:
				if end, over := m.take(a, r.message); over {
					return end
				}
			case farewell != nil:
				return ending{over: true, reason: protocol.FarewellLeft}
			default:
				if end, broken := m.reopen(a, r.err); broken {
					return end
				}
			}
		case <-m.wake:
			if err := m.inspect(a); err != nil && farewell == nil {
				return m.lastWord(a, err)
			}
		case <-every.C:
			m.recordTraffic()
		case <-leaving:
			leaving = nil
			if m.send(protocol.Leave{}) != nil {
				return ending{over: true, reason: protocol.FarewellLeft}
			}
			farewell = time.After(leaveLimit)
		case <-farewell:
			return ending{over: true, reason: protocol.FarewellLeft}
		}
	}
}

// lastWord waits a moment for the router to say why a media connection is
// gone: its farewell may be on the way.
func (m *Meeting) lastWord(a *admission, err error) ending {
	enough := time.After(lastWordWait)
	for {
		select {
		case r := <-m.inbox:
			if r.channel != a.control {
				continue
			}
			if r.err != nil {
				return ending{err: err}
			}
			if end, over := m.take(a, r.message); over {
				return end
			}
		case <-enough:
			return ending{err: err}
		}
	}
}

// inspect looks at the media connections; an error means that the router
// cannot be heard any more.
func (m *Meeting) inspect(a *admission) error {
	for _, l := range a.links {
		s := l.snapshot()
		if s.closed {
			return protocol.Wrap(protocol.ProblemConnectionLost, orClosed(s.err))
		}
		if s.path == peer.PathLost {
			return protocol.NewProblem(protocol.ProblemConnectionLost, "nothing is heard on the "+string(l.kind)+" connection")
		}
		if s.path != l.shown {
			l.shown = s.path
			m.note(Event{At: time.Now(), Kind: MediaChanged, Text: string(l.kind) + " connection is " + s.path.String()})
		}
		m.tellRung(a, l, s.rung)
		if !s.firstMedia.IsZero() {
			m.recorder.FirstMedia(s.firstMedia)
		}
		for l.wanted < s.wanted {
			l.wanted++
			m.outbox.put(Event{At: time.Now(), Kind: KeyWanted})
		}
	}
	return nil
}

// take carries out what the router says; true: it was the last.
func (m *Meeting) take(a *admission, msg protocol.ControlMessage) (ending, bool) {
	now := time.Now()
	switch msg := msg.(type) {
	case *protocol.Roster:
		m.roster(msg)
		m.layOut()
	case *protocol.Slots:
		m.assign(a, msg.Slots)
		m.outbox.put(Event{At: now, Kind: Carries, Slots: msg.Slots})
	case *protocol.Sync:
		for _, s := range msg.Slots {
			if p, ok := a.slots[s.Slot]; ok {
				p.link.run(func() { p.slot.sync(s, a.clock) })
			}
		}
	case *protocol.Speakers:
		m.mu.Lock()
		m.speakers = slices.Clone(msg.Speakers)
		m.mu.Unlock()
		m.outbox.put(Event{At: now, Kind: Speaking, Speakers: msg.Speakers})
		m.layOut()
	case *protocol.Chat:
		m.outbox.put(Event{At: now, Kind: Said, Chat: msg})
	case *protocol.Muted:
		m.hostMuted(msg)
	case *protocol.Refusal:
		m.note(Event{At: now, Kind: Refused, Problem: &msg.Problem})
	case *protocol.Farewell:
		return parting(msg), true
	}
	return ending{}, false
}

// parting turns the router's farewell into an ending.
func parting(f *protocol.Farewell) ending {
	end := ending{over: true, reason: f.Reason}
	switch f.Reason {
	case protocol.FarewellLeft:
	case protocol.FarewellRemoved:
		end.err = protocol.NewProblem(protocol.ProblemRemoved, "")
	case protocol.FarewellEnded:
		end.err = protocol.NewProblem(protocol.ProblemMeetingEnded, "")
	case protocol.FarewellResumed:
		end.err = protocol.NewProblem(protocol.ProblemConnectionLost, "the same participant has joined anew elsewhere")
	case protocol.FarewellLost:
		end.over = false
		end.err = protocol.NewProblem(protocol.ProblemConnectionLost, "the router heard nothing for too long")
	}
	return end
}

// hostMuted obeys a host: the microphone stays off until SetMuted.
func (m *Meeting) hostMuted(msg *protocol.Muted) {
	if m.publisher != nil {
		m.publisher.mute(protocol.Mic, true)
	}
	m.mu.Lock()
	m.muted[protocol.Mic] = true
	m.mu.Unlock()
	e := Event{At: time.Now(), Kind: HostMuted}
	if p, ok := m.participant(msg.By); ok {
		e.Participant = &p
	}
	m.note(e)
}

// reopen opens the control channel again while media goes on. true: that was
// in vain, or the meeting is to be left.
func (m *Meeting) reopen(a *admission, cause error) (ending, bool) {
	m.note(Event{At: time.Now(), Kind: Reconnecting, Problem: protocol.ProblemOf(cause), Text: "control channel"})
	a.hold(true)
	defer a.hold(false)
	ctx, cancel := m.unlessLeaving(reopenLimit)
	defer cancel()
	for delay := reopenFirst; ; delay = min(2*delay, reopenMost) {
		channel, welcome, err := m.openControl(ctx, a)
		if err == nil {
			m.mu.Lock()
			old := a.control
			a.control, a.welcome = channel, welcome
			m.mu.Unlock()
			old.Close()
			m.tasks.Go(func() { m.listen(a) })
			m.welcome(a, welcome)
			m.note(Event{At: time.Now(), Kind: Reconnected, Text: "control channel"})
			return ending{}, false
		}
		if final(err) || !a.heard(time.Now()) || !pause(ctx, delay) {
			return m.unlessLeft(ending{err: err}), true
		}
	}
}

// unlessLeaving is a context that also ends when the meeting is to be left.
func (m *Meeting) unlessLeaving(limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(m.ctx, limit)
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-m.leaving:
			cancel()
		case <-stop:
		}
	}()
	return ctx, func() {
		close(stop)
		<-ended
		cancel()
	}
}

// unlessLeft turns an ending into leaving, if that is what was wanted.
func (m *Meeting) unlessLeft(end ending) ending {
	select {
	case <-m.leaving:
		return ending{over: true, reason: protocol.FarewellLeft}
	default:
		return end
	}
}
