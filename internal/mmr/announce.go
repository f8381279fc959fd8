package mmr

import (
	"context"
	"strings"
	"time"

	"causeway/internal/bus"
	"causeway/protocol"
)

// legsEvery is how often unchanged legs are repeated.
const legsEvery = 5 * time.Second

// announcer tells the bus what this router owns: its state each second, its
// legs on change and every five, both when asked.
type announcer struct {
	s     *Server
	told  map[string]int
	legs  chan struct{} // a token when a leg has changed
	asked chan struct{} // a token when someone asks
}

func newAnnouncer(s *Server) *announcer {
	return &announcer{s: s, told: map[string]int{}, legs: make(chan struct{}, 1), asked: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run announces until ctx ends; its last word is that the router stops.
func (a *announcer) run(ctx context.Context) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	repeat := time.Now()
	a.state(a.s.health())
	for {
		select {
		case <-ctx.Done():
			a.state(protocol.Stopping)
			return
		case <-a.asked:
			a.state(a.s.health())
			a.changedLegs(true)
		case <-a.legs:
			a.changedLegs(false)
		case now := <-every.C:
			a.state(a.s.health())
			a.s.registry.weather(now)
			a.s.standbys.look(now)
			if now.Sub(repeat) >= legsEvery {
				repeat = now
				a.changedLegs(true)
			}
		}
	}
}

// state publishes the router's state. While the bus is away nobody hears it;
// the next one follows in a second.
func (a *announcer) state(health protocol.Health) {
	s := a.s
	n, _ := s.registry.participants("", "")
	ok, failed := s.reach.look(time.Now())
	_ = bus.Publish(s.deps.Bus, protocol.SubjectMMRState(s.cfg.Zone, s.cfg.ID), protocol.MMRState{
		ID: s.cfg.ID, Zone: s.cfg.Zone, Health: health,
		Load:       s.load.measure(time.Now(), s.router.Traffic(), n),
		ControlURL: s.cfg.ControlURL, LocalControlURL: s.cfg.LocalControlURL,
		Media: s.mediaAddresses(), Version: s.version, MediaOK: ok, MediaFailed: failed,
		Drain: s.drain.State(n, time.Now()),
	})
}

// changedLegs publishes the legs that differ from what was told, or all.
func (a *announcer) changedLegs(all bool) {
	legs := a.s.registry.legs()
	for id, n := range legs {
		if told, known := a.told[id]; all || !known || told != n {
			a.leg(id, n)
		}
	}
	for id, n := range a.told {
		if _, still := legs[id]; !still && n != 0 {
			a.leg(id, 0)
		}
	}
	a.told = legs
}

func (a *announcer) leg(id string, n int) {
	s := a.s
	_ = bus.Publish(s.deps.Bus, protocol.SubjectLeg(s.cfg.Zone, s.cfg.ID), protocol.LegState{MMR: s.cfg.ID, Meeting: id, Participants: n})
}

// subscribe makes the router hear what it is asked over the bus.
func (s *Server) subscribe(ctx context.Context) ([]*bus.Subscription, error) {
	admit, err := bus.Answer(s.deps.Bus, protocol.SubjectAdmit(s.cfg.Zone, s.cfg.ID), "", s.admit)
	if err != nil {
		return nil, err
	}
	subs := []*bus.Subscription{admit}
	ask, err := bus.Subscribe(s.deps.Bus, protocol.SubjectZoneAsk(s.cfg.Zone), func(string, protocol.Empty) { signal(s.announcer.asked) })
	if err != nil {
		return subs, err
	}
	subs = append(subs, ask)
	drain, err := bus.Answer(s.deps.Bus, protocol.SubjectDrainMMR(s.cfg.Zone, s.cfg.ID), "", s.askedToDrain)
	if err != nil {
		return subs, err
	}
	subs = append(subs, drain)
	relays, err := bus.Answer(s.deps.Bus, protocol.SubjectRelay(s.cfg.Zone, s.cfg.ID), "", s.relays.Answer)
	if err != nil {
		return subs, err
	}
	subs = append(subs, relays)
	do, err := bus.Answer(s.deps.Bus, protocol.SubjectMeetingDo("*", s.cfg.Zone, s.cfg.ID), "", s.answerDo)
	if err != nil {
		return subs, err
	}
	subs = append(subs, do)
	// Commands of every meeting, not only of those carried here: one that has
	// ended elsewhere must not be opened here by a token that is still good.
	commands, err := bus.Subscribe(s.deps.Bus, protocol.SubjectMeetingCommand("*"), func(subject string, c protocol.MeetingCommand) {
		s.command(ctx, subject, c)
	})
	if err != nil {
		return subs, err
	}
	subs = append(subs, commands)
	// What ended while this router was not there, or could not hear.
	ended, err := bus.Subscribe(s.deps.Bus, protocol.SubjectMeetingsEnded, func(_ string, e protocol.MeetingsEnded) {
		s.endedElsewhere(ctx, e)
	})
	if err != nil {
		return subs, err
	}
	_ = bus.Publish(s.deps.Bus, protocol.SubjectMeetingsEndedAsk, protocol.Empty{}) // else it is repeated in 10 s
	return append(subs, ended), nil
}

// command carries out what happens to a whole meeting.
func (s *Server) command(ctx context.Context, subject string, c protocol.MeetingCommand) {
	parts := strings.Split(subject, ".")
	if !c.End || len(parts) != 3 || !protocol.ValidID(parts[1]) {
		return
	}
	s.endHere(ctx, parts[1], c)
}

// endedElsewhere ends meetings that web says have ended.
func (s *Server) endedElsewhere(ctx context.Context, e protocol.MeetingsEnded) {
	for _, id := range e.Meetings[:min(len(e.Meetings), protocol.MaxMeetingsEnded)] {
		if protocol.ValidID(id) && !s.registry.knowsEnd(id) {
			s.endHere(ctx, id, protocol.MeetingCommand{End: true})
		}
	}
}

// endHere closes a meeting on this router.
func (s *Server) endHere(ctx context.Context, id string, c protocol.MeetingCommand) {
	s.registry.end(id, time.Now())
	if m := s.registry.carries(id); m != nil {
		_ = m.Command(ctx, c) // an error says that it is over already
	}
}
