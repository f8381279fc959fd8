package zone

import (
	"math"
	"strings"
	"testing"
	"time"

	"causeway/internal/base/config"
)

func TestCheck(t *testing.T) {
	good := DefaultConfig()
	good.URL = "https://zc1.example.org:8443"
	for _, c := range []struct {
		name   string
		change func(*Config)
		field  string // of the only issue; "" is none
	}{
		{"good", func(*Config) {}, ""},
		{"everything", func(c *Config) {
			c.ID, c.LocalURL, c.Weight, c.OnPremises = "zc-1", "http://localhost:8080", -5, true
			c.Networks, c.Location = []string{"10.0.0.0/8", "fd00::/8"}, &Location{Lat: -90, Lon: 180}
		}, ""},
		{"no limits", func(c *Config) { c.JoinsPerMinute, c.JoinBurst = 0, 0 }, ""},
		{"id", func(c *Config) { c.ID = "Controller.1" }, "id"},
		{"no zone", func(c *Config) { c.Zone = "" }, "zone"},
		{"zone with a wildcard", func(c *Config) { c.Zone = "*" }, "zone"},
		{"no url", func(c *Config) { c.URL = "" }, "url"},
		{"plain url", func(c *Config) { c.URL = "http://zc1.example.org" }, "url"},
		{"url with a path", func(c *Config) { c.URL = "https://zc1.example.org/" }, "url"},
		{"url with a user", func(c *Config) { c.URL = "https://u@zc1.example.org" }, "url"},
		{"local url", func(c *Config) { c.LocalURL = "localhost:8080" }, "local_url"},
		{"weight", func(c *Config) { c.Weight = math.NaN() }, "weight"},
		{"location", func(c *Config) { c.Location = &Location{Lat: 91} }, "location"},
		{"location NaN", func(c *Config) { c.Location = &Location{Lon: math.NaN()} }, "location"},
		{"network", func(c *Config) { c.OnPremises, c.Networks = true, []string{"10.0.0.0/8", "10.0.0.1"} }, "networks[1]"},
		{"networks in the cloud", func(c *Config) { c.Networks = []string{"10.0.0.0/8"} }, "networks"},
		{"negative limit", func(c *Config) { c.JoinBurst = -1 }, "joins_per_minute"},
		{"no time to drain", func(c *Config) { c.Drain = 0 }, "drain"},
		{"drain for ever", func(c *Config) { c.Drain = 1000 * time.Hour }, "drain"},
		{"limit", func(c *Config) { c.Limits.CPU = 2 }, "limits.cpu"},
		{"no burst", func(c *Config) { c.JoinBurst = 0 }, "join_burst"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			issues := cfg.Check()
			if c.field == "" && len(issues) == 0 {
				return
			}
			if len(issues) != 1 || issues[0].Field != c.field || issues[0].Problem == "" || issues[0].Remedy == "" {
				t.Errorf("issues %+v, want one of %q", issues, c.field)
			}
		})
	}
}

func TestConfigFile(t *testing.T) {
	cfg, err := config.Parse("zone.yaml", []byte(strings.Join([]string{
		"zone: taipei", "url: https://zc1.example.org", "location: {lat: 25.03, lon: 121.56}",
	}, "\n")), DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Zone != "taipei" || cfg.Location == nil || cfg.Location.Lon != 121.56 || cfg.JoinBurst != DefaultConfig().JoinBurst {
		t.Errorf("got %+v", cfg)
	}
	_, err = config.Parse("zone.yaml", []byte("url: https://x\nnetworks:\n  - nonsense\non_premises: true\n"), DefaultConfig())
	if err == nil || !strings.Contains(err.Error(), "zone.yaml:3: networks[0]") {
		t.Errorf("error %v", err)
	}
}
