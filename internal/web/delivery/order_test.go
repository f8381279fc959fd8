package delivery

import (
	"net/netip"
	"testing"

	"causeway/protocol"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	taipei    = Place{25.03, 121.57}
	tokyo     = Place{35.68, 139.69}
	frankfurt = Place{50.11, 8.68}
	oregon    = Place{45.84, -119.7}
)

// zone makes an open zone with one controller.
func zone(id string, change ...func(*Zone)) Zone {
	z := Zone{ID: id, State: protocol.ZoneOpen, Controllers: []Controller{{ID: "c1", URL: "https://" + id}}}
	for _, f := range change {
		f(&z)
	}
	return z
}

func at(p Place) func(*Zone)                    { return func(z *Zone) { z.At = &p } }
func load(l float64) func(*Zone)                { return func(z *Zone) { z.Load = l } }
func weight(ms float64) func(*Zone)             { return func(z *Zone) { z.Weight = ms } }
func state(s protocol.ZoneStatus) func(*Zone)   { return func(z *Zone) { z.State = s } }
func noControllers(z *Zone)                     { z.Controllers = nil }
func onPremises(networks ...string) func(*Zone) { return func(z *Zone) { setOnPremises(z, networks) } }

func setOnPremises(z *Zone, networks []string) {
	z.OnPremises = true
	for _, n := range networks {
		z.Networks = append(z.Networks, netip.MustParsePrefix(n))
	}
}

func TestOrder(t *testing.T) {
	world := []Zone{zone("oregon", at(oregon)), zone("frankfurt", at(frankfurt)), zone("tokyo", at(tokyo))}
	for _, c := range []struct {
		name   string
		client string
		at     *Place
		zones  []Zone
		want   []string
	}{
		{"nothing", "198.51.100.1", nil, nil, []string{}},
		{"nearest first", "198.51.100.1", &taipei, world, []string{"tokyo", "frankfurt", "oregon"}},
		{"nearest elsewhere", "198.51.100.1", &frankfurt, world, []string{"frankfurt", "oregon", "tokyo"}},
		{"place unknown: by id", "198.51.100.1", nil, world, []string{"frankfurt", "oregon", "tokyo"}},
		{
			"place unknown: by load", "198.51.100.1", nil,
			[]Zone{zone("a", load(.9)), zone("b", load(.2)), zone("c", load(.5))},
			[]string{"b", "c", "a"},
		},
		{
			"a little load does not outweigh an ocean", "198.51.100.1", &taipei,
			[]Zone{zone("oregon", at(oregon)), zone("tokyo", at(tokyo), load(.9))},
			[]string{"tokyo", "oregon"},
		},
		{
			"load between neighbours", "198.51.100.1", &taipei,
			[]Zone{zone("near", at(taipei), load(.95)), zone("tokyo", at(tokyo))},
			[]string{"tokyo", "near"},
		},
		{
			"weight", "198.51.100.1", &taipei,
			[]Zone{zone("oregon", at(oregon)), zone("tokyo", at(tokyo), weight(500))},
			[]string{"oregon", "tokyo"},
		},
		{
			"negative weight", "198.51.100.1", &taipei,
			[]Zone{zone("oregon", at(oregon), weight(-500)), zone("tokyo", at(tokyo))},
			[]string{"oregon", "tokyo"},
		},
		{
			"place of zone unknown: between near and far", "198.51.100.1", &taipei,
			[]Zone{zone("oregon", at(oregon)), zone("somewhere"), zone("tokyo", at(tokyo))},
			[]string{"tokyo", "somewhere", "oregon"},
		},
		{
			"only open zones", "198.51.100.1", nil,
			[]Zone{
				zone("full", state(protocol.ZoneFull)), zone("draining", state(protocol.ZoneDraining)), zone("empty", state(protocol.ZoneEmpty)),
				zone("new", state("unheard of")), zone("none", noControllers), zone("open"),
			},
			[]string{"open"},
		},
		{
			"own on-premises first, however far and loaded", "10.1.2.3", &taipei,
			[]Zone{zone("tokyo", at(tokyo)), zone("office", at(oregon), load(.99), onPremises("10.0.0.0/8"))},
			[]string{"office", "tokyo"},
		},
		{
			"narrowest network first", "10.1.2.3", nil,
			[]Zone{zone("a", onPremises("10.0.0.0/8")), zone("b", onPremises("192.168.0.0/16", "10.1.0.0/16")), zone("c")},
			[]string{"b", "a", "c"},
		},
		{
			"IPv6", "2001:db8:1::5", nil,
			[]Zone{zone("a"), zone("office", onPremises("2001:db8:1::/48"))},
			[]string{"office", "a"},
		},
		{
			"IPv4 in IPv6", "::ffff:10.1.2.3", nil,
			[]Zone{zone("a"), zone("office", onPremises("10.0.0.0/8"))},
			[]string{"office", "a"},
		},
		{
			"others' on-premises not offered", "198.51.100.1", nil,
			[]Zone{zone("a"), zone("b"), zone("office", onPremises("10.0.0.0/8"))},
			[]string{"a", "b"},
		},
		{
			"others' on-premises as the second of two", "198.51.100.1", nil,
			[]Zone{zone("z"), zone("office", onPremises("10.0.0.0/8")), zone("other", onPremises())},
			[]string{"z", "office"},
		},
		{
			"others' on-premises when there is nothing else", "198.51.100.1", nil,
			[]Zone{zone("office", onPremises("10.0.0.0/8"))},
			[]string{"office"},
		},
		{
			"own draining on-premises not offered", "10.1.2.3", nil,
			[]Zone{zone("a"), zone("b"), zone("office", onPremises("10.0.0.0/8"), state(protocol.ZoneDraining))},
			[]string{"a", "b"},
		},
		{"address unknown", "", nil, []Zone{zone("a"), zone("office", onPremises("0.0.0.0/0")), zone("b")}, []string{"a", "b"}},
		{
			"not all of many", "198.51.100.1", nil,
			[]Zone{zone("a"), zone("b"), zone("c"), zone("d"), zone("e"), zone("f"), zone("g")},
			[]string{"a", "b", "c", "d", "e", "f"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, _ := netip.ParseAddr(c.client) // "" is no address
			got := []string{}
			for _, o := range Order(client, c.at, c.zones) {
				got = append(got, o.ID)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("order (-want +got)\n%s", diff)
			}
		})
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		name     string
		a, b     *Place
		low, top float64
	}{
		{"unknown", nil, &tokyo, -1, -1},
		{"unknown too", &tokyo, nil, -1, -1},
		{"here", &tokyo, &tokyo, 0, 0},
		{"Taipei to Tokyo", &taipei, &tokyo, 2050, 2150},
		{"Frankfurt to Oregon", &frankfurt, &oregon, 8200, 8500},
		{"over the date line", &Place{0, 179}, &Place{0, -179}, 200, 240},
		{"pole to pole", &Place{90, 0}, &Place{-90, 77}, 20000, 20030},
		{"antipodes", &Place{0, 0}, &Place{0, 180}, 20000, 20030},
	} {
		if got := distance(c.a, c.b); got < c.low || got > c.top {
			t.Errorf("%s: %g km, want %g to %g", c.name, got, c.low, c.top)
		}
	}
}

