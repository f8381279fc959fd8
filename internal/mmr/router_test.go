package mmr

import (
	"testing"

	"causeway/protocol"
)

func TestSoundFlows(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{role: protocol.Host})
	bob := w.join("m1", "bob", wish{})
	ada.talk(20)
	w.until("bob hears ada", func() bool { return len(bob.conns[protocol.Audio].in("a1")) > 20 })
	w.until("bob is told", func() bool {
		return bob.slots()["a1"] == protocol.SlotState{Slot: "a1", Participant: "ada", Source: protocol.Mic}
	})
	got := bob.conns[protocol.Audio].in("a1")
	for i, p := range got {
		if string(p.Payload(p.raw)) != "sound of ada" || p.Sequence != got[0].Sequence+uint16(i) {
			t.Fatalf("packet %d: seq %d, %q", i, p.Sequence, p.Payload(p.raw))
		}
	}
	if n := len(ada.conns[protocol.Audio].in("a1")); n != 0 {
		t.Errorf("ada hears herself: %d packets", n)
	}
}
