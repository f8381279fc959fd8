package legs

import (
	"slices"
	"time"

	"causeway/protocol"
)

// leg is what is known of another leg.
type leg struct {
	at          Address
	epoch       int64
	onPremises  bool
	fingerprint string
	leaving     bool

	version uint64
	known   bool // people is what the leg had at version
	people  map[string]protocol.LegPerson
	digest  digest

	heardAt time.Time
	saidAt  time.Time // heard on the bus
	media   Media
	askedUp time.Time // when it was last asked whether it is there
	dead    time.Time // one that is near says so; it is believed until then
	silent  bool      // nothing of it comes, while others are heard
	lost    bool
	askedAt time.Time
	parts   *parts // of a whole that is arriving

	odd odd // what is shared differs from ours
}

// parts collects a whole.
type parts struct {
	version uint64
	want    int
	next    int
	people  map[string]protocol.LegPerson
}

// odd watches for a lasting difference of what is shared.
type odd struct {
	theirs, ours [2]digest
	times        int
}

// Hear takes what another leg says of itself.
func (s *State) Hear(from Address, u *protocol.LegUpdate, now time.Time) {
	if from == s.cfg.Self {
		return
	}
	l := s.legs[from]
	switch {
	case l == nil && (u.Gone || len(s.legs) >= maxLegs):
		return
	case l != nil && u.Epoch < l.epoch:
		return // of a leg that was there before
	case u.Gone:
		s.depart(l, now)
		return
	case l == nil, u.Epoch > l.epoch:
		if l != nil {
			s.depart(l, now)
		}
		l = &leg{at: from, epoch: u.Epoch, people: map[string]protocol.LegPerson{}}
		s.legs[from] = l
		s.streams = true
		s.beatAt = now // who is new does not know us either
	}
	s.alive(l, now)
	l.saidAt, l.dead = now, time.Time{}
	if l.onPremises != u.OnPremises || l.fingerprint != u.Fingerprint || l.leaving != u.Leaving {
		l.onPremises, l.fingerprint, l.leaving = u.OnPremises, u.Fingerprint, u.Leaving
		s.streams = true
	}
	s.hearSettings(u.Settings)
	s.hearPeople(l, u, now)
	s.watch(l, u, now)
}

// Alive notes that media comes from a leg's router: if the leg is silent, it is
// the bus that is away, and nobody is lost.
func (s *State) Alive(at Address, now time.Time) {
	if l := s.legs[at]; l != nil {
		s.alive(l, now)
	}
}

// Near notes what the media of a leg's router tell of it, if they come without
// another one in between. A router that does not answer there any more is asked
// on the bus; if it says nothing there either it is dead, and all are told.
func (s *State) Near(at Address, media Media, now time.Time) {
	l := s.legs[at]
	if l == nil || l.media == media {
		return
	}
	was := l.media
	l.media = media
	switch {
	case media == MediaDoubtful:
		l.askedUp = now
		s.asks = append(s.asks, protocol.LegAsk{Zone: at.Zone, MMR: at.MMR, Alive: true})
	case media == MediaDead && (was == MediaHeard || !l.saidAt.After(l.askedUp)):
		s.asks = append(s.asks, protocol.LegAsk{Zone: at.Zone, MMR: at.MMR, Dead: true})
		s.bury(l, now)
	case media == MediaHeard && now.Before(l.dead):
		l.dead = time.Time{}
		s.quiet(l, false)
	}
}

// bury takes a leg's router for dead, as one says who should know. Until it is
// heard on the bus again, or its silence there tells the same.
func (s *State) bury(l *leg, now time.Time) {
	l.dead = now.Add(QuietFor)
	s.quiet(l, true)
}

// hush finds out who is silent. While nobody is heard on the bus it is the bus
// that is away, and all stays as it is.
func (s *State) hush(now time.Time) {
	var latest time.Time
	for _, l := range s.legs {
		if l.saidAt.After(latest) {
			latest = l.saidAt
		}
	}
	if now.Sub(latest) >= 2*Beat {
		return
	}
	for _, l := range s.legs {
		near := l.media == MediaHeard || l.media == MediaDoubtful
		s.quiet(l, now.Before(l.dead) || !near && now.Sub(l.saidAt) >= QuietFor)
	}
}

// quiet notes whether media should not depend on a leg.
func (s *State) quiet(l *leg, silent bool) {
	if silent != l.silent {
		l.silent, s.streams = silent, true
	}
}

func (s *State) alive(l *leg, now time.Time) {
	l.heardAt = now
	if l.lost {
		l.lost = false
		s.touch(l)
	}
}

