package gateway

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests *prometheus.CounterVec
}

// newMetrics declares what a gateway counts; a nil registerer is none.
func newMetrics(r prometheus.Registerer, s *Server) *metrics {
	m := &metrics{requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "causeway_gateway_requests_total",
		Help: "Requests of browsers through the gateway, by operation (probe, join, control) and outcome: ok or the problem's code.",
	}, []string{"operation", "outcome"})}
	if r == nil {
		return m
	}
	r.MustRegister(m.requests,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "causeway_gateway_channels", Help: "Control channels through the gateway now.",
		}, func() float64 { return float64(s.addresses.taken()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "causeway_gateway_relays", Help: "TURN allocations of the gateway now.",
		}, func() float64 {
			if relay := s.turn.Load(); relay != nil {
				return float64(relay.Allocations())
			}
			return 0
		}))
	return m
}
