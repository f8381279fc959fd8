package client

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"causeway/client/connect"
	"causeway/protocol"
)

const (
	// refreshAfter is how old the package may grow before a new one is
	// fetched: whoever has to come back needs controllers that still exist
	// and a token that is still valid, even when web is gone by then. Up to
	// half of it is left to chance, so that a meeting does not ask at once.
	refreshAfter  = 20 * time.Minute
	refreshBudget = 30 * time.Second
)

// lookupRequest asks for a package, as the same participant if there is a
// token.
func (m *Meeting) lookupRequest(token string) protocol.LookupRequest {
	return protocol.LookupRequest{Name: m.options.Name, Token: token, Client: m.options.info()}
}

// identity is what a participant that comes back presents: its token and the
// zone it was in.
func (m *Meeting) identity() (token, zone string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pkg.Token, m.zone
}

// identify takes a package: who we are and where the zones are.
func (m *Meeting) identify(pkg protocol.Package) {
	m.mu.Lock()
	defer m.mu.Unlock()
	role := m.self.Role
	again := m.self.ID == pkg.Participant.ID && role != ""
	m.pkg, m.self, m.info = pkg, pkg.Participant, pkg.Meeting
	if again { // hosts may have changed it since
		m.self.Role = role
	}
	if m.publisher != nil {
		m.publisher.hold(m.self.Role == protocol.Attendee)
	}
}

// known are the token and the zones for coming back: that of last time first.
func (m *Meeting) known(zone string) (token string, zones []protocol.Zone) {
	m.mu.Lock()
	defer m.mu.Unlock()
	zones = slices.Clone(m.pkg.Zones)
	if i := slices.IndexFunc(zones, func(z protocol.Zone) bool { return z.ID == zone }); i > 0 {
		z := zones[i]
		zones = slices.Insert(slices.Delete(zones, i, i+1), 0, z)
	}
	return m.pkg.Token, zones
}

// controllerOf is the address of the controller that admitted us; "" if the
// package does not have it any more.
func (m *Meeting) controllerOf(a *admission) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, z := range m.pkg.Zones {
		for _, c := range z.Controllers {
			if z.ID == a.answer.Zone && c.ID == a.answer.Controller {
				return c.URL
			}
		}
	}
	return ""
}

// keepPackage fetches a new package now and then. What web does not answer
// now it may answer the next time.
func (m *Meeting) keepPackage() {
	for pause(m.ctx, m.nextPackage(time.Now())) {
		ctx, cancel := context.WithTimeout(m.ctx, refreshBudget)
		token, _ := m.identity()
		// A join of its own for the report's sake: it tells of the first.
		pkg, err := connect.Lookup(ctx, m.network, m.link, m.lookupRequest(token), connect.NewRecorder(time.Now()))
		cancel()
		if err != nil {
			m.options.Log.Info("the way back is not refreshed", "err", err)
			continue
		}
		m.mu.Lock()
		m.pkg = pkg
		m.mu.Unlock()
	}
}

// nextPackage is how long to wait until the next one: less if the token would
// not be valid for so long.
func (m *Meeting) nextPackage(now time.Time) time.Duration {
	m.mu.Lock()
	expires := m.pkg.TokenExpiresAt
	m.mu.Unlock()
	wait := refreshAfter
	if !expires.IsZero() {
		wait = min(wait, expires.Sub(now)/2)
	}
	wait = max(wait, time.Minute)
	return wait/2 + rand.N(wait/2)
}
