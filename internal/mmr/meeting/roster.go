package meeting

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"causeway/internal/mmr/forward"
	"causeway/internal/mmr/legs"
	"causeway/protocol"
)

// Bounds of one message on a control channel.
const (
	rosterPart = 100      // participants
	chatPart   = 20 << 10 // bytes of chat in a Welcome
)

// entry is a participant as everybody is shown, wherever the session is.
type entry struct {
	protocol.Participant
	local      *person              // nil if it is on another leg, or about to come back
	leg        legs.Address         // that it is on
	streams    []protocol.LegSource // that it publishes there
	shareOrder int                  // among shares
}

// publishes tells which kinds of sources a participant shows to others.
func (e *entry) publishes() [3]bool { return [3]bool{e.AudioMuted, e.VideoMuted, e.Sharing} }

// changed notes that others must be told of a participant.
func (m *Meeting) changed(p *person) {
	if !p.visible || m.people[p.ID] != p || p.ending() {
		return
	}
	sources := p.sources
	for _, o := range m.unsettled { // whom it has taken over from
		if o.ending() && o.ID == p.ID {
			sources = slices.Concat(sources, o.sources)
		}
	}
	m.state.Put(protocol.LegPerson{
		Participant: p.Participant, Admitted: p.admitted, Established: p.established, Sources: sources,
	})
}

// takeIn works what has become known of people into the roster.
func (m *Meeting) takeIn(now time.Time) {
	for changed := m.state.TakePeople(); len(changed) > 0; changed = m.state.TakePeople() {
		for id, reason := range changed {
			m.refresh(id, reason, now)
		}
	}
}

// refresh works out how a participant is shown now. reason is why, if there
// is none any more.
func (m *Meeting) refresh(id string, reason protocol.FarewellReason, now time.Time) {
	m.supersede(id, now)
	p := m.people[id]
	if p != nil {
		m.inheritElsewhere(p)
	}
	v, there := m.state.Shown(id)
	e := m.roster[id]
	if e != nil && (!there || v.Leg != e.leg) {
		m.hush(e, now)
	}
	if !there {
		if e != nil {
			delete(m.roster, id)
			delete(m.changedIDs, id)
			m.leftIDs[id] = reason
			m.slotsDirty = true
		}
		return
	}
	if e == nil {
		e = &entry{Participant: protocol.Participant{AudioMuted: true, VideoMuted: true}}
		m.roster[id] = e
	}
	delete(m.leftIDs, id)
	if e.Participant != v.Participant {
		m.changedIDs[id] = true
	}
	if v.Participant.Sharing && !e.Sharing {
		m.shares++
		e.shareOrder = m.shares
	}
	was := *e
	e.Participant, e.leg, e.streams, e.local = v.Participant, v.Leg, v.Sources, nil
	if v.Own {
		e.local = p
	}
	m.slotsDirty = m.slotsDirty || was.publishes() != e.publishes() || was.local != e.local ||
		was.leg != e.leg || !slices.Equal(was.streams, e.streams)
	if p != nil && !p.ending() {
		p.gate(e.local == p)
	}
	m.gateFar(e)
}

// gateFar lets through those sources of somebody on another leg that the
// participant's state shows.
func (m *Meeting) gateFar(e *entry) {
	if e.local != nil {
		return
	}
	for _, s := range e.streams {
		if source := m.farSource(e, s.Stream); source != nil {
			source.SetMuted(!shows(&e.Participant, s.Kind))
		}
	}
}

// hush ends the sound of a session on another leg that is not shown any more,
// once that of the new session is heard. Its pictures go on until that leg
// ends them.
func (m *Meeting) hush(e *entry, now time.Time) {
	if e.local != nil {
		return
	}
	for _, s := range e.streams {
		if source := m.farSource(e, s.Stream); source != nil && s.Kind == protocol.Mic {
			m.handOver(source, now)
		}
	}
}

// farSource returns what a stream of somebody on another leg brings; nil if
// nothing can come.
func (m *Meeting) farSource(e *entry, stream uint32) *forward.Source {
	if m.mesh == nil {
		return nil
	}
	return m.mesh.Source(e.leg.Zone, e.leg.MMR, stream)
}

