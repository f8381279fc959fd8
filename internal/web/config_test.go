package web

import (
	"strings"
	"testing"
	"time"

	"causeway/internal/base/config"
	"causeway/internal/web/delivery"
)

func TestDefaultConfigIsValid(t *testing.T) {
	if issues := DefaultConfig().Check(); len(issues) > 0 {
		t.Errorf("%+v", issues)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		field  string
		change func(*Config)
	}{
		{"public_url", func(c *Config) { c.PublicURL = "meet.example" }},
		{"public_url", func(c *Config) { c.PublicURL = "https://meet.example/path" }},
		{"public_url", func(c *Config) { c.PublicURL = "ftp://meet.example" }},
		{"public_url", func(c *Config) { c.PublicURL = "https://user@meet.example?x" }},
		{"creation", func(c *Config) { c.Creation = "nobody" }},
		{"networks", func(c *Config) { c.Networks = map[string]delivery.Place{"10.0.0.1": {}} }},
		{"networks", func(c *Config) { c.Networks = map[string]delivery.Place{"10.0.0.0/8": {Lat: 100}} }},
		{"trusted_proxies[1]", func(c *Config) { c.TrustedProxies = []string{"10.0.0.0/8", "proxy"} }},
		{"token_lifetime", func(c *Config) { c.TokenLifetime = time.Second }},
		{"token_lifetime", func(c *Config) { c.TokenLifetime = 25 * time.Hour }},
		{"report_retention", func(c *Config) { c.ReportRetention = 0 }},
		{"report_count", func(c *Config) { c.ReportCount = 0 }},
		{"report_bytes", func(c *Config) { c.ReportBytes = 1000 }},
		{"limits.wrong.burst", func(c *Config) { c.Limits.Wrong.Burst = 0 }},
		{"limits.lookups.per_minute", func(c *Config) { c.Limits.Lookups.PerMinute = -1 }},
	} {
		cfg := DefaultConfig()
		c.change(&cfg)
		issues := cfg.Check()
		if len(issues) != 1 || issues[0].Field != c.field || issues[0].Problem == "" || issues[0].Remedy == "" {
			t.Errorf("%s: %+v", c.field, issues)
		}
	}
}

func TestConfigFile(t *testing.T) {
	cfg, err := config.Parse("web.yaml", []byte(strings.Join([]string{
		"public_url: https://meet.example", "creation: api_key", "token_lifetime: 90m",
		"networks:", "  10.0.0.0/8: {lat: 25, lon: 121.5}", "limits:", "  wrong: {per_minute: 5, burst: 4}",
	}, "\n")), DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if cfg.TokenLifetime != 90*time.Minute || cfg.Networks["10.0.0.0/8"].Lon != 121.5 || cfg.Limits.Wrong.Burst != 4 || cfg.Limits.Lookups.Burst == 0 {
		t.Errorf("%+v", cfg)
	}
}
