package legs

import (
	"maps"
	"slices"
	"strings"
	"time"

	"causeway/protocol"
)

// Times.
const (
	Coalesce = 50 * time.Millisecond // between two messages with changes
	Beat     = time.Second           // between two heartbeats
	LoneBeat = 3 * time.Second       // of a leg that knows no other
	// QuietFor is how long a leg may be silent before media should not depend
	// on it any more.
	QuietFor = 3 * time.Second
	// SilentFor is how long a leg may be silent, on the bus and in its media,
	// before it is held for lost, LostFor how long it is held so before it is forgotten.
	SilentFor = 10 * time.Second
	LostFor   = 30 * time.Second
	// Grace is how long a participant who is about to come back, since the
	// session was moved or its router has gone, stays on the roster.
	Grace = 5 * time.Second

	askAgain    = 500 * time.Millisecond // for a leg's people
	shareAgain  = 2 * time.Second        // ask for what is shared
	answerAgain = 250 * time.Millisecond // answer who asks
	// frozen is a pause in Poll after which it was this leg that was silent,
	// not the others.
	frozen = 3 * time.Second
)

// Media is what a leg's media tell of its router, where they come without
// another one in between.
type Media int

// What media tell.
const (
	MediaNone     Media = iota // they do not come directly
	MediaHeard                 // the router lives
	MediaDoubtful              // it does not answer
	MediaDead                  // it has not answered for so long that nobody should wait
)

// Limits: of the other legs of a meeting, the people of one, the settings.
const (
	maxLegs     = 256
	maxPeople   = 10000
	maxSettings = 4096
)

// Address names a leg: the router that it is on.
type Address struct{ Zone, MMR string }

// String returns "zone/mmr".
func (a Address) String() string { return a.Zone + "/" + a.MMR }

func (a Address) compare(b Address) int { return strings.Compare(a.String(), b.String()) }

// Config describes this leg.
type Config struct {
	Self  Address
	Epoch int64 // when the leg began, Unix microseconds
	// OnPremises and Fingerprint are told to the other legs.
	OnPremises  bool
	Fingerprint string
}

// State is what a leg knows. Make it with New.
type State struct {
	cfg Config

	// This leg's own people.
	own     map[string]*member
	version uint64
	people  digest // of own as told
	dirty   map[string]bool
	left    map[string]gone
	toldAt  time.Time
	leaving bool

	// The others.
	legs  map[Address]*leg
	where map[string][]*leg // who has a participant
	held  map[string]held   // about to come back

	shared shared

	// For the meeting.
	changed map[string]protocol.FarewellReason
	streams bool // what other legs publish has changed

	// For the bus.
	polledAt time.Time
	beatAt   time.Time
	wholeDue bool
	wholeAt  time.Time
	asks     []protocol.LegAsk
}

// member is one of the leg's own people.
type member struct {
	protocol.LegPerson
	told bool
}

// gone is one of them who has left, until the others are told.
type gone struct {
	reason   protocol.FarewellReason
	revision uint64 // that they know
}

// held is a participant whose session is over and who is about to come back.
type held struct {
	protocol.LegPerson
	by    Address // whose it was
	until time.Time
}

// New makes a leg's state.
func New(cfg Config, now time.Time) *State {
	return &State{
		cfg: cfg, own: map[string]*member{}, dirty: map[string]bool{}, left: map[string]gone{},
		legs: map[Address]*leg{}, where: map[string][]*leg{}, held: map[string]held{},
		shared: newShared(), changed: map[string]protocol.FarewellReason{},
		polledAt: now,
	}
}

// AskAll asks all other legs what they have. It should be called once what
// they answer can be heard; without it they are known after a heartbeat.
func (s *State) AskAll() { s.asks = append(s.asks, protocol.LegAsk{People: true, Shared: true}) }

// Out is what is to be published, in this order, and when to poll next at the
// latest.
type Out struct {
	Asks    []protocol.LegAsk
	Updates []protocol.LegUpdate
	Chats   []protocol.LegChat
	Next    time.Time
}

// Poll returns what is to be published now. It must be called after every
// change, and at Next.
func (s *State) Poll(now time.Time) Out {
	s.age(now)
	var out Out
	out.Asks, s.asks = s.asks, nil
	for _, l := range s.legs {
		if ask, ok := l.ask(now); ok {
			out.Asks = append(out.Asks, ask)
		}
	}
	slices.SortFunc(out.Asks, func(a, b protocol.LegAsk) int {
		return Address{a.Zone, a.MMR}.compare(Address{b.Zone, b.MMR})
	})
	whole := s.wholeDue && now.Sub(s.wholeAt) >= answerAgain
	if whole || now.Sub(s.toldAt) >= Coalesce {
		out.Updates = s.tell(now)
	}
	if whole {
		s.wholeDue, s.wholeAt = false, now
		out.Updates = append(out.Updates, s.whole()...)
	}
	out.Updates = append(out.Updates, s.shareSettings(now)...)
	out.Chats = s.shareChat(now)
	if !now.Before(s.beatAt) {
		s.beatAt = now.Add(Beat)
		if len(s.legs) == 0 {
			s.beatAt = now.Add(LoneBeat)
		}
		if len(out.Updates) == 0 {
			out.Updates = append(out.Updates, protocol.LegUpdate{Version: s.version})
		}
	}
	for i := range out.Updates {
		s.sign(&out.Updates[i])
	}
	out.Next = s.next(now)
	return out
}

