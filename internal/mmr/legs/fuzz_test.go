package legs

import (
	"encoding/json"
	"testing"
	"time"

	"causeway/protocol"
)

// FuzzHear feeds a leg with what others may say: whatever it is, the leg's
// own people are there, and what it knows of others is within its bounds.
func FuzzHear(f *testing.F) {
	for _, seed := range []string{
		`{"update":{"epoch":1,"version":1,"changed":[{"participant":{"id":"p1"},"revision":1,"admitted":5,"established":true}]}}`,
		`{"update":{"epoch":1,"version":3,"whole":true,"part":0,"parts":2,"changed":[{"participant":{"id":"p1"}}]}}`,
		`{"update":{"epoch":1,"version":3,"whole":true,"part":1,"parts":-2}}`,
		`{"update":{"epoch":9,"gone":true,"settings":[{"key":"k","value":"v","clock":18446744073709551615,"by":"z/r"}]}}`,
		`{"chat":{"messages":[{"id":"c","at":"2026-01-02T03:04:05Z"}]},"ask":{"people":true,"shared":true}}`,
		`{"update":{"epoch":1,"version":2,"left":[{"id":"me","reason":"resumed"}]}}`,
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		s := New(Config{Self: Address{"z", "r"}, Epoch: 1}, now)
		s.Put(protocol.LegPerson{Participant: protocol.Participant{ID: "me"}, Admitted: 7, Established: true})
		for _, data := range [][]byte{first, second, first} {
			var said struct {
				Update *protocol.LegUpdate `json:"update"`
				Chat   protocol.LegChat    `json:"chat"`
				Ask    protocol.LegAsk     `json:"ask"`
			}
			if json.Unmarshal(data, &said) != nil {
				return
			}
			now = now.Add(Coalesce)
			if said.Update != nil {
				s.Hear(Address{"z", "other"}, said.Update, now)
			}
			s.HearChat(&said.Chat)
			s.Asked(said.Ask, now)
			for _, u := range s.Poll(now).Updates {
				if len(u.Changed) > protocol.MaxLegPeople || len(u.Settings) > protocol.MaxLegPeople {
					t.Fatalf("a message with %d people and %d settings", len(u.Changed), len(u.Settings))
				}
			}
			for id := range s.TakePeople() {
				s.Shown(id)
			}
		}
		if _, there := s.Shown("me"); !there {
			t.Error("somebody else took one of this leg's own people out")
		}
		if len(s.Chat()) > MaxChat {
			t.Errorf("%d messages are kept", len(s.Chat()))
		}
	})
}
