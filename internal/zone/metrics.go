package zone

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"causeway/protocol"
)

// metrics are the controller's, declared once.
type metrics struct {
	joins   *prometheus.CounterVec
	resumes *prometheus.CounterVec
	broker  prometheus.Histogram
	routers *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		joins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_zone_joins_total",
			Help: "Join requests by outcome: ok, client_gone, or the code of the problem answered.",
		}, []string{"outcome"}),
		resumes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_zone_resumes_total",
			Help: "Join requests of participants who left a router of this zone, by reason: dead, drain, media or other.",
		}, []string{"reason"}),
		broker: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "causeway_zone_broker_seconds",
			Help:    "Time from a verified join request to a router's admission or the last refusal.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}),
		routers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "causeway_zone_routers",
			Help: "Multimedia routers of the zone by health: healthy, ailing (placed last), draining or silent.",
		}, []string{"health"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.joins, m.resumes, m.broker, m.routers} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register zone metrics: %w", err)
		}
	}
	return m, nil
}

// joined counts a join request.
func (m *metrics) joined(err error) {
	m.joins.WithLabelValues(outcome(err)).Inc()
}

// resumed counts a join of who left a router.
func (m *metrics) resumed(why protocol.ResumeReason) {
	switch why {
	case protocol.ResumeDead, protocol.ResumeDrain, protocol.ResumeMedia:
	default:
		why = "other"
	}
	m.resumes.WithLabelValues(string(why)).Inc()
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	if errors.Is(err, context.Canceled) {
		return "client_gone"
	}
	if code := protocol.ProblemOf(err).Code; protocol.Problems[code].Words != nil {
		return string(code)
	}
	return "other" // a newer router's code must not make a new series
}

// zone shows the routers by health.
func (m *metrics) zone(s summary) {
	for health, n := range s.healths {
		m.routers.WithLabelValues(health).Set(float64(n))
	}
}
