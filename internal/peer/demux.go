package peer

// A packetKind is what a datagram carries.
type packetKind uint8

const (
	kindUnknown packetKind = iota
	kindSTUN
	kindDTLS
	kindRTP
	kindRTCP
)

const (
	stunHeaderSize = 20
	dtlsHeaderSize = 13
	rtpHeaderSize  = 12
	rtcpHeaderSize = 8 // with the sender's SSRC
)

// classify tells by its first bytes what a datagram carries (RFC 7983
// section 7; RTP from RTCP by the second byte, RFC 5761 section 4), or that
// it is too short for that.
func classify(p []byte) packetKind {
	if len(p) < 2 {
		return kindUnknown
	}
	switch b := p[0]; {
	case b < 4:
		if len(p) >= stunHeaderSize {
			return kindSTUN
		}
	case b >= 20 && b < 64:
		if len(p) >= dtlsHeaderSize {
			return kindDTLS
		}
	case b >= 128 && b < 192:
		if p[1] >= 192 && p[1] < 224 {
			if len(p) >= rtcpHeaderSize {
				return kindRTCP
			}
		} else if len(p) >= rtpHeaderSize {
			return kindRTP
		}
	}
	return kindUnknown
}

// isClientHello tells whether a DTLS datagram starts with the first flight of
// a handshake: a handshake record (22) of a ClientHello (1) in epoch 0.
func isClientHello(p []byte) bool {
	return len(p) > dtlsHeaderSize && p[0] == 22 && p[3] == 0 && p[4] == 0 && p[dtlsHeaderSize] == 1
}
