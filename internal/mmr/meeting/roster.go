package meeting

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"causeway/internal/mmr/forward"
	"causeway/internal/mmr/legs"
	"causeway/protocol"
)

// entry is a participant as everybody is shown, wherever the session is.
type entry struct {
	protocol.Participant
	local      *person              // nil if it is on another leg, or about to come back
	leg        legs.Address         // that it is on
	streams    []protocol.LegSource // that it publishes there
	decodes    []string             // scalable codecs that its slots for cameras take
	scales     bool                 // its camera is to be shown in such a codec, says its leg
	scalable   bool                 // it is
	shareOrder int                  // among shares
	// What was told last: to everybody, or to hosts as somebody who calls.
	stageTold, callerTold bool
}

// publishes tells which kinds of sources a participant shows to others.
func (e *entry) publishes() [3]bool {
	return [3]bool{
		shows(&e.Participant, protocol.Mic), shows(&e.Participant, protocol.Camera), shows(&e.Participant, protocol.Screen),
	}
}

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
	if p.viewOnly() {
		sources = nil
	}
	m.state.Put(protocol.LegPerson{
		Participant: p.Participant, Admitted: p.admitted, Established: p.established, Sources: sources, Scalable: p.scalable,
		CameraScalable: p.scales,
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
			m.strike(e, reason)
		}
		return
	}
	if e == nil {
		left := m.leftIDs[id]
		e = &entry{stageTold: left.stageTold, callerTold: left.callerTold}
		e.AudioMuted, e.VideoMuted = true, true
		m.roster[id] = e
	}
	delete(m.leftIDs, id)
	m.attendees += attending(&v.Participant) - attending(&e.Participant)
	if e.Participant != v.Participant {
		m.changedIDs[id] = true
	}
	if v.Participant.Sharing && !e.Sharing {
		m.shares++
		e.shareOrder = m.shares
	}
	was := *e
	e.Participant, e.leg, e.streams, e.decodes, e.scales, e.local = v.Participant, v.Leg, v.Sources, v.Scalable, v.CameraScalable, nil
	if v.Own {
		e.local = p
	}
	if was.local != e.local || was.leg != e.leg || !e.scales {
		e.scalable = false // it begins in the other form
		m.slotsDirty = m.slotsDirty || was.scalable
	}
	silent := [3]bool{} // nothing to put into a slot
	if was.publishes() != silent || e.publishes() != silent {
		m.slotsDirty = m.slotsDirty || was.publishes() != e.publishes() || was.local != e.local ||
			was.leg != e.leg || !slices.Equal(was.streams, e.streams)
	}
	if p != nil && !p.ending() {
		p.gate(e.local == p)
	}
	m.gateFar(e)
}

// strike takes somebody off the roster.
func (m *Meeting) strike(e *entry, reason protocol.FarewellReason) {
	delete(m.roster, e.ID)
	delete(m.changedIDs, e.ID)
	if e.stageTold || e.callerTold {
		m.leftIDs[e.ID] = departed{reason, e.stageTold, e.callerTold}
	}
	m.attendees -= attending(&e.Participant)
	m.slotsDirty = m.slotsDirty || e.publishes() != [3]bool{}
}

// attending is 1 for an attendee.
func attending(p *protocol.Participant) int {
	if onStage(p) {
		return 0
	}
	return 1
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
