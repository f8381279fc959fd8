package client

import (
	"slices"

	"causeway/protocol"
)

// arrange works out what to ask for when the program leaves it to us: as many
// cameras as there are slots, whoever speaks first, then who came first. A
// camera that is shown keeps its slot, so that pictures do not jump about. It
// is pure; had is what was asked for before.
func arrange(slots int, height int, self string, people []protocol.Participant, speakers []protocol.Speaker, had []protocol.SlotWant) []protocol.SlotWant {
	var order []string
	add := func(p *protocol.Participant) {
		if len(order) < slots && p.ID != self && !p.VideoMuted && !slices.Contains(order, p.ID) {
			order = append(order, p.ID)
		}
	}
	consider := func(id string) {
		if i := slices.IndexFunc(people, func(p protocol.Participant) bool { return p.ID == id }); i >= 0 {
			add(&people[i])
		}
	}
	speaks := func(id string) bool {
		return slices.ContainsFunc(speakers, func(s protocol.Speaker) bool { return s.Participant == id })
	}
	for _, w := range had { // not thrown out by somebody louder
		if speaks(w.Participant) {
			consider(w.Participant)
		}
	}
	for _, s := range speakers {
		consider(s.Participant)
	}
	for _, w := range had {
		consider(w.Participant)
	}
	for i := range people {
		add(&people[i])
	}
	wants := []protocol.SlotWant{}
	taken := map[protocol.SlotID]bool{}
	for _, w := range had {
		if i := slices.Index(order, w.Participant); i >= 0 {
			order = slices.Delete(order, i, i+1)
			taken[w.Slot] = true
			wants = append(wants, protocol.SlotWant{Slot: w.Slot, Participant: w.Participant, MaxHeight: height})
		}
	}
	for i := range slots {
		if id := slotID(protocol.Video, i); !taken[id] && len(order) > 0 {
			wants = append(wants, protocol.SlotWant{Slot: id, Participant: order[0], MaxHeight: height})
			order = order[1:]
		}
	}
	return wants
}
