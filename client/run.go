package client

import (
	"slices"
	"time"

	"causeway/client/connect"
	"causeway/internal/peer"
	"causeway/protocol"
)

// run owns the participation: it takes what the router says, sees to the
// connections, and winds everything up.
func (m *Meeting) run(s *stay) {
	end := s.run()
	m.cancel()
	s.windUp()
	m.recordTraffic()
	close(m.frames) // no link is left that emits
	m.tasks.Wait()
	m.mu.Lock()
	m.err = end.err
	m.mu.Unlock()
	e := Event{At: time.Now(), Kind: Over, Reason: end.reason}
	if end.err != nil {
		e.Problem = protocol.ProblemOf(end.err)
	}
	m.note(e)
	m.leaveReport()
	m.network.Close()
	close(m.outbox.events)
	close(m.done)
}

// listen hands on what comes over a control channel, then how it ended.
func (m *Meeting) listen(a *admission, channel *connect.Control) {
	for {
		msg, err := channel.Receive(m.ctx)
		select {
		case m.inbox <- received{a, channel, msg, err}:
		case <-m.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// handle carries out what the present router says; an ending: it was the last.
func (s *stay) handle(msg protocol.ControlMessage) *ending {
	now := time.Now()
	switch msg := msg.(type) {
	case *protocol.Roster:
		s.roster(msg)
		s.layOut()
	case *protocol.Audience:
		s.audience(msg.Attendees)
	case *protocol.Slots:
		s.assign(s.now, msg.Slots)
		s.outbox.put(Event{At: now, Kind: Carries, Slots: msg.Slots})
	case *protocol.Sync:
		s.now.sync(msg)
	case *protocol.Layers:
		s.request(s.now, msg)
	case *protocol.Speakers:
		s.mu.Lock()
		s.speakers = slices.Clone(msg.Speakers)
		s.mu.Unlock()
		s.outbox.put(Event{At: now, Kind: Speaking, Speakers: msg.Speakers})
		s.layOut()
	case *protocol.Chat:
		s.chat(msg)
	case *protocol.Muted:
		s.hostMuted(msg)
	case *protocol.Refusal:
		s.note(Event{At: now, Kind: Refused, Problem: &msg.Problem})
	case *protocol.Move:
		s.move(msg)
	case *protocol.Farewell:
		return s.parting(msg)
	}
	return nil
}

// handleOld carries out what a router says that is being left: what its slots
// carry still counts.
func (s *stay) handleOld(msg protocol.ControlMessage) {
	switch msg := msg.(type) {
	case *protocol.Slots:
		s.assign(s.old, msg.Slots)
	case *protocol.Sync:
		s.old.sync(msg)
	case *protocol.Layers:
		s.request(s.old, msg)
	}
}

// request sends only the layers that the router of an admission asks for.
func (s *stay) request(a *admission, msg *protocol.Layers) {
	if s.publisher != nil && s.publisher.request(a.links, msg.Source, msg.Active) {
		s.outbox.put(Event{At: time.Now(), Kind: KeyWanted})
	}
}

// sync takes the times of the slots.
func (a *admission) sync(msg *protocol.Sync) {
	for _, s := range msg.Slots {
		if p, ok := a.slots[s.Slot]; ok {
			p.link.run(func() { p.slot.sync(s, a.clock) })
		}
	}
}

// parting takes the router's farewell. A router that only goes itself, or has
// lost us, or gives way to our own next session, does not end the stay.
func (s *stay) parting(f *protocol.Farewell) *ending {
	end := &ending{reason: f.Reason}
	switch f.Reason {
	case protocol.FarewellRemoved:
		end.err = protocol.NewProblem(protocol.ProblemRemoved, "")
	case protocol.FarewellEnded:
		end.err = protocol.NewProblem(protocol.ProblemMeetingEnded, "")
	case protocol.FarewellResumed:
		if s.now.parted = true; s.succession != nil {
			return nil
		}
		end.err = protocol.NewProblem(protocol.ProblemConnectionLost, "the same participant has joined anew elsewhere")
	case protocol.FarewellLost:
		s.now.parted = true
		s.goOn(protocol.ResumeDead, protocol.NewProblem(protocol.ProblemConnectionLost, "the router heard nothing for too long"))
		return nil
	case protocol.FarewellMoved:
		s.now.parted = true
		s.goOn(protocol.ResumeDrain, protocol.NewProblem(protocol.ProblemConnectionLost, "the router was taken out of service"))
		return nil
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

// inspect looks at the media connections.
func (s *stay) inspect() {
	a := s.now
	for _, l := range a.links {
		state := l.snapshot()
		if state.closed {
			s.doom(protocol.Wrap(protocol.ProblemConnectionLost, orClosed(state.err)))
			return
		}
		if state.path == peer.PathLost {
			s.doom(protocol.NewProblem(protocol.ProblemConnectionLost, "nothing is heard on the "+string(l.kind)+" connection"))
			return
		}
		if state.path != l.shown {
			l.shown = state.path
			s.note(Event{At: time.Now(), Kind: MediaChanged, Text: string(l.kind) + " connection is " + state.path.String()})
		}
		s.tellRung(a, l, state.rung)
		if !state.firstMedia.IsZero() {
			s.recorder.FirstMedia(state.firstMedia)
		}
		for l.wanted < state.wanted {
			l.wanted++
			s.outbox.put(Event{At: time.Now(), Kind: KeyWanted})
		}
	}
}

// doom notes that the admission is broken. The router's farewell may be on
// the way, so it gets a moment.
func (s *stay) doom(cause error) {
	if s.doomed == nil {
		s.doomed, s.doomedAt = cause, time.Now()
	}
}

// leave says goodbye.
func (s *stay) leave() *ending {
	s.leaving = nil
	left := &ending{reason: protocol.FarewellLeft}
	if s.send(protocol.Leave{}) != nil || s.succession != nil || !s.now.lostAt.IsZero() {
		return left
	}
	s.farewell = time.After(leaveLimit)
	return nil
}

// windUp ends everything that is still there.
func (s *stay) windUp() {
	if s.reopening != nil {
		s.reopening.end()
	}
	if s.succession != nil {
		s.succession.cancel()
		if r := <-s.succession.result; r.next != nil {
			_ = r.next.control.Send(protocol.Leave{})
			s.close(r.next)
		}
	}
	s.mu.Lock()
	s.Meeting.now = nil
	s.mu.Unlock()
	if s.old != nil {
		s.close(s.old)
	}
	s.close(s.now)
	s.splicer.end()
}
