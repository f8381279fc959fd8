package legs

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"causeway/protocol"
)

// MaxChat is how many messages are kept.
const MaxChat = 100

// Limits of what others say.
const (
	maxKey   = 160
	maxValue = 256
	maxName  = 256
	maxClock = 1 << 62
	// oddBeats is for how many heartbeats what is shared may differ while it
	// keeps changing; if it does not change, two are enough.
	oddBeats = 5
)

// shared is what belongs to the whole meeting.
type shared struct {
	chat []protocol.Chat // by time, then id
	ids  map[string]bool
	said digest
	news []protocol.Chat // for the meeting
	mine []protocol.Chat // for the bus

	settings map[string]protocol.LegSetting
	set      digest
	clock    uint64
	fresh    []protocol.LegSetting // for the meeting
	changed  []string              // for the bus

	due     bool // somebody asks for all of it
	dueAt   time.Time
	askedAt time.Time
}

func newShared() shared {
	return shared{ids: map[string]bool{}, settings: map[string]protocol.LegSetting{}}
}

// maxSkew is how far ahead of this router's clock others' may be for what is
// said here to be put behind what was said there.
const maxSkew = time.Minute

// Say adds something that was said on this leg now. What was known before
// stays before it, unless another router's clock is far ahead.
func (s *State) Say(c protocol.Chat) {
	if n := len(s.shared.chat); n > 0 {
		if last := s.shared.chat[n-1].At; !c.At.After(last) && last.Sub(c.At) < maxSkew {
			c.At = last.Add(time.Millisecond)
		}
	}
	if s.shared.add(c) {
		s.shared.mine = append(s.shared.mine, c)
	}
}

// HearChat takes what was said on other legs.
func (s *State) HearChat(c *protocol.LegChat) {
	for _, m := range c.Messages[:min(len(c.Messages), MaxChat)] {
		if len(m.Text) <= protocol.MaxChat && len(m.ID) <= maxKey && len(m.From) <= maxKey && len(m.Name) <= maxName {
			s.shared.add(m)
		}
	}
}

func compareChat(a, b protocol.Chat) int {
	return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID))
}

// add puts a message in its place among the latest, and reports whether it is
// new and belongs there.
func (h *shared) add(c protocol.Chat) bool {
	i, there := slices.BinarySearchFunc(h.chat, c, compareChat)
	if there || h.ids[c.ID] || i == 0 && len(h.chat) == MaxChat {
		return false
	}
	h.chat = slices.Insert(h.chat, i, c)
	h.ids[c.ID] = true
	h.said.toggle(c.ID, 0)
	h.news = append(h.news, c)
	if len(h.chat) > MaxChat {
		old := h.chat[0].ID
		h.said.toggle(old, 0)
		delete(h.ids, old)
		h.chat = slices.Delete(h.chat, 0, 1)
	}
	return true
}

// Chat returns what was said lately, in order. It is not to be changed.
func (s *State) Chat() []protocol.Chat { return s.shared.chat }

// TakeChat returns, once, what is new of it, in order of arrival.
func (s *State) TakeChat() []protocol.Chat {
	news := s.shared.news
	s.shared.news = nil
	return news
}

// Set changes a setting of the meeting. It reports whether there is room.
func (s *State) Set(key, value string) bool {
	h := &s.shared
	h.clock++
	return h.merge(protocol.LegSetting{Key: key, Value: value, Clock: h.clock, By: s.cfg.Self.String()}, true)
}

// Setting returns a setting of the meeting, "" if it was never set.
func (s *State) Setting(key string) string { return s.shared.settings[key].Value }

// TakeSettings returns, once, what is new of the settings.
func (s *State) TakeSettings() []protocol.LegSetting {
	fresh := s.shared.fresh
	s.shared.fresh = nil
	return fresh
}

func (s *State) hearSettings(settings []protocol.LegSetting) {
	for _, v := range settings[:min(len(settings), maxSettings)] {
		s.shared.merge(v, false)
	}
}

// merge takes a setting if it is the later one.
func (h *shared) merge(v protocol.LegSetting, own bool) bool {
	if len(v.Key) > maxKey || len(v.Value) > maxValue || len(v.By) > maxKey || v.Clock > maxClock {
		return false
	}
	h.clock = max(h.clock, v.Clock)
	old, there := h.settings[v.Key]
	switch {
	case there && cmp.Or(cmp.Compare(v.Clock, old.Clock), strings.Compare(v.By, old.By)) <= 0:
		return false
	case there:
		h.set.toggle(old.Key+"\n"+old.By, old.Clock)
	case len(h.settings) >= maxSettings:
		return false
	}
	h.settings[v.Key] = v
	h.set.toggle(v.Key+"\n"+v.By, v.Clock)
	h.fresh = append(h.fresh, v)
	if own {
		h.changed = append(h.changed, v.Key)
	}
	return true
}

// shareSettings returns the messages with the settings that are to be told:
// all if somebody asks.
func (s *State) shareSettings(now time.Time) []protocol.LegUpdate {
	h := &s.shared
	keys := h.changed
	h.changed = nil
	if h.due && now.Sub(h.dueAt) >= answerAgain {
		keys = slices.Sorted(maps.Keys(h.settings))
	}
	var updates []protocol.LegUpdate
	for part := range slices.Chunk(keys, protocol.MaxLegPeople) {
		u := protocol.LegUpdate{Version: s.version}
		for _, key := range part {
			u.Settings = append(u.Settings, h.settings[key])
		}
		updates = append(updates, u)
	}
	return updates
}

// shareChat returns the messages with what was said here, or if somebody asks
// all that is kept.
func (s *State) shareChat(now time.Time) []protocol.LegChat {
	h := &s.shared
	said := h.mine
	h.mine = nil
	if h.due && now.Sub(h.dueAt) >= answerAgain {
		h.due, h.dueAt = false, now
		said = h.chat
	}
	var chats []protocol.LegChat
	for part := range slices.Chunk(said, protocol.MaxLegChat) {
		chats = append(chats, protocol.LegChat{Messages: slices.Clone(part)})
	}
	return chats
}

// watch asks for what is shared when it differs lastingly: what is on its way
// makes it differ for a moment.
func (s *State) watch(l *leg, u *protocol.LegUpdate, now time.Time) {
	h := &s.shared
	theirs, ours := [2]digest{digest(u.Set), digest(u.Chat)}, [2]digest{h.set, h.said}
	if theirs == ours {
		l.odd = odd{}
		return
	}
	if len(u.Changed)+len(u.Left)+len(u.Settings) > 0 || u.Whole {
		return // heartbeats are a measure of time
	}
	unchanged := l.odd.times > 0 && l.odd.theirs == theirs && l.odd.ours == ours
	l.odd = odd{theirs: theirs, ours: ours, times: l.odd.times + 1}
	if (unchanged || l.odd.times >= oddBeats) && now.Sub(h.askedAt) >= shareAgain {
		h.askedAt, l.odd.times = now, 0
		s.asks = append(s.asks, protocol.LegAsk{Zone: l.at.Zone, MMR: l.at.MMR, Shared: true})
	}
}
