package delivery

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// database writes a database in MaxMind's format.
func database(t *testing.T) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	place := func(lat, lon float64) mmdbtype.Map {
		return mmdbtype.Map{
			"city":     mmdbtype.Map{"geoname_id": mmdbtype.Uint32(7)},
			"location": mmdbtype.Map{"latitude": mmdbtype.Float64(lat), "longitude": mmdbtype.Float64(lon), "time_zone": mmdbtype.String("x")},
		}
	}
	for cidr, record := range map[string]mmdbtype.Map{
		"203.0.113.0/24":  place(25, 121),
		"2001:db8::/32":   place(50, 8),
		"198.51.100.0/25": {"country": mmdbtype.Map{"iso_code": mmdbtype.String("TW")}},
		"192.0.2.0/24":    place(1234, 5),
		"192.0.3.0/24":    {"location": mmdbtype.String("not a place")},
	} {
		_, network, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, record); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "city.mmdb")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLocate(t *testing.T) {
	l, err := NewLocator(map[netip.Prefix]Place{
		netip.MustParsePrefix("10.1.2.3/8"):      {1, 1},
		netip.MustParsePrefix("10.1.0.0/16"):     {2, 2},
		netip.MustParsePrefix("203.0.113.64/26"): {3, 3},
	}, database(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, address string
		want          *Place
	}{
		{"given", "10.2.0.1", &Place{1, 1}},
		{"given, narrower", "10.1.255.255", &Place{2, 2}},
		{"given, IPv4 in IPv6", "::ffff:10.1.0.1", &Place{2, 2}},
		{"given before database", "203.0.113.65", &Place{3, 3}},
		{"database", "203.0.113.1", &Place{25, 121}},
		{"database, IPv4 in IPv6", "::ffff:203.0.113.1", &Place{25, 121}},
		{"database, IPv6", "2001:db8::1", &Place{50, 8}},
		{"database, with a zone", "2001:db8::1%eth0", &Place{50, 8}},
		{"no location in database", "198.51.100.1", nil},
		{"nonsense in database", "192.0.2.1", nil},
		{"another type in database", "192.0.3.1", nil},
		{"unknown", "8.8.8.8", nil},
		{"unknown IPv6", "2001:4860::8888", nil},
		{"no address", "", nil},
	} {
		a, _ := netip.ParseAddr(c.address)
		got := l.Locate(a)
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestLocatorWithoutDatabase(t *testing.T) {
	l, err := NewLocator(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Locate(netip.MustParseAddr("203.0.113.1")); got != nil {
		t.Errorf("located at %v", got)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestBadDatabase(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.mmdb")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{text, filepath.Join(t.TempDir(), "none.mmdb")} {
		if _, err := NewLocator(nil, file); err == nil {
			t.Errorf("%s was opened", file)
		}
	}
}