// sign completes a message with what stands in all. The digest of people is
// that of the message's version, which tell has set.
func (s *State) sign(u *protocol.LegUpdate) {
	u.Epoch, u.Fingerprint, u.OnPremises, u.Leaving = s.cfg.Epoch, s.cfg.Fingerprint, s.cfg.OnPremises, s.leaving
	if u.Version == s.version {
		u.People = uint64(s.people)
	}
	u.Set, u.Chat = uint64(s.shared.set), uint64(s.shared.said)
}

// next is when something is due without anything happening before.
func (s *State) next(now time.Time) time.Time {
	next := s.beatAt
	earlier := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if len(s.dirty) > 0 || len(s.left) > 0 {
		earlier(s.toldAt.Add(Coalesce))
	}
	if s.wholeDue {
		earlier(s.wholeAt.Add(answerAgain))
	}
	if s.shared.due {
		earlier(s.shared.dueAt.Add(answerAgain))
	}
	return next
}

// SetLeaving says whether this leg's router is about to go, which the others
// are told at once.
func (s *State) SetLeaving(leaving bool, now time.Time) {
	if leaving != s.leaving {
		s.leaving, s.streams, s.beatAt = leaving, true, now
	}
}

// Leave returns the leg's last word. The State is not used any more.
func (s *State) Leave() protocol.LegUpdate {
	u := protocol.LegUpdate{Version: s.version, Gone: true}
	s.sign(&u)
	return u
}

// age forgets legs that have been silent for too long, and people who have
// not come back.
func (s *State) age(now time.Time) {
	if pause := now.Sub(s.polledAt); pause > frozen {
		for _, l := range s.legs {
			l.heardAt, l.saidAt = l.heardAt.Add(pause), l.saidAt.Add(pause)
		}
	}
	s.hush(now)
	s.polledAt = now
	for at, l := range s.legs {
		switch silent := now.Sub(l.heardAt); {
		case silent >= SilentFor+LostFor:
			s.forget(l)
			delete(s.legs, at)
		case silent >= SilentFor && !l.lost:
			s.lose(l)
		}
	}
	for id, h := range s.held {
		if !now.Before(h.until) {
			delete(s.held, id)
			s.change(id, protocol.FarewellLost)
		}
	}
}

// lose holds a leg for lost. Of those who had been lost to it before, nobody
// knows anything any more: they are gone.
func (s *State) lose(l *leg) {
	l.lost = true
	for id, p := range l.people {
		if p.Participant.Path == protocol.PathLost {
			s.remove(l, id)
			l.known = false
		}
		s.change(id, protocol.FarewellLost)
	}
}

// change notes that a participant may look different now; reason is why, if
// it should turn out to be gone.
func (s *State) change(id string, reason protocol.FarewellReason) { s.changed[id] = reason }

// touch notes that all people of a leg may look different now.
func (s *State) touch(l *leg) {
	for id := range l.people {
		s.change(id, protocol.FarewellLost)
	}
}

// TakePeople returns, once, the participants who may look different (Shown
// tells how), with the reason for those who are gone.
func (s *State) TakePeople() map[string]protocol.FarewellReason {
	if len(s.changed) == 0 {
		return nil
	}
	changed := s.changed
	s.changed = map[string]protocol.FarewellReason{}
	return changed
}

// TakeStreams reports, once, that other legs or what they publish has
// changed.
func (s *State) TakeStreams() bool {
	changed := s.streams
	s.streams = false
	return changed
}

// A Leg is another leg of the meeting.
type Leg struct {
	Address
	Epoch       int64
	OnPremises  bool
	Fingerprint string
	People      map[string]protocol.LegPerson // not to be changed, nor kept
	Silent      bool                          // media should not depend on it, as it may be dead
	Leaving     bool                          // nor on this one: it is about to go
	Lost        bool
}

// Legs returns the other legs, in order.
func (s *State) Legs() []Leg {
	all := make([]Leg, 0, len(s.legs))
	for _, l := range s.legs {
		all = append(all, Leg{
			Address: l.at, Epoch: l.epoch, OnPremises: l.onPremises, Fingerprint: l.fingerprint, People: l.people,
			Silent: l.silent, Leaving: l.leaving, Lost: l.lost,
		})
	}
	slices.SortFunc(all, func(a, b Leg) int { return a.compare(b.Address) })
	return all
}

// Everybody returns the ids of all participants that there are, in order.
func (s *State) Everybody() []string {
	all := map[string]bool{}
	for id := range s.own {
		all[id] = true
	}
	for id := range s.where {
		all[id] = true
	}
	for id := range s.held {
		all[id] = true
	}
	return slices.Sorted(maps.Keys(all))
}
