package web

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"causeway/internal/base/config"
	"causeway/internal/limit"
	"causeway/internal/web/delivery"
	"causeway/internal/web/gateway"
	"causeway/protocol"
)

// Who may create meetings.
const (
	CreationAnyone = "anyone"
	CreationAPIKey = "api_key"
)

// maxTokenLifetime is how long a join token may be valid at most.
const maxTokenLifetime = 24 * time.Hour

// Config is the configuration of a web node.
type Config struct {
	// ID names this node among the web nodes; empty is "web".
	ID string `yaml:"id"`
	// PublicURL is the address at which people reach the site, the beginning
	// of every join link: https://HOST[:PORT]. When it is empty, links begin
	// with the address that the client itself used.
	PublicURL string `yaml:"public_url"`
	// Hubs are where zones, routers and tunnels reach the web nodes' bus, all
	// of them: HOST:PORT. When it is empty, the address of PublicURL.
	Hubs []string `yaml:"hubs"`
	// Creation says who may create meetings: api_key, or anyone who can load
	// the site.
	Creation string `yaml:"creation"`
	// GeoIP is a database in MaxMind's format that tells where addresses are,
	// "" for none.
	GeoIP string `yaml:"geoip"`
	// Networks tells where networks are that the database does not know or
	// has wrong, by CIDR.
	Networks map[string]delivery.Place `yaml:"networks"`
	// TrustedProxies are the CIDRs of reverse proxies in front of web, whose
	// X-Forwarded-For is believed.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// TokenLifetime is how long a join token is valid.
	TokenLifetime time.Duration `yaml:"token_lifetime"`
	// ReportRetention is how long join reports are kept, ReportCount how many at
	// most, and ReportBytes how large together: else the oldest go.
	ReportRetention time.Duration `yaml:"report_retention"`
	ReportCount     int           `yaml:"report_count"`
	ReportBytes     int64         `yaml:"report_bytes"`
	Limits          Limits        `yaml:"limits"`
	// Gateway is what browsers that reach nothing else are given.
	Gateway gateway.Config `yaml:"gateway"`
}

// Limits say how much one client address may do.
type Limits struct {
	// Lookups are all lookups. A whole company may share one address, and all
	// of it may come to one meeting.
	Lookups limit.Rate `yaml:"lookups"`
	// Wrong are lookups with a wrong number, passcode or invitation, for one
	// meeting; for all meetings together it is five times as many.
	Wrong limit.Rate `yaml:"wrong"`
	// Creations are meetings created without an API key.
	Creations limit.Rate `yaml:"creations"`
	// Reports are join reports.
	Reports limit.Rate `yaml:"reports"`
	// Keys are requests with an API key that is not valid.
	Keys limit.Rate `yaml:"keys"`
}

// DefaultConfig is what a web node runs with unless told otherwise.
func DefaultConfig() Config {
	return Config{
		Creation:        CreationAPIKey,
		Gateway:         gateway.DefaultConfig(),
		TokenLifetime:   2 * time.Hour,
		ReportRetention: 30 * 24 * time.Hour,
		ReportCount:     200_000,
		ReportBytes:     1 << 30,
		Limits: Limits{
			Lookups:   limit.Rate{PerMinute: 1200, Burst: 1000},
			Wrong:     limit.Rate{PerMinute: 10, Burst: 10},
			Creations: limit.Rate{PerMinute: 30, Burst: 60},
			Reports:   limit.Rate{PerMinute: 600, Burst: 1000},
			Keys:      limit.Rate{PerMinute: 10, Burst: 20},
		},
	}
}

// Check returns everything that is wrong with the configuration.
func (c Config) Check() []config.Issue {
	var issues []config.Issue
	add := func(field, problem, remedy string) {
		issues = append(issues, config.Issue{Field: field, Problem: problem, Remedy: remedy})
	}
	if c.ID != "" && !protocol.ValidID(c.ID) {
		add("id", fmt.Sprintf("%q cannot be an id", c.ID), "use lower-case letters, digits and hyphens, another for each web server")
	}
	if c.PublicURL != "" && !validBase(c.PublicURL) {
		add("public_url", fmt.Sprintf("%q is not the address of a site", c.PublicURL), "write https://HOST[:PORT] without a path")
	}
	for i, hub := range c.Hubs {
		if host, port, err := net.SplitHostPort(hub); err != nil || host == "" || port == "" {
			add(fmt.Sprintf("hubs[%d]", i), fmt.Sprintf("%q is not the address of a server", hub), "write HOST:PORT")
		}
	}
	if c.Creation != CreationAnyone && c.Creation != CreationAPIKey {
		add("creation", fmt.Sprintf("%q is unknown", c.Creation), "write anyone or api_key")
	}
	for _, cidr := range slices.Sorted(maps.Keys(c.Networks)) {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			add("networks", fmt.Sprintf("%q is not a network", cidr), "write ADDRESS/BITS, for example 192.0.2.0/24")
		}
		if at := c.Networks[cidr]; !at.Valid() {
			add("networks", fmt.Sprintf("%s is at %g, %g, which is nowhere on Earth", cidr, at.Lat, at.Lon), "use lat -90…90 and lon -180…180, in degrees")
		}
	}
	for i, cidr := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			add(fmt.Sprintf("trusted_proxies[%d]", i), fmt.Sprintf("%q is not a network", cidr), "write ADDRESS/BITS, for example 192.0.2.7/32")
		}
	}
	if c.TokenLifetime < time.Minute || c.TokenLifetime > maxTokenLifetime {
		add("token_lifetime", fmt.Sprintf("%v is out of range", c.TokenLifetime), "use 1m to 24h")
	}
	if c.ReportRetention < time.Hour {
		add("report_retention", fmt.Sprintf("%v is too short", c.ReportRetention), "use 1h or more")
	}
	if c.ReportCount < 1 {
		add("report_count", "is not positive", "use how many reports are kept at most")
	}
	if c.ReportBytes < maxReport {
		add("report_bytes", "has no room for a report", fmt.Sprintf("use %d or more", maxReport))
	}
	issues = append(issues, config.Prefix("limits", c.Limits.check())...)
	return append(issues, config.Prefix("gateway", c.Gateway.Check())...)
}

func (l Limits) check() []config.Issue {
	var issues []config.Issue
	for _, r := range []struct {
		field string
		rate  limit.Rate
	}{{"lookups", l.Lookups}, {"wrong", l.Wrong}, {"creations", l.Creations}, {"reports", l.Reports}, {"keys", l.Keys}} {
		if !(r.rate.PerMinute > 0) {
			issues = append(issues, config.Issue{Field: r.field + ".per_minute", Problem: "is not positive", Remedy: "use how many are allowed in a minute"})
		}
		if r.rate.Burst < 1 {
			issues = append(issues, config.Issue{Field: r.field + ".burst", Problem: "is not positive", Remedy: "use how many are allowed at once"})
		}
	}
	return issues
}

// validBase reports whether s is an address to which paths can be appended.
func validBase(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil &&
		cmp.Or(u.Path, "/") == "/" && u.RawQuery == "" && u.Fragment == ""
}
