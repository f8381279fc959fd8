//go:build linux

package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

// The office's servers get out by the proxy alone, but for UDP; and nothing at
// all, not even by the proxy.
var (
	officeByProxy = Policy{"ip saddr { 10.77.0.20, 10.77.0.30 } meta l4proto tcp drop"}
	cutOff        = Policy{"drop", proxyRule + "drop"}
)

// TestZoneInOffice has a zone behind NAT, which dials out only, its bus by a
// proxy that asks for a password: its people get it first, a meeting spans it
// and the public zone, goes on in both while the office is cut off, and is one
// again after that.
func TestZoneInOffice(t *testing.T) {
	w := NewWorld(t)
	w.AddHost("office")
	w.in("office", "ip", "addr", "add", "10.77.0.30/24", "dev", "eth0")
	d := NewDeployment(w)
	d.StartSquid("basic")
	d.Apply(officeByProxy)
	d.StartZone(zone{
		id: "office", host: "office", first: "10.77.0", more: "proxy: http://" + proxyUser + ":" + proxyPassword + "@" + strings.TrimPrefix(proxyURL("basic"), "http://") + "\n",
		controller: ", on_premises: true, networks: [203.0.113.1/32], weight: -20", mmr: ", on_premises: true",
	})
	d.untilOffered("client", 2)
	if out := d.in("proxy", "ss", "-Htn", "state", "established", "dst", addresses["web"]); out == "" {
		t.Error("nobody speaks with web by the proxy")
	}

	inside := []*Attendee{d.Attend("client", "Ann"), d.Attend("client", "Bob")}
	all := append(inside, d.Attend("web", "Pia"))
	took := d.eventually(60*time.Second, func() string { return together(all, nil) })
	t.Logf("everybody hears and sees everybody after %v", took.Round(time.Millisecond))
	for i, want := range []string{"office", "office", "lab"} {
		if r := all[i].Last().Report; r.Zone != want {
			t.Errorf("%s is in zone %s", all[i].name, r.Zone)
		}
	}

	d.Apply(cutOff)
	before := accounts(all)
	d.eventually(60*time.Second, func() string { // longer than anything is waited for on the way
		if n := inside[0].Last().Heard["Bob"] - before["Ann"].Heard["Bob"]; n < 12*50 {
			return fmt.Sprintf("%d pieces of sound more", n)
		}
		return ""
	})
	during := accounts(all)
	for _, pair := range [][2]string{{"Ann", "Bob"}, {"Bob", "Ann"}} {
		to, from := pair[0], pair[1]
		n := during[to].Heard[from] - before[to].Heard[from]
		t.Logf("cut off, %s got %d pieces of sound and %d pictures of %s", to, n, during[to].Seen[from]-before[to].Seen[from], from)
		if n < 500 {
			t.Errorf("cut off, %s got %d pieces of sound of %s", to, n, from)
		}
		if strings.Contains(fmt.Sprint(during[to].Report.Events), "econnect") {
			t.Errorf("%s was disturbed: %v", to, during[to].Report.Events)
		}
	}
	if n := during["Pia"].Heard["Ann"] - before["Pia"].Heard["Ann"]; n > 100 {
		t.Errorf("%d pieces of sound came out of an office that is cut off", n)
	}

	d.Apply(officeByProxy)
	healed := accounts(all)
	took = d.eventually(90*time.Second, func() string { return together(all, healed) })
	t.Logf("one meeting again %v after the cut was healed", took.Round(time.Millisecond))
	for _, a := range all {
		last, _ := a.Leave()
		if sound := last.Report.Media[protocol.Audio]; sound.Transport != protocol.UDP {
			t.Errorf("%s: %+v", a.name, sound)
		}
	}
}
