package web

import (
	"strings"
	"testing"

	"causeway/protocol"
)

// TestWebinar holds as what each link of a webinar lets people in.
func TestWebinar(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		n.open("eu")
		m := n.create(protocol.CreateMeeting{Kind: protocol.KindWebinar})
		plain := n.create(protocol.CreateMeeting{})
		if m.Kind != protocol.KindWebinar || plain.Kind != protocol.KindMeeting || plain.PanelURL != "" {
			t.Errorf("created %+v and %+v", m, plain)
		}
		_, host, _ := strings.Cut(m.HostURL, "&host=")
		join, panel, _ := strings.Cut(m.PanelURL, "&panel=")
		if panel == "" || panel == host || join != m.JoinURL {
			t.Errorf("panellists' link %s", m.PanelURL)
		}
		for role, body := range map[protocol.Role]protocol.LookupRequest{
			protocol.Host:     {Name: "A", Invitation: host},
			protocol.Guest:    {Name: "A", Invitation: panel},
			protocol.Attendee: {Name: "A", Passcode: m.Passcode},
		} {
			p := get[protocol.Package](n, 200, request{method: "POST", path: lookupPath(m.Number), body: body})
			if p.Participant.Role != role || p.Meeting.Kind != protocol.KindWebinar {
				t.Errorf("let in as %s to %+v, want %s", p.Participant.Role, p.Meeting, role)
			}
			claims, err := n.verifier.Verify(p.Token, p.TokenExpiresAt)
			if err != nil || claims.Role != role || claims.Kind != protocol.KindWebinar {
				t.Errorf("claims %+v, %v", claims, err)
			}
			again := get[protocol.Package](n, 200, request{
				method: "POST", path: lookupPath(m.Number), body: protocol.LookupRequest{Name: "A", Token: p.Token},
			})
			if again.Participant != p.Participant {
				t.Errorf("back as %+v, was %+v", again.Participant, p.Participant)
			}
		}
		for _, number := range []string{m.Number, plain.Number} {
			n.fails(protocol.ProblemBadInvitation, request{
				method: "POST", path: lookupPath(number), body: protocol.LookupRequest{Name: "A", Invitation: panel + "x"},
			})
		}
		n.fails(protocol.ProblemBadInvitation, request{
			method: "POST", path: lookupPath(plain.Number), body: protocol.LookupRequest{Name: "A", Invitation: panel},
		})
	})
}
