package protocol

// SubjectRelay is where a router is asked to take media of a meeting from
// another router, which dials.
func SubjectRelay(zone, mmr string) string { return "zone." + zone + ".mmr." + mmr + ".relay" }

// RelayRequest asks a router that has a leg of a meeting to expect media
// connections of another that has one. Those of the same kinds that it has
// with the same router for the meeting are over.
type RelayRequest struct {
	Meeting string `json:"meeting"`
	Zone    string `json:"zone"` // of the router that asks
	MMR     string `json:"mmr"`
	// Fingerprint is that of the certificate with which it dials, the same as
	// in its LegUpdate; "sha-256 AB:CD:…" (RFC 8122).
	Fingerprint string        `json:"fingerprint"`
	Connections []RelayMember `json:"connections"`
}

// RelayMember is one connection of a relay: the ICE credentials of who tells
// it (RFC 8445 section 5.3).
type RelayMember struct {
	Kind  MediaKind `json:"kind"`
	Ufrag string    `json:"ufrag"`
	Pwd   string    `json:"pwd"`
}

// RelayAnswer tells where and how the connections are expected, in the order
// of the request.
type RelayAnswer struct {
	Fingerprint string        `json:"fingerprint"`
	Connections []RelayMember `json:"connections"`
	UDP         []string      `json:"udp"` // ip:port
	TCP         []string      `json:"tcp,omitempty"`
	TLS         string        `json:"tls,omitempty"` // host:port
}
