//go:build linux

package lab

import (
	"testing"
	"time"

	"causeway/protocol"
)

// TestNativeCells joins from behind each firewall with the real client, and
// says which way it must end on.
func TestNativeCells(t *testing.T) {
	d := NewDeployment(NewWorld(t))
	for _, cell := range []struct {
		name   string
		policy Policy
		args   []string
		route  string
		sound  protocol.Transport
	}{
		{"open", Open, nil, "direct", protocol.UDP},
	} {
		t.Run(cell.name, func(t *testing.T) {
			d.Apply(cell.policy)
			j := d.Join(4*time.Second, cell.args...)
			if j.Status != 0 || !j.Report.OK {
				t.Fatalf("status %d: %s", j.Status, j.Stderr)
			}
			if j.Report.Route != cell.route || j.Report.Media[protocol.Audio].Transport != cell.sound {
				t.Errorf("route %s, sound over %s", j.Report.Route, j.Report.Media[protocol.Audio].Transport)
			}
			t.Logf("first media after %.0f ms", j.Report.FirstMediaMS)
		})
	}
}
