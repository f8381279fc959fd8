package delivery

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"causeway/protocol"
)

// MaxOffered is how many zones a client is offered at most: it connects to
// every controller of each.
const MaxOffered = 6

// atLeast is how many zones a client is offered if as many are alive.
const atLeast = 2

// What an estimated round trip is made of.
const (
	kmPerMS   = 50   // 100 km of fibre there and back take 1 ms, and cables go round about twice as far
	unknownKM = 5000 // taken for the distance of a zone that does not say where it is
	fullMS    = 50   // what a full zone is put back by; a half full one by a quarter of it
)

// Place is a place on Earth, in degrees.
type Place struct {
	Lat float64 `yaml:"lat" maxminddb:"latitude"`
	Lon float64 `yaml:"lon" maxminddb:"longitude"`
}

// Valid reports whether there is such a place.
func (p Place) Valid() bool {
	return p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180
}

// Zone is a meeting zone that is alive.
type Zone struct {
	ID          string
	Name        string
	At          *Place // nil: unknown
	OnPremises  bool
	Networks    []netip.Prefix // whose clients an on-premises zone is for
	Weight      float64        // milliseconds
	Load        float64        // 0 idle … 1 full
	State       protocol.ZoneStatus
	Controllers []Controller // by id
}

// Controller is one of a zone's controllers.
type Controller struct {
	ID       string
	URL      string
	LocalURL string // for browsers on the same machine, "" none
}

// Offer is a zone that a client is offered.
type Offer struct {
	Zone
	DistanceKM float64 // -1 unknown
	Own        bool    // on premises, and its networks hold the client
}

// Order gives the zones to offer to the client with this address, who is
// believed to be at the place, nil when unknown; best first.
//
// Only open zones are offered. First come the on-premises zones whose networks
// hold the client, the narrowest network first; then public zones by the round
// trip that distance, load and the operator's weight promise. An on-premises
// zone is not offered to others, except, as the last, when there would be
// fewer than two zones: it may be all that is left, and a client that cannot
// reach it finds that out itself.
func Order(client netip.Addr, at *Place, zones []Zone) []Offer {
	client = client.Unmap()
	type ranked struct {
		Offer
		rank int // 0 own on-premises, 1 public, 2 somebody else's on-premises
		bits int // of the network that holds the client
		cost float64
	}
	var all []ranked
	offered := 0
	for _, z := range zones {
		if z.State != protocol.ZoneOpen || len(z.Controllers) == 0 {
			continue
		}
		r := ranked{Offer: Offer{Zone: z, DistanceKM: distance(at, z.At)}, rank: 1}
		if z.OnPremises {
			r.rank, r.bits = 2, longest(client, z.Networks)
			if r.bits >= 0 {
				r.rank, r.Own = 0, true
			}
		}
		if r.rank < 2 {
			offered++
		}
		r.cost = cost(r.Offer, at != nil)
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(a.rank-b.rank, b.bits-a.bits, cmp.Compare(a.cost, b.cost), cmp.Compare(a.ID, b.ID))
	})
	keep := min(max(offered, atLeast), MaxOffered, len(all))
	offers := make([]Offer, keep)
	for i := range offers {
		offers[i] = all[i].Offer
	}
	return offers
}

// cost is the round trip to a zone as far as it can be guessed, in
// milliseconds, with its load and weight as penalties.
func cost(o Offer, located bool) float64 {
	km := o.DistanceKM
	switch {
	case !located:
		km = 0 // the same for all
	case km < 0:
		km = unknownKM
	}
	load := min(max(o.Load, 0), 1)
	return km/kmPerMS + fullMS*load*load + o.Weight
}

// longest is the length of the longest of the networks that hold the client,
// -1 if none does.
func longest(client netip.Addr, networks []netip.Prefix) int {
	bits := -1
	for _, n := range networks {
		if n.Contains(client) {
			bits = max(bits, n.Bits())
		}
	}
	return bits
}

// distance is the great-circle distance in kilometres (haversine formula), -1
// when a place is not known.
func distance(a, b *Place) float64 {
	if a == nil || b == nil {
		return -1
	}
	const earthKM = 6371
	rad := func(degrees float64) float64 { return degrees * math.Pi / 180 }
	lat, lon := math.Sin(rad(b.Lat-a.Lat)/2), math.Sin(rad(b.Lon-a.Lon)/2)
	h := lat*lat + math.Cos(rad(a.Lat))*math.Cos(rad(b.Lat))*lon*lon
	return math.Round(2 * earthKM * math.Asin(math.Sqrt(min(h, 1))))
}
