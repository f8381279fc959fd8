package protocol

import (
	"strings"
	"testing"
)

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "tokyo-1": true, "0123456789": true, strings.Repeat("a", 63): true,
		"": false, "A": false, "a.b": false, "*": false, "a b": false, ">": false, "é": false, strings.Repeat("a", 64): false,
	} {
		if got := ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %v", id, got)
		}
	}
}

func TestLoadValueIsTheWorstPart(t *testing.T) {
	for name, tc := range map[string]struct {
		load Load
		want float64
	}{
		"idle":            {Load{}, 0},
		"cpu":             {Load{CPU: 0.5, PacketsPerSecond: 100, MaxPackets: 1000}, 0.5},
		"cpu, no limit":   {Load{CPU: 1}, 0.99},
		"cpu, limited":    {Load{CPU: 0.75, MaxCPU: 0.75}, 1},
		"open files":      {Load{CPU: 0.5, OpenFiles: 900, MaxOpenFiles: 1000}, 0.9},
		"packets":         {Load{CPU: 0.1, PacketsPerSecond: 900, MaxPackets: 1000}, 0.9},
		"egress":          {Load{EgressBPS: 3e8, MaxEgressBPS: 1e9, CPU: 0.2}, 0.3},
		"participants":    {Load{Participants: 300, MaxParticipants: 300}, 1},
		"no limits given": {Load{Participants: 1e6, PacketsPerSecond: 1e9, EgressBPS: 1e12}, 0},
	} {
		if got := tc.load.Value(); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestOffersByKind(t *testing.T) {
	var o Offers
	for _, k := range MediaKinds {
		o.Set(k, "sdp of "+string(k))
	}
	for _, k := range MediaKinds {
		if o.Of(k) != "sdp of "+string(k) {
			t.Errorf("%s: %q", k, o.Of(k))
		}
		if k.DSCP() == 0 {
			t.Errorf("%s has no DSCP", k)
		}
	}
}

func TestHostID(t *testing.T) {
	for _, c := range []struct{ prefix, host, want string }{
		{"", "Tunnel1.example.org", "tunnel1"},
		{"web-", "my_host", "web-my-host"},
		{"web-", "", "web"},
		{"", "", "server"},
		{"", "---", "server"},
		{"", "機器", "server"},
		{"web-", strings.Repeat("a", 100), "web-" + strings.Repeat("a", 59)},
		{"", strings.Repeat("a", 62) + "_b", strings.Repeat("a", 62)},
		{"", "höst", "h-st"},
	} {
		if got := HostID(c.prefix, c.host); got != c.want || !ValidID(got) {
			t.Errorf("%q, %q: %q, want %q", c.prefix, c.host, got, c.want)
		}
	}
}
