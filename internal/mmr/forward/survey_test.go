package forward

import (
	"testing"
	"time"

	"causeway/internal/nettest"
	"causeway/protocol"
)

// TestSurvey: what a network takes is known before anything is sent, for no
// more than a few probes.
func TestSurvey(t *testing.T) {
	for name, c := range map[string]struct {
		rate        float64
		jitter      time.Duration
		loss        float64
		least, most int // of the estimate
		bytes       int // at most
	}{
		"wide":           {rate: 50e6, least: 3_300_000, most: 4_500_000, bytes: 40_000},
		"4 Mbit/s":       {rate: 4e6, least: 3_000_000, most: 4_500_000, bytes: 60_000},
		"700 kbit/s":     {rate: 700e3, least: 450_000, most: 750_000, bytes: 60_000},
		"300 kbit/s":     {rate: 300e3, least: 180_000, most: 350_000, bytes: 60_000},
		"jitter":         {rate: 50e6, jitter: 30 * time.Millisecond, least: 3_300_000, most: 4_500_000, bytes: 60_000},
		"losses":         {rate: 50e6, loss: 0.03, least: 3_300_000, most: 4_500_000, bytes: 60_000},
		"losses, narrow": {rate: 700e3, loss: 0.03, least: 400_000, most: 800_000, bytes: 60_000},
	} {
		t.Run(name, func(t *testing.T) {
			v := newViewer(t, 1, nettest.Step{Rate: c.rate})
			v.down.Jitter, v.down.Loss = c.jitter, c.loss
			v.budget.Survey()
			l := v.link(protocol.Camera, 2, 0, vp8Codec)
			v.run(surveyFor + time.Second)
			bytes := 0
			for _, a := range v.arrived {
				bytes += a.size
			}
			if e := v.budget.estimator.Estimate(); e < c.least || e > c.most {
				t.Errorf("the estimate is %d", e)
			}
			if bytes == 0 || bytes > c.bytes {
				t.Errorf("it took %d bytes", bytes)
			}
			if l.busy {
				t.Error("it goes on")
			}
			t.Logf("%d bit/s, %d bytes", v.budget.estimator.Estimate(), bytes)
		})
	}
}
