// Package tunnel is the HTTP tunnel: a TLS 443 server, in public clouds and
// data centres, for clients that reach nothing else of the system. For the
// bearer of a valid join token it connects to the system's own servers, and
// to nothing else: which those are it learns from the bus, not from the
// client. The bytes it carries are TLS between the client and that server.
//
// A stream is a WebSocket or, where middleboxes refuse those, a series of
// plain requests (see protocol/tunnel.go). Each WebSocket stream has two
// goroutines, each plain stream one; Run waits for all of them. Streams are
// bounded in number, in all and per participant, and in bytes per second.
package tunnel

import (
	"fmt"
	"os"
	"strings"
	"time"

	"causeway/internal/base/config"
	"causeway/protocol"
)

// Config is a tunnel's configuration.
type Config struct {
	// ID names the tunnel; the host's name by default.
	ID string `yaml:"id"`
	// URL is the base by which clients reach it, https://host[:port].
	URL string `yaml:"url"`
	// LocalURL is its plain address for clients on the same machine.
	LocalURL string `yaml:"local_url"`
	Limits   Limits `yaml:"limits"`
}

// Limits bound what a tunnel carries.
type Limits struct {
	Streams               int           `yaml:"streams"`                 // in all
	StreamsPerParticipant int           `yaml:"streams_per_participant"` //
	BytesPerSecond        int           `yaml:"bytes_per_second"`        // per participant, each direction
	Idle                  time.Duration `yaml:"idle"`                    // a stream without a byte is closed
}

// DefaultConfig returns what holds where the configuration is silent.
func DefaultConfig() Config {
	host, _ := os.Hostname()
	id := strings.ToLower(strings.SplitN(host, ".", 2)[0])
	if !protocol.ValidID(id) {
		id = "tunnel"
	}
	return Config{
		ID:     id,
		Limits: Limits{Streams: 10_000, StreamsPerParticipant: 16, BytesPerSecond: 4 << 20, Idle: 2 * time.Minute},
	}
}

// Check finds what is wrong with a configuration.
func (c Config) Check() []config.Issue {
	var issues []config.Issue
	add := func(field, problem, remedy string) {
		issues = append(issues, config.Issue{Field: field, Problem: problem, Remedy: remedy})
	}
	if !protocol.ValidID(c.ID) {
		add("id", fmt.Sprintf("%q is not an id", c.ID), "use 1 to 63 lower-case letters, digits and hyphens")
	}
	if !strings.HasPrefix(c.URL, "https://") {
		add("url", "it is not an https address", "write the address at which clients reach this tunnel, such as https://tunnel.example.org")
	}
	for field, v := range map[string]int{
		"limits.streams": c.Limits.Streams, "limits.streams_per_participant": c.Limits.StreamsPerParticipant,
		"limits.bytes_per_second": c.Limits.BytesPerSecond, "limits.idle": int(c.Limits.Idle),
	} {
		if v <= 0 {
			add(field, "it must be positive", "leave it out to have the default")
		}
	}
	return issues
}
