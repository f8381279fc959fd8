package mmr

import (
	"causeway/internal/mmr/relay"
	"causeway/protocol"

	"github.com/prometheus/client_golang/prometheus"
)

// openRelays makes the relays to other routers of the same meetings.
func (s *Server) openRelays() error {
	relays, err := relay.New(relay.Config{
		Zone: s.cfg.Zone, MMR: s.cfg.ID, OnPremises: s.cfg.OnPremises,
		Router: s.router, Port: s.port,
		Ask: relay.Over(s.deps.Bus),
		Addresses: func() relay.Addresses {
			return relay.Addresses{UDP: s.mediaAddresses(), TCP: s.mediaTCP(), TLS: s.mediaTLS()}
		},
		Dial: s.deps.Dial,
		Log:  s.log,
	})
	if err != nil {
		return err
	}
	s.relays = relays
	if s.deps.Metrics != nil {
		s.deps.Metrics.MustRegister(relayMetrics(relays)...)
	}
	return nil
}

func relayMetrics(r *relay.Relays) []prometheus.Collector {
	gauge := func(name, help string, labels prometheus.Labels, value func(relay.Stats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(value(r.Stats())) })
	}
	count := func(name, help string, value func(relay.Stats) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(value(r.Stats())) })
	}
	all := []prometheus.Collector{
		gauge("causeway_mmr_relays", "Other routers with which media of a meeting is exchanged, counted for each meeting.", nil,
			func(s relay.Stats) int { return s.Legs }),
		gauge("causeway_mmr_relay_layers_withheld", "Sizes of pictures that other routers ask for and the network between does not take.", nil,
			func(s relay.Stats) int { return s.Withheld }),
		count("causeway_mmr_relay_connections_dialled_total", "Media connections that this router dialled to others.",
			func(s relay.Stats) uint64 { return s.Dialled }),
		count("causeway_mmr_relay_connections_lost_total", "Media connections to other routers that were lost.",
			func(s relay.Stats) uint64 { return s.Lost }),
	}
	for _, t := range []protocol.Transport{protocol.UDP, protocol.TCP, protocol.TLS} {
		all = append(all, gauge("causeway_mmr_relay_connections", "Media connections to other routers that are up, by transport.",
			prometheus.Labels{"transport": string(t)}, func(s relay.Stats) int { return s.Connections[t] }))
	}
	return all
}
