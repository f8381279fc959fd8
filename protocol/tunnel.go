package protocol

// Paths of the HTTP tunnel. A stream carries the bytes of one TCP connection
// to one of the system's own servers; TLS to that server runs inside it.
const (
	// PathTunnelPing: GET, 204 when the tunnel takes new streams.
	PathTunnelPing = "/tunnel/v1/ping"
	// PathTunnelConnect: a WebSocket whose binary messages are the stream,
	// ?to=host:port, the join token as bearer.
	PathTunnelConnect = "/tunnel/v1/connect"
	// PathTunnelStreams is the same by plain requests, for networks that do
	// not pass WebSocket. POST ?to=host:port opens a stream (TunnelStream).
	// Then on {path}/{id}: POST ?offset=N sends bytes; GET ?offset=N asks for
	// those from N on, waiting up to TunnelPoll for the first (204 if none came,
	// 410 when the stream has ended); DELETE ends it. Offsets count from 0 in
	// each direction, so that any request may be repeated.
	PathTunnelStreams = "/tunnel/v1/streams"
)

// MaxTunnelChunk bounds the bytes of one WebSocket message or request.
const MaxTunnelChunk = 64 << 10

// TunnelStream answers the opening of a stream by plain requests.
type TunnelStream struct {
	ID string `json:"id"`
}

// SubjectTunnels matches the state of every tunnel.
const SubjectTunnels = "hub.tunnel.*"

// SubjectTunnel is where a tunnel repeats its state.
func SubjectTunnel(id string) string { return "hub.tunnel." + id }

// TunnelState is what a tunnel says of itself every second and on hub.ask.
type TunnelState struct {
	ID           string  `json:"id"`
	URL          string  `json:"url"`
	LocalURL     string  `json:"local_url,omitempty"`
	Health       Health  `json:"health"`
	Load         float64 `json:"load"` // 0 idle … 1 full
	Streams      int     `json:"streams"`
	Participants int     `json:"participants"`
	Version      string  `json:"version"`
	// Server is the tunnel's load in detail; packets are what it reads and
	// writes.
	Server Load `json:"server"`
	// Drain is how far a drain has got; nil while there is none.
	Drain *DrainState `json:"drain,omitempty"`
}
