// Package tunnel is the HTTP tunnel: a TLS 443 server, in public clouds and
// data centres, for clients that reach nothing else of the system. For the
// bearer of a valid join token it connects to the system's own servers, and
// to nothing else: which those are it learns from the bus, not from the
// client; of them those that are not on the tunnel's own machine alone, or on no
// network that others reach (see base/target). The bytes it carries are TLS between
// the client and that server.
//
// A stream is a WebSocket or, where middleboxes refuse those, a series of
// plain requests (see protocol/tunnel.go). Each WebSocket stream has two
// goroutines, each plain stream one; Run waits for all of them. Streams are
// bounded in number, in all and per participant, and in bytes per second.
package tunnel

import (
	"fmt"
	"net/url"
	"time"

	"causeway/internal/base/config"
	"causeway/internal/load"
	"causeway/protocol"
)

// Config is a tunnel's configuration.
type Config struct {
	// ID names the tunnel, "" by the host's name.
	ID string `yaml:"id"`
	// URL is the base by which clients reach it, https://host[:port].
	URL string `yaml:"url"`
	// LocalURL is its plain address for clients on the same machine.
	LocalURL string `yaml:"local_url"`
	Limits   Limits `yaml:"limits"`
	// Drain is how long a drain takes at most, unless it is asked otherwise.
	Drain time.Duration `yaml:"drain"`
}

// Limits bound what a tunnel carries.
type Limits struct {
	Streams               int           `yaml:"streams"`                 // in all
	StreamsPerParticipant int           `yaml:"streams_per_participant"` //
	BytesPerSecond        int           `yaml:"bytes_per_second"`        // per participant, each direction
	Idle                  time.Duration `yaml:"idle"`                    // a stream without a byte is closed
	// EgressBPS (bits per second, in all; 0 is no limit), and what the process
	// uses, make the tunnel full: others are then offered instead.
	EgressBPS    float64 `yaml:"egress_bps"`
	load.Process `yaml:",inline"`
}

// DefaultConfig returns what holds where the configuration is silent.
func DefaultConfig() Config {
	return Config{
		Limits: Limits{Streams: 10_000, StreamsPerParticipant: 16, BytesPerSecond: 4 << 20, Idle: 2 * time.Minute},
		Drain:  5 * time.Minute,
	}
}

// Check finds what is wrong with a configuration.
func (c Config) Check() []config.Issue {
	var issues []config.Issue
	add := func(field, problem, remedy string) {
		issues = append(issues, config.Issue{Field: field, Problem: problem, Remedy: remedy})
	}
	if c.ID != "" && !protocol.ValidID(c.ID) {
		add("id", fmt.Sprintf("%q is not an id", c.ID), "use 1 to 63 lower-case letters, digits and hyphens, or leave it empty for the host name")
	}
	if !isBase(c.URL, "https") {
		add("url", "it is not an https address", "write the address at which clients reach this tunnel, such as https://tunnel.example.org")
	}
	if c.LocalURL != "" && !isBase(c.LocalURL, "http") {
		add("local_url", fmt.Sprintf("%q is not a plain address", c.LocalURL), "use http://localhost:PORT, or leave it empty")
	}
	for _, l := range []struct {
		field string
		value int
	}{
		{"limits.streams", c.Limits.Streams},
		{"limits.streams_per_participant", c.Limits.StreamsPerParticipant},
		{"limits.bytes_per_second", c.Limits.BytesPerSecond},
		{"limits.idle", int(c.Limits.Idle)},
		{"drain", int(c.Drain)},
	} {
		if l.value <= 0 {
			add(l.field, "it must be positive", "leave it out to have the default")
		}
	}
	if !(c.Limits.EgressBPS >= 0) {
		add("limits.egress_bps", "it is negative", "use a positive limit, or 0 for none")
	}
	return append(issues, config.Prefix("limits", c.Limits.Process.Check())...)
}

// isBase reports whether s is an address to which a path can be added.
func isBase(s, scheme string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == scheme && u.Hostname() != "" && u.User == nil && (u.Path == "" || u.Path == "/") &&
		u.RawQuery == "" && u.Fragment == ""
}
