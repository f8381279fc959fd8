package mmr

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"causeway/internal/base/config"
	"causeway/internal/load"
	"causeway/protocol"
)

// Config is a router's configuration.
type Config struct {
	// ID names this router in its zone, Zone the zone.
	ID   string `yaml:"id"`
	Zone string `yaml:"zone"`
	// ControlURL is the public address of the control channel,
	// wss://host[:port]/mmr/v1/control; LocalControlURL the plain one for
	// browsers on the same machine, "" if there is none.
	ControlURL      string `yaml:"control_url"`
	LocalControlURL string `yaml:"local_control_url"`
	// MediaListen is the address of the media port.
	MediaListen string `yaml:"media_listen"`
	// MediaTCP takes media over TCP too, on the same address and port.
	MediaTCP bool `yaml:"media_tcp"`
	// MediaTLS is where clients reach this router's TLS port for media and
	// TURN, host:port, if not at ControlURL's host: behind a load balancer that
	// opens the control channel's TLS it must be passed on as it is.
	MediaTLS string `yaml:"media_tls"`
	// PublicAddresses are told to clients as the router's addresses; empty
	// means all addresses of this machine.
	PublicAddresses []string `yaml:"public_addresses"`
	// OnPremises says that other routers cannot reach this one: it dials them.
	OnPremises bool `yaml:"on_premises"`
	// Shards is the number of sockets of the media port; 0 is one per core.
	Shards int `yaml:"shards"`
	// Drain is how long a drain takes at most, unless it is asked otherwise.
	Drain  time.Duration `yaml:"drain"`
	Limits Limits        `yaml:"limits"`
}

// Limits say how much a router takes on. 0 is no limit.
type Limits struct {
	Participants     int     `yaml:"participants"`
	PacketsPerSecond float64 `yaml:"packets_per_s"` // in and out
	EgressBPS        float64 `yaml:"egress_bps"`    // bits per second
	load.Process     `yaml:",inline"`
}

// DefaultConfig is what a router runs with unless told otherwise.
func DefaultConfig() Config {
	return Config{
		ID:          "mmr-1",
		Zone:        "zone-1",
		ControlURL:  "wss://localhost:8443" + protocol.PathControl,
		MediaListen: ":" + strconv.Itoa(protocol.MediaPort),
		MediaTCP:    true,
		Drain:       5 * time.Minute,
		Limits:      Limits{Participants: 1000},
	}
}

// Check returns everything that is wrong with the configuration.
func (c Config) Check() []config.Issue {
	var issues []config.Issue
	add := func(field, problem, remedy string) {
		issues = append(issues, config.Issue{Field: field, Problem: problem, Remedy: remedy})
	}
	if !protocol.ValidID(c.ID) {
		add("id", fmt.Sprintf("%q is not an id", c.ID), "use 1 to 63 lower-case letters, digits and hyphens")
	}
	if !protocol.ValidID(c.Zone) {
		add("zone", fmt.Sprintf("%q is not an id", c.Zone), "use the id of the zone this router belongs to")
	}
	if !validURL(c.ControlURL, "wss", "ws") {
		add("control_url", fmt.Sprintf("%q is not a WebSocket address", c.ControlURL),
			"write wss://HOST[:PORT]"+protocol.PathControl)
	}
	if c.LocalControlURL != "" && !validURL(c.LocalControlURL, "ws") {
		add("local_control_url", fmt.Sprintf("%q is not a plain WebSocket address", c.LocalControlURL),
			"write ws://localhost:PORT"+protocol.PathControl+" or leave it out")
	}
	if _, err := parseListen(c.MediaListen); err != nil {
		add("media_listen", err.Error(), "write :8801 or ADDRESS:PORT")
	}
	if host, port, err := net.SplitHostPort(c.MediaTLS); c.MediaTLS != "" && (err != nil || host == "" || port == "") {
		add("media_tls", fmt.Sprintf("%q is not a host and port", c.MediaTLS), "write HOST:PORT, or leave it out")
	}
	for i, a := range c.PublicAddresses {
		if addr, err := netip.ParseAddr(a); err != nil || addr.IsUnspecified() {
			add(fmt.Sprintf("public_addresses[%d]", i), fmt.Sprintf("%q is not an IP address", a),
				"write the address at which clients reach this router, without a port")
		}
	}
	if c.Shards < 0 || c.Shards > 256 {
		add("shards", fmt.Sprintf("%d is out of range", c.Shards), "use 0 (one per core) to 256")
	}
	if c.Drain <= 0 || c.Drain > protocol.MaxDrainMS*time.Millisecond {
		add("drain", fmt.Sprintf("%v is no time for that", c.Drain), "use 1s to 24h, such as 5m")
	}
	return append(issues, config.Prefix("limits", c.Limits.check())...)
}

func (l Limits) check() []config.Issue {
	issues := l.Process.Check()
	for _, v := range []struct {
		field string
		value float64
	}{{"participants", float64(l.Participants)}, {"packets_per_s", l.PacketsPerSecond}, {"egress_bps", l.EgressBPS}} {
		if !(v.value >= 0) {
			issues = append(issues, config.Issue{Field: v.field, Problem: "is negative", Remedy: "use a positive limit, or 0 for none"})
		}
	}
	return issues
}

func validURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return false
	}
	for _, scheme := range schemes {
		if u.Scheme == scheme {
			return true
		}
	}
	return false
}

// parseListen reads "ADDRESS:PORT"; without ADDRESS it is every address.
func parseListen(s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not an address with a port", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not a port", port)
	}
	if host == "" || host == "*" {
		return netip.AddrPortFrom(netip.Addr{}, uint16(n)), nil
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not an IP address", host)
	}
	return netip.AddrPortFrom(addr, uint16(n)), nil
}
