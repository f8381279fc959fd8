package mmr

import (
	"causeway/internal/mmr/forward"
	"causeway/internal/peer"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the router's own. What the packet path counts is read when the
// metrics are asked for.
type metrics struct {
	admissions *prometheus.CounterVec
	channels   prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, r *forward.Router, port *peer.Port, known *registry, ahead *standbys) *metrics {
	m := &metrics{
		admissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_mmr_admissions_total",
			Help: "Participants that the router was asked to admit, by result: ok or the code of the problem.",
		}, []string{"result"}),
		channels: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "causeway_mmr_control_channels",
			Help: "Control channels that are open now.",
		}),
	}
	count := func(name, help string, value func(forward.Traffic) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(value(r.Traffic())) })
	}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value()) })
	}
	if reg == nil {
		return m
	}
	reg.MustRegister(
		m.admissions, m.channels,
		gauge("causeway_mmr_participants", "Participants on this router.", func() int { n, _ := known.participants("", ""); return n }),
		gauge("causeway_mmr_standbys", "Sessions kept ready for people who are in the lobby.", ahead.count),
		gauge("causeway_mmr_meetings", "Meetings that this router carries.", func() int { return len(known.legs()) }),
		count("causeway_mmr_rtp_packets_in_total", "RTP packets received from publishers.", func(t forward.Traffic) uint64 { return t.PacketsIn }),
		count("causeway_mmr_rtp_packets_out_total", "RTP packets sent to takers, repairs included.", func(t forward.Traffic) uint64 { return t.PacketsOut }),
		count("causeway_mmr_rtp_bytes_out_total", "Bytes of RTP sent to takers, repairs included.", func(t forward.Traffic) uint64 { return t.BytesOut }),
		count("causeway_mmr_rtp_repairs_total", "Packets sent again because a taker asked for them.", func(t forward.Traffic) uint64 { return t.Repairs }),
		count("causeway_mmr_rtp_repairs_missed_total", "Packets that a taker asked for but that were no longer there.", func(t forward.Traffic) uint64 { return t.RepairsMissed }),
		count("causeway_mmr_rtp_nacks_total", "Packets that publishers were asked to send again.", func(t forward.Traffic) uint64 { return t.Nacks }),
		count("causeway_mmr_rtp_recovered_total", "Packets of sound that publishers' networks lost and that were had from what came behind them.", func(t forward.Traffic) uint64 { return t.Recovered }),
		count("causeway_mmr_key_frame_requests_total", "Key frames that publishers were asked for.", func(t forward.Traffic) uint64 { return t.KeyRequests }),
		count("causeway_mmr_rtp_packets_ignored_total", "RTP packets of no known source, malformed or repeated.", func(t forward.Traffic) uint64 { return t.Ignored }),
		count("causeway_mmr_rtp_padding_total", "Packets sent to find out whether a participant's network takes more, among those sent.", func(t forward.Traffic) uint64 { return t.Padding }),
		count("causeway_mmr_rtp_relayed_in_total", "RTP packets received from other routers, among those received.", func(t forward.Traffic) uint64 { return t.RelayedIn }),
		count("causeway_mmr_rtp_relayed_out_total", "RTP packets sent to other routers, among those sent.", func(t forward.Traffic) uint64 { return t.RelayedOut }),
		count("causeway_mmr_handover_drops_total", "Packets dropped because another core's inbox was full.", func(t forward.Traffic) uint64 { return t.HandoverDrops }),
	)
	reg.MustRegister(portMetrics(port)...)
	return m
}

// portMetrics are what the media port counts. Packets of nobody's are told by
// why nobody takes them: attacks, and people who are cut off, are seen there.
func portMetrics(p *peer.Port) []prometheus.Collector {
	count := func(name, help string, labels prometheus.Labels, value func(peer.PortStats) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(value(p.Stats())) })
	}
	gauge := func(name, help string, value func(peer.PortStats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value(p.Stats())) })
	}
	refused := func(reason string, value func(peer.PortStats) uint64) prometheus.Collector {
		return count("causeway_mmr_port_refused_total", "What came to the media port and was not taken: check, a STUN message for nobody or not authentic; address, another packet from an unknown address; "+
			"budget, such a packet that names a known source and was one too many to try; handshake, and stream, one too many at a time.",
			prometheus.Labels{"reason": reason}, value)
	}
	return []prometheus.Collector{
		gauge("causeway_mmr_port_connections", "Media connections that the media port has or expects.", func(s peer.PortStats) int { return s.Connections }),
		gauge("causeway_mmr_port_streams_unclaimed", "TCP and TLS streams that belong to no connection yet.", func(s peer.PortStats) int { return s.Strangers }),
		count("causeway_mmr_port_followed_total", "Moves of a connection to another address, which its packets came from.", nil, func(s peer.PortStats) uint64 { return s.Followed }),
		count("causeway_mmr_port_send_drops_total", "Packets that the system did not take for sending.", nil, func(s peer.PortStats) uint64 { return s.SendDropped }),
		refused("check", func(s peer.PortStats) uint64 { return s.BadChecks }),
		refused("address", func(s peer.PortStats) uint64 { return s.UnknownAddress }),
		refused("budget", func(s peer.PortStats) uint64 { return s.Untried }),
		refused("handshake", func(s peer.PortStats) uint64 { return s.HandshakesRefused }),
		refused("stream", func(s peer.PortStats) uint64 { return s.StreamsRefused }),
	}
}
