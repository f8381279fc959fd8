package protocol

// Report is the record of one join: how the participant got in, every
// attempt that was made on the way, and why any of them failed. Times are
// milliseconds since the join began.
type Report struct {
	OK           bool                      `json:"ok"`
	Meeting      string                    `json:"meeting"`     // number
	Participant  string                    `json:"participant"` // id
	Route        string                    `json:"route"`       // direct, proxy, tunnel, tunnel_over_proxy
	Proxy        ProxyReport               `json:"proxy"`
	Zone         string                    `json:"zone"`
	Controller   string                    `json:"controller"`
	MMR          string                    `json:"mmr"`
	FirstMediaMS float64                   `json:"first_media_ms"` // first media packet received or, for who only sends, acknowledged; 0 none yet
	Phases       []PhaseReport             `json:"phases"`
	Media        map[MediaKind]MediaReport `json:"media"`
	Events       []ReportEvent             `json:"events"`
}

// ProxyReport says which proxy is on the path: kind none, http, https or socks5.
type ProxyReport struct {
	Kind    string `json:"kind"`
	Address string `json:"address,omitempty"`
	Origin  string `json:"origin,omitempty"` // how it was found: flag, environment, pac, system
}

// PhaseName names a phase of the connection process.
type PhaseName string

// The four phases.
const (
	PhaseLookup PhaseName = "lookup"
	PhaseZone   PhaseName = "zone"
	PhaseMMR    PhaseName = "mmr"
	PhaseMedia  PhaseName = "media"
)

// PhaseReport is one phase.
type PhaseReport struct {
	Name       PhaseName `json:"name"`
	StartedMS  float64   `json:"started_ms"`
	DurationMS float64   `json:"duration_ms"`
	OK         bool      `json:"ok"`
	Error      *Problem  `json:"error,omitempty"`
	Attempts   []Attempt `json:"attempts"`
}

// Attempt is one attempt to reach one target.
type Attempt struct {
	Target    string  `json:"target"`    // host:port or URL
	Transport string  `json:"transport"` // udp, tcp, tls, https, wss
	Via       string  `json:"via"`       // direct, or the proxy or tunnel
	DNSMS     float64 `json:"dns_ms,omitempty"`
	ConnectMS float64 `json:"connect_ms"`
	TLSMS     float64 `json:"tls_ms"`
	RTTMS     float64 `json:"rtt_ms"` // median
	RTTMinMS  float64 `json:"rtt_min_ms,omitempty"`
	JitterMS  float64 `json:"jitter_ms"`
	// ScoreMS is what the choice of the zone compares, less is better: round
	// trip, jitter, and what load and the operator's weight add. 0 for what is
	// no part of that choice.
	ScoreMS float64 `json:"score_ms,omitempty"`
	OK      bool    `json:"ok"`
	Error   string  `json:"error,omitempty"` // in words
	// Untrusted says that it answered, with a certificate that is not trusted.
	Untrusted bool   `json:"untrusted,omitempty"`
	Zone      string `json:"zone,omitempty"`
	Media     string `json:"media,omitempty"` // media kind, in phase 4
}

// MediaReport is one media connection.
type MediaReport struct {
	Transport       Transport `json:"transport"`
	Remote          string    `json:"remote"` // ip:port
	DSCP            int       `json:"dscp"`
	FirstPacketMS   float64   `json:"first_packet_ms"`
	PacketsSent     uint64    `json:"packets_sent"`
	PacketsReceived uint64    `json:"packets_received"`
	PacketsLost     uint64    `json:"packets_lost"` // not repaired
}

// ReportEvent is something that happened after the join began.
type ReportEvent struct {
	AtMS float64 `json:"at_ms"`
	What string  `json:"what"`
}
