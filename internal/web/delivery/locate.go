package delivery

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Locator guesses where an address is. It may be used from any number of
// goroutines.
type Locator struct {
	networks []network // the longest first
	geo      *maxminddb.Reader
}

type network struct {
	prefix netip.Prefix
	at     Place
}

// NewLocator makes a locator of networks whose places are known and of a
// database in MaxMind's format ("" is none) with the fields location.latitude
// and location.longitude, such as GeoLite2 City.
func NewLocator(known map[netip.Prefix]Place, file string) (*Locator, error) {
	l := &Locator{}
	for prefix, at := range known {
		l.networks = append(l.networks, network{prefix.Masked(), at})
	}
	slices.SortFunc(l.networks, func(a, b network) int {
		return cmp.Or(b.prefix.Bits()-a.prefix.Bits(), a.prefix.Addr().Compare(b.prefix.Addr()))
	})
	if file == "" {
		return l, nil
	}
	var err error
	if l.geo, err = maxminddb.Open(file); err != nil {
		return nil, fmt.Errorf("open Geo-IP database %s: %w", file, err)
	}
	return l, nil
}

// Close frees the database.
func (l *Locator) Close() error {
	if l.geo == nil {
		return nil
	}
	return l.geo.Close()
}

// Locate tells where an address is, nil if that is not known. Networks given
// by the operator come before the database.
func (l *Locator) Locate(a netip.Addr) *Place {
	a = a.Unmap()
	for _, n := range l.networks {
		if n.prefix.Contains(a) {
			at := n.at
			return &at
		}
	}
	if l.geo == nil || !a.IsValid() {
		return nil
	}
	// A database that lacks the fields, or is damaged here, is as good as one
	// that does not know the address.
	var record struct {
		Location *Place `maxminddb:"location"`
	}
	if err := l.geo.Lookup(a.WithZone("")).Decode(&record); err != nil || record.Location == nil {
		return nil
	}
	if at := *record.Location; at.Valid() {
		return &at
	}
	return nil
}
