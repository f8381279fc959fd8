package bus

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"causeway/internal/base/pki"
	"causeway/protocol"
)

// responseLife is how long an answer to a request may take.
const responseLife = 2 * time.Minute

// rights are the subjects on which somebody may speak and hear.
type rights struct{ speak, hear []string }

// permissions are the rights of a server that is connected over the network:
// to speak for itself and nobody else, and to hear what it works with. Web
// nodes, which are the hub, may everything.
func permissions(id pki.Identity) *server.Permissions {
	var r rights
	switch id.Role {
	case pki.RoleMMR:
		r = routerRights(id)
	case pki.RoleTunnel:
		r = tunnelRights(id)
	case pki.RoleController:
		// The controllers of a zone are a cluster, any of which carries what
		// the zone's servers say: the hub holds all of them to the zone.
		r = zoneRights(id.Zone)
	default:
		return nil
	}
	p := &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: r.speak},
		Subscribe: &server.SubjectPermission{Allow: r.hear},
	}
	if id.Role != pki.RoleController {
		p.Response = &server.ResponsePermission{MaxMsgs: 1, Expires: responseLife}
	}
	return p
}

// everyone may ask for the facts that web repeats, renew its certificate, and
// get answers.
func everyone(inbox string) rights {
	return rights{
		speak: []string{protocol.SubjectKeysAsk, protocol.SubjectRevokedAsk, protocol.SubjectRenew},
		hear:  []string{protocol.SubjectKeys, protocol.SubjectRevoked, inbox + ".>"},
	}
}

func (r rights) and(speak, hear []string) rights {
	return rights{append(r.speak, speak...), append(r.hear, hear...)}
}

// aMeeting is what any leg of a meeting may say, besides what it says of
// itself.
func aMeeting() []string {
	return []string{
		protocol.SubjectMeetingCommand("*"), protocol.SubjectMeetingAsk("*"), protocol.SubjectMeetingChat("*"),
		protocol.SubjectMeetingDo("*", "*", "*"),
		protocol.SubjectMeetingEnded, protocol.SubjectMeetingsEndedAsk,
		"zone.*.mmr.*.relay",
	}
}

func routerRights(id pki.Identity) rights {
	z, m := id.Zone, id.Name
	return everyone(inbox(id)).and(aMeeting(), nil).and(
		[]string{protocol.SubjectMMRState(z, m), protocol.SubjectLeg(z, m), protocol.SubjectMeetingLeg("*", z, m)},
		[]string{protocol.SubjectMeetingsEnded, protocol.SubjectZoneAsk(z), "zone." + z + ".mmr." + m + ".*", protocol.SubjectMeeting("*")},
	)
}

func tunnelRights(id pki.Identity) rights {
	return everyone(inbox(id)).and(
		[]string{protocol.SubjectTunnel(id.Name), protocol.SubjectHubAsk},
		[]string{protocol.SubjectHubAsk, protocol.SubjectControllers, protocol.SubjectMMRState("*", "*"), "tunnel." + id.Name + ".*"},
	)
}

func zoneRights(zone string) rights {
	own := "zone." + zone
	return everyone(inboxes+"."+own).and(aMeeting(), nil).and(
		// Answers go to inboxes whose names only those know who were asked.
		[]string{own + ".>", "hub." + own + ".>", protocol.SubjectMeetingLeg("*", zone, "*"), inboxes + ".>"},
		[]string{own + ".>", protocol.SubjectHubAsk, protocol.SubjectMeetingsEnded, protocol.SubjectMeeting("*")},
	)
}

// inboxes is where answers go.
const inboxes = "_INBOX"

// inbox is where answers to a server go: nobody else may listen there.
func inbox(id pki.Identity) string {
	switch id.Role {
	case pki.RoleController, pki.RoleMMR:
		return inboxes + ".zone." + id.Zone + "." + string(id.Role) + "." + id.Name
	}
	return inboxes + "." + string(id.Role) + "." + id.Name
}
