package web

import (
	"time"

	"causeway/internal/web/delivery"
	"causeway/protocol"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a web node counts.
type metrics struct {
	lookups *prometheus.CounterVec
	created prometheus.Counter
	reports *prometheus.CounterVec
	answers *prometheus.HistogramVec
}

// newMetrics declares them; a nil registerer is none.
func newMetrics(r prometheus.Registerer, zones *delivery.Table) *metrics {
	m := &metrics{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_web_lookups_total", Help: "Lookups by outcome: ok or the problem's code.",
		}, []string{"outcome"}),
		created: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "causeway_web_meetings_created_total", Help: "Meetings created.",
		}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_web_reports_total", Help: "Join reports received, by whether the join succeeded.",
		}, []string{"ok"}),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "causeway_web_request_seconds", Help: "Time to answer API requests, by operation and status.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}, []string{"operation", "status"}),
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.lookups, m.created, m.reports, m.answers,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "causeway_web_zones_open", Help: "Meeting zones that take participants, as this node knows.",
		}, func() float64 { return openZones(zones.Zones(time.Now())) }))
	return m
}

func openZones(zones []delivery.Zone) float64 {
	var n float64
	for _, z := range zones {
		if z.State == protocol.ZoneOpen {
			n++
		}
	}
	return n
}