// depart takes a leg out that has gone. Its people come back elsewhere, unless
// they had been lost before.
func (s *State) depart(l *leg, now time.Time) {
	for _, p := range l.people {
		if !l.lost && p.Participant.Path != protocol.PathLost {
			p.Participant.Path = protocol.PathLost
			s.hold(p, l.at, now)
		}
	}
	s.forget(l)
	delete(s.legs, l.at)
}

// forget takes all people of a leg out.
func (s *State) forget(l *leg) {
	for id := range l.people {
		s.unplace(l, id)
		s.change(id, protocol.FarewellLost)
	}
	clear(l.people)
	s.streams = true
}

// hearPeople takes the people of a message.
func (s *State) hearPeople(l *leg, u *protocol.LegUpdate, now time.Time) {
	switch {
	case u.Whole:
		s.hearWhole(l, u)
	case len(u.Changed) > 0 || len(u.Left) > 0:
		if !l.known || u.Version != l.version+1 {
			l.known = l.known && u.Version <= l.version // said twice
			break
		}
		l.version = u.Version
		for i := range u.Changed {
			s.place(l, u.Changed[i])
		}
		for _, gone := range u.Left {
			s.leave(l, gone, now)
		}
	}
	if l.parts != nil || u.Version < l.version {
		return
	}
	if u.Version != l.version || digest(u.People) != l.digest {
		l.known = false
	}
}

// hearWhole takes a part of all that a leg has.
func (s *State) hearWhole(l *leg, u *protocol.LegUpdate) {
	if l.known && u.Version == l.version && digest(u.People) == l.digest {
		return // somebody else asked
	}
	if u.Part == 0 {
		l.parts = &parts{version: u.Version, want: u.Parts, people: map[string]protocol.LegPerson{}}
	}
	w := l.parts
	if w == nil || w.version != u.Version || w.next != u.Part || len(w.people) > maxPeople {
		l.parts, l.known = nil, false
		return
	}
	w.next++
	for i := range u.Changed {
		w.people[u.Changed[i].Participant.ID] = u.Changed[i]
	}
	if w.next < w.want {
		return
	}
	l.parts = nil
	for id := range l.people {
		if _, still := w.people[id]; !still {
			s.remove(l, id)
			s.change(id, protocol.FarewellLost)
		}
	}
	for _, p := range w.people {
		s.place(l, p)
	}
	l.version, l.known = u.Version, true
}

// place makes p one of the leg's people, or changes it.
func (s *State) place(l *leg, p protocol.LegPerson) {
	id := p.Participant.ID
	old, there := l.people[id]
	switch {
	case there && old.Revision == p.Revision && same(old, p):
		return
	case there:
		l.digest.toggle(id, old.Revision)
	case len(l.people) >= maxPeople:
		return
	default:
		s.where[id] = append(s.where[id], l)
	}
	l.digest.toggle(id, p.Revision)
	l.people[id] = p
	s.streams = s.streams || !slices.Equal(old.Sources, p.Sources)
	s.change(id, protocol.FarewellLost)
}

// leave takes somebody out who has left a leg.
func (s *State) leave(l *leg, gone protocol.LegLeft, now time.Time) {
	p, there := l.people[gone.ID]
	if !there {
		return
	}
	s.remove(l, gone.ID)
	if comesBack(gone.Reason) {
		s.hold(p, l.at, now)
	} else {
		s.over(p)
	}
	s.change(gone.ID, gone.Reason)
}

// over forgets the earlier sessions of somebody who has left for good: the
// routers that have them may be dead, or frozen, and would be held for lost
// with them. One that lives is asked what it has.
func (s *State) over(p protocol.LegPerson) {
	id := p.Participant.ID
	if !p.Established {
		return // it never took over from them
	}
	for _, l := range slices.Clone(s.where[id]) {
		if l.people[id].Admitted < p.Admitted {
			s.remove(l, id)
			l.known = false
		}
	}
	if h, ok := s.held[id]; ok && h.Admitted < p.Admitted {
		delete(s.held, id)
	}
}

// remove takes somebody out of a leg.
func (s *State) remove(l *leg, id string) {
	p := l.people[id]
	l.digest.toggle(id, p.Revision)
	delete(l.people, id)
	s.unplace(l, id)
	s.streams = s.streams || len(p.Sources) > 0
}

// unplace notes that somebody is not on a leg.
func (s *State) unplace(l *leg, id string) {
	rest := slices.DeleteFunc(s.where[id], func(o *leg) bool { return o == l })
	if len(rest) == 0 {
		delete(s.where, id)
		return
	}
	s.where[id] = rest
}

// ask returns the question to a leg whose people are not known.
func (l *leg) ask(now time.Time) (protocol.LegAsk, bool) {
	if l.known || l.lost || now.Sub(l.askedAt) < askAgain {
		return protocol.LegAsk{}, false
	}
	l.askedAt = now
	return protocol.LegAsk{Zone: l.at.Zone, MMR: l.at.MMR, People: true}, true
}
