//go:build linux

package e2e

import (
	"slices"
	"testing"

	"causeway/protocol"
)

// BenchmarkJoin joins, over loopback, a meeting at `causeway up` in which
// somebody speaks, and tells the medians of the whole join and of its parts:
//
//	go test ./e2e -run '^$' -bench Join -benchtime 50x
//
// media-p50-ms is from the router's admission, when the answers have arrived,
// to the first packet of sound from it.
func BenchmarkJoin(b *testing.B) {
	_, at := up(b, b.TempDir())
	status, out, stderr := command(b, "meeting", "create", "--server", at.Web, "--ca", at.CA, "--api-key", at.APIKey, "--json")
	if status != 0 {
		b.Fatal(stderr)
	}
	link := decode[created](b, out).JoinURL
	join(b, at.CA, link, "Ada", true, false)
	join(b, at.CA, link, "Warm", false, true).watch(1, protocol.Mic)
	parts := map[string][]float64{}
	for b.Loop() {
		p, err := attempt(b, at.CA, link, "Late", false, true)
		if err != nil {
			b.Fatal(err)
		}
		p.watch(1, protocol.Mic)
		r := p.meeting.Report()
		last := r.Phases[len(r.Phases)-1]
		for _, phase := range r.Phases {
			parts[string(phase.Name)+"-phase"] = append(parts[string(phase.Name)+"-phase"], phase.DurationMS)
		}
		parts["join"] = append(parts["join"], last.StartedMS+last.DurationMS)
		parts["first-packet"] = append(parts["first-packet"], r.FirstMediaMS)
		parts["media"] = append(parts["media"], r.FirstMediaMS-last.StartedMS)
		b.StopTimer()
		p.meeting.Leave()
		b.StartTimer()
	}
	for name, list := range parts {
		slices.Sort(list)
		b.ReportMetric(list[len(list)/2], name+"-p50-ms")
	}
}
