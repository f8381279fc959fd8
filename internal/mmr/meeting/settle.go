package meeting

import (
	"slices"
	"time"

	"causeway/protocol"
)

// settle works out what follows from what has been handled, tells it, and
// sets the timer for what may not be told yet.
func (m *Meeting) settle(now time.Time) {
	next := m.takeOvers(now)
	m.obey(now)
	m.takeIn(now)
	next = min(next, m.exchange(now))
	next = min(next, m.publish(now))
	m.takeIn(now) // time may have made legs lost
	m.meet()
	m.ready(now)
	next = min(next, m.handOvers(now))
	if m.slotsDirty || m.placesDue {
		m.assign(now)
		m.tellSlots(now)
	}
	m.tellChat(now)
	m.welcome(now)
	next = min(next, m.tellRoster(now, false))
	next = min(next, m.tellAudience(now))
	next = min(next, m.tellSpeakers(now))
	m.sync(now)
	m.countPeople(now)
	m.settleTimer.Reset(max(next, 0))
}

// levelStep is by how many dB a speaker's level must differ from what was
// told to be news.
const levelStep = 6

// never is a wait that the meeting's ticks end sooner.
const never = time.Hour

// broadcast sends a message to everyone who has been welcomed.
func (m *Meeting) broadcast(msg protocol.ControlMessage) {
	m.broadcastTo(msg, func(*person) bool { return true })
}

// broadcastTo sends a message to those whom it is for.
func (m *Meeting) broadcastTo(msg protocol.ControlMessage, to func(*person) bool) {
	data, err := protocol.EncodeControl(msg)
	if err != nil {
		m.cfg.Log.Error("message cannot be encoded", "type", msg.ControlType(), "err", err)
		return
	}
	for _, p := range m.order {
		if p.channel != nil && p.welcomed && to(p) {
			p.channel.SendEncoded(data)
		}
	}
}

// tellChat tells what was said, here or on another leg. The roster goes
// first, so that nobody hears of a participant they do not know.
func (m *Meeting) tellChat(now time.Time) {
	for _, c := range m.state.TakeChat() {
		m.tellRosterOf(c.From, now)
		m.broadcastTo(c, func(p *person) bool { return p.hears(&c) })
	}
}

// tellSlots tells clients which of their slots carry something else now. The
// roster goes first, so that nobody hears of a participant they do not know.
func (m *Meeting) tellSlots(now time.Time) {
	for _, p := range m.order {
		if p.channel == nil || !p.welcomed || !p.placesNew {
			continue
		}
		p.placesNew = false
		var news []protocol.SlotState
		for i := range p.slots {
			if s := &p.slots[i]; s.state() != s.told {
				s.told = s.state()
				news = append(news, s.told)
				m.tellRosterOf(s.told.Participant, now)
			}
		}
		if len(news) > 0 {
			p.channel.Send(protocol.Slots{Slots: news})
		}
	}
}

// tellSpeakers tells who speaks when that has changed, at most every
// speakersEvery. It returns when to look again.
func (m *Meeting) tellSpeakers(now time.Time) time.Duration {
	if wait := m.pace(speakersEvery) - now.Sub(m.speakersAt); wait > 0 {
		return wait
	}
	speaking := m.loudest.Speakers(now)
	same := slices.EqualFunc(speaking, m.speakers, func(a, b protocol.Speaker) bool {
		return a.Participant == b.Participant && max(a.Level-b.Level, b.Level-a.Level) < levelStep
	})
	if !same {
		m.speakers, m.speakersAt = speaking, now
		for _, s := range speaking {
			m.tellRosterOf(s.Participant, now)
		}
		data, err := protocol.EncodeControl(protocol.Speakers{Speakers: speaking})
		if err == nil {
			for _, p := range m.order {
				if p.channel != nil && p.welcomed {
					p.channel.SendSpeakers(data)
				}
			}
		}
	}
	if len(speaking) > 0 {
		return m.pace(speakersEvery)
	}
	return never
}

// countPeople tells the router how many participants there are.
func (m *Meeting) countPeople(now time.Time) {
	if len(m.people) == m.count {
		return
	}
	if len(m.people) == 0 {
		m.emptyAt = now
	}
	m.count = len(m.people)
	m.cfg.Count(m.count)
}
