package tunnel

import "testing"

func TestConfigCheck(t *testing.T) {
	good := DefaultConfig()
	good.URL = "https://tunnel.example.org"
	for _, c := range []struct {
		field  string // "" for no issue
		change func(*Config)
	}{
		{"", func(*Config) {}},
		{"", func(c *Config) { c.ID, c.URL, c.LocalURL = "t1", "https://192.0.2.1:8443/", "http://localhost:8080" }},
		{"id", func(c *Config) { c.ID = "T 1" }},
		{"url", func(c *Config) { c.URL = "" }},
		{"url", func(c *Config) { c.URL = "http://tunnel.example.org" }},
		{"url", func(c *Config) { c.URL = "https://" }},
		{"url", func(c *Config) { c.URL = "https://a@tunnel.example.org" }},
		{"url", func(c *Config) { c.URL = "https://tunnel.example.org/path" }},
		{"local_url", func(c *Config) { c.LocalURL = "https://localhost" }},
		{"limits.streams", func(c *Config) { c.Limits.Streams = 0 }},
		{"limits.streams_per_participant", func(c *Config) { c.Limits.StreamsPerParticipant = -1 }},
		{"limits.bytes_per_second", func(c *Config) { c.Limits.BytesPerSecond = 0 }},
		{"limits.egress_bps", func(c *Config) { c.Limits.EgressBPS = -1 }},
		{"limits.cpu", func(c *Config) { c.Limits.CPU = 2 }},
		{"drain", func(c *Config) { c.Drain = 0 }},
		{"limits.idle", func(c *Config) { c.Limits.Idle = 0 }},
	} {
		cfg := good
		c.change(&cfg)
		issues := cfg.Check()
		if c.field == "" && len(issues) > 0 || c.field != "" && (len(issues) != 1 || issues[0].Field != c.field) {
			t.Errorf("%q: %v", c.field, issues)
		}
		if _, err := New(cfg, Deps{}); (err == nil) != (c.field == "") {
			t.Errorf("%q: New: %v", c.field, err)
		}
	}
}
