package zone

import (
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"causeway/internal/base/config"
	"causeway/internal/load"
	"causeway/protocol"
)

// Config describes a zone controller and, since every controller speaks for
// its zone, the zone. All controllers of a zone carry the same zone fields.
type Config struct {
	// ID names this controller in its zone; empty takes the host name.
	ID string `yaml:"id"`
	// Zone names the zone; Name is what people read, empty takes Zone.
	Zone string `yaml:"zone"`
	Name string `yaml:"name"`
	// URL is where clients reach this controller; LocalURL a plain address
	// for browsers on the same machine, usually empty.
	URL      string `yaml:"url"`
	LocalURL string `yaml:"local_url"`
	// Weight is added, in milliseconds, to the round trip that clients
	// measure: more makes the zone less attractive.
	Weight float64 `yaml:"weight"`
	// Location is where the zone is, if that is to be used.
	Location *Location `yaml:"location"`
	// OnPremises marks a zone inside an organisation's network; clients in
	// Networks (CIDRs) are offered it first.
	OnPremises bool     `yaml:"on_premises"`
	Networks   []string `yaml:"networks"`
	// JoinsPerMinute and JoinBurst limit the joins of one participant, whom the
	// join token names; 0 is no limit. How many participants may come from one
	// address is web's to say, which gives out the tokens: here a whole company
	// may share one, and all who come through a web node's gateway do.
	JoinsPerMinute int `yaml:"joins_per_minute"`
	JoinBurst      int `yaml:"join_burst"`
	// Limits say when this controller is full: clients then prefer others.
	Limits load.Process `yaml:"limits"`
	// Drain is how long a drain takes at most, unless it is asked otherwise.
	Drain time.Duration `yaml:"drain"`
}

// Location is a place in degrees.
type Location struct {
	Lat float64 `yaml:"lat"`
	Lon float64 `yaml:"lon"`
}

// DefaultConfig is a zone of one controller. URL has no default.
func DefaultConfig() Config {
	return Config{Zone: "zone-1", Name: "Zone 1", JoinsPerMinute: 60, JoinBurst: 60, Drain: time.Minute}
}

// Check returns everything that is wrong.
func (c Config) Check() []config.Issue {
	var issues []config.Issue
	add := func(field, problem, remedy string) {
		issues = append(issues, config.Issue{Field: field, Problem: problem, Remedy: remedy})
	}
	const idRule = "use 1 to 63 lower-case letters, digits and hyphens"
	if c.ID != "" && !protocol.ValidID(c.ID) {
		add("id", fmt.Sprintf("%q cannot be an id", c.ID), idRule+", or leave it empty for the host name")
	}
	if !protocol.ValidID(c.Zone) {
		add("zone", fmt.Sprintf("%q cannot be an id", c.Zone), idRule)
	}
	if !isBase(c.URL, "https") {
		add("url", fmt.Sprintf("%q is not where clients could reach this controller", c.URL),
			"give its public address, https://HOST or https://HOST:PORT")
	}
	if c.LocalURL != "" && !isBase(c.LocalURL, "http") {
		add("local_url", fmt.Sprintf("%q is not a plain address", c.LocalURL), "use http://localhost:PORT, or leave it empty")
	}
	if c.Weight != c.Weight || c.Weight < -10000 || c.Weight > 10000 {
		add("weight", fmt.Sprintf("%v is not a sensible number of milliseconds", c.Weight), "use -10000 to 10000")
	}
	if l := c.Location; l != nil && !(l.Lat >= -90 && l.Lat <= 90 && l.Lon >= -180 && l.Lon <= 180) {
		add("location", fmt.Sprintf("%v, %v is nowhere on Earth", l.Lat, l.Lon), "use lat -90 to 90 and lon -180 to 180")
	}
	for i, n := range c.Networks {
		if _, err := netip.ParsePrefix(n); err != nil {
			add(fmt.Sprintf("networks[%d]", i), fmt.Sprintf("%q is not a network", n), "use CIDR notation, such as 10.0.0.0/8")
		}
	}
	if len(c.Networks) > 0 && !c.OnPremises {
		add("networks", "only on-premises zones are offered by network", "set on_premises: true, or remove the networks")
	}
	if c.JoinsPerMinute < 0 || c.JoinBurst < 0 {
		add("joins_per_minute", "a limit is negative", "use 0 for no limit")
	}
	if c.JoinsPerMinute > 0 && c.JoinBurst == 0 {
		add("join_burst", "is 0, so that nobody could join", "use at least 1")
	}
	if c.Drain <= 0 || c.Drain > protocol.MaxDrainMS*time.Millisecond {
		add("drain", fmt.Sprintf("%v is no time for that", c.Drain), "use 1s to 24h, such as 1m")
	}
	return append(issues, config.Prefix("limits", c.Limits.Check())...)
}

// isBase reports whether s is scheme://host[:port] and nothing more.
func isBase(s, scheme string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == scheme && u.Hostname() != "" && s == scheme+"://"+u.Host
}