// sourceOf returns what a participant publishes of a kind for others to see
// now, nil if there is nothing.
func (m *Meeting) sourceOf(e *entry, kind protocol.Source) *forward.Source {
	var source *forward.Source
	if e.local != nil {
		source = e.local.media.Sources[kind]
	} else if i := slices.IndexFunc(e.streams, func(s protocol.LegSource) bool { return s.Kind == kind }); i >= 0 {
		source = m.farSource(e, e.streams[i].Stream)
	}
	if source == nil || source.Muted() {
		return nil
	}
	return source
}

// visible lists the roster, who came first first.
func (m *Meeting) visible() []protocol.Participant {
	all := make([]protocol.Participant, 0, len(m.roster))
	for _, e := range m.roster {
		all = append(all, e.Participant)
	}
	slices.SortFunc(all, func(a, b protocol.Participant) int {
		return cmp.Or(a.JoinedAt.Compare(b.JoinedAt), strings.Compare(a.ID, b.ID))
	})
	return all
}

// welcome greets new channels with the whole picture: what does not fit into
// one message follows in more.
func (m *Meeting) welcome(now time.Time) {
	for _, p := range m.order {
		if p.channel == nil || p.welcomed {
			continue
		}
		people, chat := m.visible(), m.state.Chat()
		first, said := min(len(people), rosterPart), fits(chat)
		w := protocol.Welcome{
			Meeting: m.cfg.Info, Participant: p.ID, Participants: people[:first],
			Chat: slices.Clone(chat[:said]), NowMS: m.cfg.Router.Milliseconds(now),
		}
		for i := range p.slots {
			s := &p.slots[i]
			s.told = s.state()
			w.Slots = append(w.Slots, s.told)
		}
		p.channel.Send(w)
		for part := range slices.Chunk(people[first:], rosterPart) {
			p.channel.Send(protocol.Roster{Changed: part})
		}
		for _, c := range chat[said:] {
			p.channel.Send(c)
		}
		p.welcomed, p.syncDue = true, true
		if len(m.speakers) > 0 {
			p.channel.Send(protocol.Speakers{Speakers: m.speakers})
		}
	}
}

// fits counts the messages that a Welcome has room for.
func fits(chat []protocol.Chat) int {
	room := chatPart
	for i := range chat {
		if room -= encodedLength(chat[i].Text) + 200; room < 0 {
			return i
		}
	}
	return len(chat)
}

// encodedLength is how long a text is in JSON, at most.
func encodedLength(text string) int {
	n := len(text)
	for _, r := range text {
		switch {
		case r < ' ', r == '<', r == '>', r == '&', r == '\u2028', r == '\u2029':
			n += 5
		case r == '"', r == '\\':
			n++
		}
	}
	return n
}

// tellRoster tells what changed on the roster, at most every rosterEvery
// unless it must be now. It returns how long what waits must wait.
func (m *Meeting) tellRoster(now time.Time, must bool) time.Duration {
	if len(m.changedIDs) == 0 && len(m.leftIDs) == 0 {
		return never
	}
	if wait := rosterEvery - now.Sub(m.rosterAt); wait > 0 && !must {
		return wait
	}
	m.rosterAt = now
	left := make([]protocol.Left, 0, len(m.leftIDs))
	for _, id := range slices.Sorted(maps.Keys(m.leftIDs)) {
		left = append(left, protocol.Left{ID: id, Reason: m.leftIDs[id]})
	}
	changed := slices.Sorted(maps.Keys(m.changedIDs))
	for len(changed) > 0 || len(left) > 0 {
		c, l := min(len(changed), rosterPart), min(len(left), rosterPart)
		r := protocol.Roster{Left: left[:l]}
		for _, id := range changed[:c] {
			r.Changed = append(r.Changed, m.roster[id].Participant)
		}
		m.broadcast(r)
		changed, left = changed[c:], left[l:]
	}
	clear(m.changedIDs)
	clear(m.leftIDs)
	return never
}

// sharers returns who shares, the latest first.
func (m *Meeting) sharers() []*entry {
	var sharers []*entry
	for _, e := range m.roster {
		if e.Sharing {
			sharers = append(sharers, e)
		}
	}
	slices.SortFunc(sharers, func(a, b *entry) int {
		return cmp.Or(b.shareOrder-a.shareOrder, strings.Compare(a.ID, b.ID))
	})
	return sharers
}
