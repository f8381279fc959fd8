package meeting

import (
	"cmp"
	"math"
	"slices"
	"time"

	"causeway/internal/mmr/forward"
	"causeway/protocol"
)

// assign works out what every slot carries and hands the differences to the
// packet path and to the clients.
func (m *Meeting) assign(now time.Time) {
	all := m.slotsDirty
	m.slotsDirty, m.placesDue = false, false
	selected := m.loudest.Selected()
	sharers := m.sharers()
	m.changes = m.changes[:0]
	for _, p := range m.order {
		if !all && !p.placesDue {
			continue
		}
		p.placesDue, p.placesNew = false, true
		p.listen(selected)
		p.watch(m)
		p.follow(m, sharers)
		for i := range p.slots {
			if a, ok := p.slots[i].settle(); ok {
				m.changes = append(m.changes, a)
			}
		}
	}
	m.cfg.Router.Assign(m.changes, now)
	clear(m.changes)
}

// lookThrough lets the slots of one participant be worked out anew.
func (m *Meeting) lookThrough(p *person) { p.placesDue, m.placesDue = true, true }

// settle returns what the packet path must be told of the place, if anything.
func (s *place) settle() (forward.Assignment, bool) {
	up := s.slot.Up()
	if !up {
		s.ready = false
		return forward.Assignment{}, false
	}
	if s.ready && s.source == s.given && s.height == s.givenHeight {
		return forward.Assignment{}, false
	}
	s.ready, s.given, s.givenHeight = true, s.source, s.height
	return forward.Assignment{Slot: s.slot, Source: s.source, Height: s.height}, true
}

// state is what the client is told of the place.
func (s *place) state() protocol.SlotState {
	if s.source == nil {
		return protocol.SlotState{Slot: s.slot.ID()}
	}
	return protocol.SlotState{Slot: s.slot.ID(), Participant: s.source.Owner(), Source: s.source.Kind()}
}

// listen puts the loudest others into the audio slots. Who is there already
// stays in the same slot.
func (p *person) listen(selected []*forward.Source) {
	var places []*place
	for i := range p.slots {
		if p.slots[i].slot.Kind() == protocol.Mic {
			places = append(places, &p.slots[i])
		}
	}
	others := make([]*forward.Source, 0, len(places))
	for _, s := range selected {
		twice := slices.ContainsFunc(others, func(o *forward.Source) bool { return o.Owner() == s.Owner() }) // for a moment: handover
		if s.Owner() != p.ID && !twice && len(others) < len(places) {
			others = append(others, s)
		}
	}
	for _, s := range places {
		s.source = successor(s.source, others)
	}
	for _, o := range others {
		if slices.ContainsFunc(places, func(s *place) bool { return s.source == o }) {
			continue
		}
		i := slices.IndexFunc(places, func(s *place) bool { return s.source == nil })
		places[i].source = o
	}
}

// successor returns what follows a source in its place: itself, if it is
// still selected, or that of a newer session of the same participant.
func successor(s *forward.Source, selected []*forward.Source) *forward.Source {
	if s == nil || slices.Contains(selected, s) {
		return s
	}
	i := slices.IndexFunc(selected, func(o *forward.Source) bool { return o.Owner() == s.Owner() })
	if i < 0 {
		return nil
	}
	return selected[i]
}

// watch puts the cameras that the client wants to see into its video slots.
func (p *person) watch(m *Meeting) {
	for i := range p.slots {
		s := &p.slots[i]
		if s.slot.Kind() != protocol.Camera {
			continue
		}
		before := s.source
		s.source, s.height = nil, s.want.MaxHeight
		if who := m.roster[s.want.Participant]; who != nil && who.ID != p.ID {
			s.take(cmp.Or(m.cameraFor(s.slot, who), s.lasting(before, who)))
		}
	}
}

// follow puts the current shares, latest first, into the content slots, each
// picture and its sound in slots of the same number.
func (p *person) follow(m *Meeting, sharers []*entry) {
	sharers = slices.DeleteFunc(slices.Clone(sharers), func(o *entry) bool { return o.ID == p.ID })
	pictures, sounds := 0, 0
	for i := range p.slots {
		s := &p.slots[i]
		switch s.slot.Kind() {
		case protocol.Screen:
			s.share(m, sharers, pictures, protocol.Screen)
			pictures++
		case protocol.ScreenAudio:
			s.share(m, sharers, sounds, protocol.ScreenAudio)
			sounds++
		}
	}
}

func (s *place) share(m *Meeting, sharers []*entry, n int, kind protocol.Source) {
	before := s.source
	s.source, s.height = nil, wholeScreen
	if n < len(sharers) {
		s.take(cmp.Or(m.sourceOf(sharers[n], kind), s.lasting(before, sharers[n])))
	}
}

// wholeScreen asks for the best layer of a share.
const wholeScreen = 1 << 14

// take fills the place if its slot can carry the source.
func (s *place) take(source *forward.Source) {
	if source != nil && s.slot.Takes(source) {
		s.source = source
	}
}

// sync tells clients how the RTP time of their slots maps to the router's
// clock: of new sources at once, and of the others where that has changed or
// was told long ago, looked at once a second.
func (m *Meeting) sync(now time.Time) {
	all := !now.Before(m.nextSync)
	if all {
		m.nextSync = now.Add(syncEvery)
	}
	var slots []*forward.Slot
	var of []syncing
	for _, p := range m.order {
		if p.channel == nil || !all && !p.syncDue {
			continue
		}
		for i := range p.slots {
			if s := &p.slots[i]; s.source != nil && s.ready {
				slots, of = append(slots, s.slot), append(of, syncing{p, s, p.syncDue})
			}
		}
		p.syncDue = false
	}
	if len(slots) == 0 {
		return
	}
	values := m.cfg.Router.Sync(slots, now)
	nowMS := m.cfg.Router.Milliseconds(now)
	for i := 0; i < len(slots); {
		p, j := of[i].person, i
		var known []protocol.SlotSync
		for ; j < len(slots) && of[j].person == p; j++ {
			if v := values[j]; of[j].due || departs(of[j].place.synced, v) {
				of[j].place.synced = v
				if v.ClockRate != 0 {
					known = append(known, v)
				}
			}
		}
		if len(known) > 0 {
			p.channel.SendSync(protocol.Sync{NowMS: nowMS, Slots: known})
		}
		i = j
	}
}

// syncing is a place whose mapping may be told; due if it must be.
type syncing struct {
	person *person
	place  *place
	due    bool
}

// departs reports whether a slot's mapping is worth telling: whether it says
// something else than was told, by a millisecond, or that was long ago.
func departs(told, is protocol.SlotSync) bool {
	if told.ClockRate != is.ClockRate || told.RepairMS != is.RepairMS || is.AtMS-told.AtMS >= float64(syncAgain.Milliseconds()) {
		return true
	}
	passed := float64(int32(is.RTP-told.RTP)) * 1000 / float64(is.ClockRate)
	return math.Abs(told.AtMS+passed-is.AtMS) >= 1
}
