package status

import (
	"cmp"
	"slices"
	"time"

	"causeway/protocol"
)

// Picture gives the whole system as it is known at a time: zones, servers and
// meetings, in an order that does not change from picture to picture.
func (b *Board) Picture(now time.Time) protocol.SystemStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := protocol.SystemStatus{At: now.UTC(), Zones: []protocol.ZoneOverview{}, Tunnels: []protocol.ServerOverview{}, Webs: []protocol.ServerOverview{}}
	zones := map[string]*zone{}
	for _, s := range b.servers {
		o := s.ServerOverview
		o.HeardMS = now.Sub(s.at).Milliseconds()
		switch s.Kind {
		case protocol.KindWeb:
			p.Webs = append(p.Webs, o)
		case protocol.KindTunnel:
			p.Tunnels = append(p.Tunnels, o)
		default:
			z := zones[s.Zone]
			if z == nil {
				z = &zone{ZoneOverview: protocol.ZoneOverview{ID: s.Zone, State: protocol.ZoneEmpty, Controllers: []protocol.ServerOverview{}, MMRs: []protocol.ServerOverview{}}}
				zones[s.Zone] = z
			}
			z.add(s, o)
		}
	}
	for _, z := range zones {
		for i, m := range z.MMRs {
			z.MMRs[i].Ailment = z.ailing[m.ID]
		}
		slices.SortFunc(z.Controllers, byID)
		slices.SortFunc(z.MMRs, byID)
		p.Zones = append(p.Zones, z.ZoneOverview)
		p.Participants += z.Participants
	}
	slices.SortFunc(p.Zones, func(a, b protocol.ZoneOverview) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(p.Tunnels, byID)
	slices.SortFunc(p.Webs, byID)
	p.Meetings, p.MeetingCount = b.meetings()
	return p
}

func byID(a, b protocol.ServerOverview) int { return cmp.Compare(a.ID, b.ID) }

// zone is a zone in the making.
type zone struct {
	protocol.ZoneOverview
	said   time.Time // when the controller spoke that is believed
	ailing map[string]protocol.Ailment
}

// add adds a controller or router. What the zone is, the controller says that
// was heard last; how many are in it, its routers.
func (z *zone) add(s *server, o protocol.ServerOverview) {
	if s.Kind == protocol.KindMMR {
		z.MMRs = append(z.MMRs, o)
		if o.Health != protocol.Silent {
			z.Participants += o.Participants
		}
		return
	}
	z.Controllers = append(z.Controllers, o)
	c := s.controller
	if z.Name == "" || s.at.After(z.said) {
		z.Name, z.OnPremises, z.Located, z.Lat, z.Lon = c.ZoneName, c.OnPremises, c.Located, c.Lat, c.Lon
		z.said = s.at
		if o.Health != protocol.Silent {
			z.State, z.Load, z.ailing = c.State, c.Load, c.Ailing
		}
	}
}

// meetings gives the largest meetings and counts all. Who was on a router that
// is silent is likely to be on another by now. The board is locked.
func (b *Board) meetings() ([]protocol.MeetingOverview, int) {
	byMeeting := map[string]*protocol.MeetingOverview{}
	for key, l := range b.legs {
		if s := b.servers[protocol.SubjectMMRState(key.zone, key.mmr)]; s != nil && s.Health == protocol.Silent {
			continue
		}
		m := byMeeting[key.meeting]
		if m == nil {
			m = &protocol.MeetingOverview{ID: key.meeting}
			byMeeting[key.meeting] = m
		}
		m.Participants += l.participants
		m.Legs = append(m.Legs, protocol.LegOverview{Zone: key.zone, MMR: key.mmr, Participants: l.participants})
	}
	all := make([]protocol.MeetingOverview, 0, len(byMeeting))
	for _, m := range byMeeting {
		slices.SortFunc(m.Legs, func(a, b protocol.LegOverview) int {
			return cmp.Or(b.Participants-a.Participants, cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.MMR, b.MMR))
		})
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b protocol.MeetingOverview) int {
		return cmp.Or(b.Participants-a.Participants, cmp.Compare(a.ID, b.ID))
	})
	return all[:min(len(all), protocol.MaxMeetingsShown)], len(all)
}
