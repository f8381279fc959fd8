//go:build linux

package lab

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"causeway/protocol"
)

// tosOf finds the traffic class octet and the direction in tcpdump's words.
var tosOf = regexp.MustCompile(`tos 0x([0-9a-f]+),[^\n]*\n\s+([0-9.]+) >`)

// TestDSCP captures what a call sends at the client's own interface: each
// kind of media carries its code point in both directions, over UDP and TCP.
func TestDSCP(t *testing.T) {
	d := NewDeployment(NewWorld(t))
	speaker := d.Start("web", d.binary, "join", d.meeting.JoinURL, "--name", "Speaker", "--publish", "testcard", "--ca", d.ca, "--json")
	if !speaker.Until(`"event":"joined"`, startWithin) {
		t.Fatal("the speaker did not get in")
	}
	for _, transport := range []protocol.Transport{protocol.UDP, protocol.TCP} {
		t.Run(string(transport), func(t *testing.T) {
			capture := d.Start("client", "tcpdump", "-nvl", "-i", "eth0", string(transport)+" port 8801")
			if !capture.Until("listening on", startWithin) {
				t.Fatalf("tcpdump did not start:\n%s", capture.log.String())
			}
			if j := d.Join(4*time.Second, "--media", string(transport), "--record", t.TempDir()); j.Status != 0 {
				t.Fatalf("status %d: %s", j.Status, j.Stderr)
			}
			capture.Kill()
			seen := map[string]int{}
			for _, m := range tosOf.FindAllStringSubmatch(capture.log.String(), -1) {
				from := "router"
				if len(m[2]) > len(addresses["client"]) && m[2][:len(addresses["client"])] == addresses["client"] {
					from = "client"
				}
				seen[from+" 0x"+m[1]]++
			}
			t.Log(seen)
			for _, kind := range protocol.MediaKinds {
				for _, from := range []string{"client", "router"} {
					if key := fmt.Sprintf("%s 0x%x", from, kind.DSCP()<<2); seen[key] == 0 {
						t.Errorf("%s: nothing of the %s", kind, key)
					}
				}
			}
		})
	}
}