// TestOrderHolds states what is true of any order.
func TestOrderHolds(t *testing.T) {
	states := []protocol.ZoneStatus{protocol.ZoneOpen, protocol.ZoneOpen, protocol.ZoneFull, protocol.ZoneDraining, protocol.ZoneEmpty}
	office := netip.MustParsePrefix("10.0.0.0/8")
	rapid.Check(t, func(t *rapid.T) {
		zones := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Zone {
			z := zone(rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "id"))
			z.State = rapid.SampledFrom(states).Draw(t, "state")
			z.Load = rapid.Float64().Draw(t, "load")
			z.Weight = rapid.Float64Range(-1e6, 1e6).Draw(t, "weight")
			z.At = rapid.Ptr(rapid.Custom(drawPlace), true).Draw(t, "at")
			if z.OnPremises = rapid.Bool().Draw(t, "on premises"); z.OnPremises {
				z.Networks = []netip.Prefix{office}
			}
			return z
		}), 0, 12, func(z Zone) string { return z.ID }).Draw(t, "zones")
		client := netip.MustParseAddr(rapid.SampledFrom([]string{"10.9.8.7", "198.51.100.1"}).Draw(t, "client"))
		offers := Order(client, rapid.Ptr(rapid.Custom(drawPlace), true).Draw(t, "client at"), zones)

		var open, public int
		for _, z := range zones {
			if z.State == protocol.ZoneOpen {
				open++
				if !z.OnPremises || office.Contains(client) {
					public++
				}
			}
		}
		if want := min(max(public, min(2, open)), MaxOffered); len(offers) != want {
			t.Fatalf("%d offers, want %d of %d open", len(offers), want, open)
		}
		seen, past := map[string]bool{}, false
		for _, o := range offers {
			own := o.OnPremises && office.Contains(client)
			if o.State != protocol.ZoneOpen || seen[o.ID] || own && past {
				t.Fatalf("offered %+v in %+v", o, offers)
			}
			seen[o.ID], past = true, past || !own
		}
	})
}

func drawPlace(t *rapid.T) Place {
	return Place{rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon")}
}
