package meeting

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"causeway/protocol"
)

// Bounds of one message on a control channel. With the longest names it
// still is shorter than protocol.MaxControlMessage.
const (
	rosterPart = 50       // participants
	chatPart   = 20 << 10 // bytes of chat in a Welcome
)

// perReceiver stretches what is told to everybody regularly: in a large
// meeting nobody is told more often than this times the number of those who
// are, so that it costs as much in any.
const perReceiver = 500 * time.Microsecond

// pace is the least time between two messages of a kind to everybody.
func (m *Meeting) pace(least time.Duration) time.Duration {
	return max(least, time.Duration(len(m.order))*perReceiver)
}

// departed is one who is not on the roster any more, until others are told.
type departed struct {
	reason                protocol.FarewellReason
	stageTold, callerTold bool // as in entry
}

// news is what changed on a roster.
type news struct {
	changed []protocol.Participant
	left    []protocol.Left
}

// rosters are what new channels are greeted with.
type rosters struct{ stage, callers []protocol.Participant }

// rosters lists those on the stage and the attendees whose hand is up, who
// came first first.
func (m *Meeting) rosters() rosters {
	all := make([]*entry, 0, len(m.roster))
	for _, e := range m.roster {
		if onStage(&e.Participant) || isCalling(&e.Participant) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(a.JoinedAt.Compare(b.JoinedAt), strings.Compare(a.ID, b.ID))
	})
	r := rosters{stage: make([]protocol.Participant, 0, len(all))}
	for _, e := range all {
		if onStage(&e.Participant) {
			r.stage = append(r.stage, e.Participant)
		} else {
			r.callers = append(r.callers, e.Participant)
		}
	}
	return r
}

// shownTo is the roster that a participant sees: all on the stage; hosts also
// see who raises a hand, and attendees themselves.
func (r rosters) shownTo(p *person, self *entry) []protocol.Participant {
	switch {
	case p.Role == protocol.Host:
		return slices.Concat(r.stage, r.callers)
	case self != nil && !onStage(&self.Participant):
		return append(slices.Clip(r.stage), self.Participant)
	}
	return r.stage
}

// welcome greets new channels with the whole picture: what does not fit into
// one message follows in more.
func (m *Meeting) welcome(now time.Time) {
	var all rosters
	made := false
	for _, p := range m.order {
		if p.channel == nil || p.welcomed {
			continue
		}
		if !made {
			all, made = m.rosters(), true
		}
		m.greet(p, all.shownTo(p, m.roster[p.ID]), now)
	}
}

func (m *Meeting) greet(p *person, people []protocol.Participant, now time.Time) {
	chat := slices.Clone(m.state.Chat())
	chat = slices.DeleteFunc(chat, func(c protocol.Chat) bool { return !p.hears(&c) })
	first, said := min(len(people), rosterPart), fits(chat)
	w := protocol.Welcome{
		Meeting: m.cfg.Info, Participant: p.ID, Admitted: p.admitted, Participants: people[:first],
		Parts: (len(people) - first + rosterPart - 1) / rosterPart, Attendees: m.attendees,
		Chat: chat[:said], NowMS: m.cfg.Router.Milliseconds(now),
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
	p.tellLayers()
	if len(m.speakers) > 0 {
		p.channel.Send(protocol.Speakers{Speakers: m.speakers})
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

// tellRosterOf tells what changed on the roster at once if it concerns a
// participant who is about to be mentioned, so that nobody hears of somebody
// they do not know.
func (m *Meeting) tellRosterOf(id string, now time.Time) {
	if m.changedIDs[id] {
		m.tellRoster(now, true)
	}
}

// tellRoster tells what changed on the roster, at most every rosterEvery, or
// less often in a large meeting, unless it must be now. It returns how long
// what waits must wait.
func (m *Meeting) tellRoster(now time.Time, must bool) time.Duration {
	if len(m.changedIDs) == 0 && len(m.leftIDs) == 0 {
		return never
	}
	if wait := m.pace(rosterEvery) - now.Sub(m.rosterAt); wait > 0 && !must {
		return wait
	}
	m.rosterAt = now
	all, hosts, alone := m.rosterNews()
	m.tellNews(all, func(*person) bool { return true })
	m.tellNews(hosts, func(p *person) bool { return p.Role == protocol.Host })
	for _, p := range alone {
		if p.channel != nil && p.welcomed {
			p.channel.Send(protocol.Roster{Changed: []protocol.Participant{p.Participant}})
		}
	}
	return never
}

// rosterNews takes what changed, for everybody and for hosts besides, and
// the attendees here who have changed: nobody else may be told of them.
func (m *Meeting) rosterNews() (all, hosts news, alone []*person) {
	for _, id := range slices.Sorted(maps.Keys(m.leftIDs)) {
		l := m.leftIDs[id]
		switch {
		case l.stageTold:
			all.left = append(all.left, protocol.Left{ID: id, Reason: l.reason})
		case l.callerTold:
			hosts.left = append(hosts.left, protocol.Left{ID: id, Reason: l.reason})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.changedIDs)) {
		e := m.roster[id]
		shown, calls := onStage(&e.Participant), isCalling(&e.Participant)
		away := protocol.Left{ID: id, Reason: protocol.FarewellAudience}
		switch {
		case shown:
			all.changed = append(all.changed, e.Participant)
		case e.stageTold:
			all.left = append(all.left, away)
		case e.callerTold && !calls:
			hosts.left = append(hosts.left, away)
		}
		if calls {
			hosts.changed = append(hosts.changed, e.Participant)
		}
		if !shown && e.local != nil {
			alone = append(alone, e.local)
		}
		e.stageTold, e.callerTold = shown, calls
	}
	clear(m.changedIDs)
	clear(m.leftIDs)
	return all, hosts, alone
}

// tellNews tells those whom it is for, in messages of limited length. Nobody
// is told to have left themselves.
func (m *Meeting) tellNews(n news, to func(*person) bool) {
	for len(n.changed) > 0 || len(n.left) > 0 {
		c, l := min(len(n.changed), rosterPart), min(len(n.left), rosterPart)
		r := protocol.Roster{Changed: n.changed[:c], Left: n.left[:l]}
		n.changed, n.left = n.changed[c:], n.left[l:]
		down := func(id string) func(protocol.Left) bool {
			return func(l protocol.Left) bool { return l.ID == id && l.Reason == protocol.FarewellAudience }
		}
		m.broadcastTo(r, func(p *person) bool {
			return to(p) && (!p.viewOnly() || !slices.ContainsFunc(r.Left, down(p.ID)))
		})
		for _, left := range r.Left {
			if p := m.people[left.ID]; p != nil && p.channel != nil && p.welcomed && down(p.ID)(left) && to(p) {
				rest := slices.DeleteFunc(slices.Clone(r.Left), down(p.ID))
				p.channel.Send(protocol.Roster{Changed: r.Changed, Left: rest})
			}
		}
	}
}
