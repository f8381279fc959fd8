package tunnel

import "github.com/prometheus/client_golang/prometheus"

type tunnelMetrics struct {
	opened *prometheus.CounterVec
	bytes  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, q *quotas) *tunnelMetrics {
	m := &tunnelMetrics{
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_tunnel_streams_opened_total",
			Help: "Streams asked for, by outcome: ok or the problem's code.",
		}, []string{"outcome"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_tunnel_bytes_total",
			Help: "Bytes carried, by direction as the client sees it: up or down.",
		}, []string{"direction"}),
	}
	streams := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "causeway_tunnel_streams", Help: "Streams carried now.",
	}, func() float64 { n, _ := q.count(); return float64(n) })
	participants := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "causeway_tunnel_participants", Help: "Participants whose streams are carried now.",
	}, func() float64 { _, n := q.count(); return float64(n) })
	if reg != nil {
		reg.MustRegister(m.opened, m.bytes, streams, participants)
	}
	return m
}
