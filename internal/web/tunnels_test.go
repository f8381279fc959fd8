package web

import (
	"net/http"
	"testing"

	"causeway/internal/base/local"
	"causeway/internal/bus"
	"causeway/protocol"

	"github.com/google/go-cmp/cmp"
)

// TestLookupTunnels holds that the package tells of tunnels that are heard on
// the bus.
func TestLookupTunnels(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	n.open("eu")
	m := n.create(protocol.CreateMeeting{})
	lookup := func(change func(*http.Request) *http.Request) []protocol.Tunnel {
		t.Helper()
		return get[protocol.Package](n, http.StatusOK, request{
			method: "POST", path: lookupPath(m.Number), body: protocol.LookupRequest{Passcode: m.Passcode, Name: "Ada"}, change: change,
		}).Tunnels
	}
	say := func(s protocol.TunnelState) {
		t.Helper()
		if err := bus.Publish(n.conn, protocol.SubjectTunnel(s.ID), s); err != nil {
			t.Fatal(err)
		}
	}
	if got := lookup(nil); got == nil || len(got) > 0 {
		t.Errorf("without tunnels: %#v", got)
	}
	say(protocol.TunnelState{ID: "t1", URL: "https://t1.example", LocalURL: "http://localhost:8080", Health: protocol.Healthy, Load: .5})
	say(protocol.TunnelState{ID: "nonsense", URL: "nonsense", Health: protocol.Healthy})
	say(protocol.TunnelState{ID: "t2", URL: "https://t2.example", Health: protocol.Healthy})
	await(t, "both tunnels", func() bool { return len(lookup(nil)) == 2 })
	want := []protocol.Tunnel{{ID: "t2", URL: "https://t2.example"}, {ID: "t1", URL: "https://t1.example"}}
	if diff := cmp.Diff(want, lookup(nil)); diff != "" {
		t.Error(diff)
	}
	here := func(r *http.Request) *http.Request {
		local.Mark(http.HandlerFunc(func(_ http.ResponseWriter, marked *http.Request) { r = marked })).ServeHTTP(nil, r)
		return r
	}
	want[1].URL = "http://localhost:8080"
	if diff := cmp.Diff(want, lookup(here)); diff != "" {
		t.Errorf("on this machine: %s", diff)
	}
	say(protocol.TunnelState{ID: "t1", URL: "https://t1.example", Health: protocol.Stopping})
	await(t, "one tunnel left", func() bool { return len(lookup(nil)) == 1 })
}
