package peer

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// DialConfig describes the router to reach.
type DialConfig struct {
	// Local holds our credentials, as told to the router; see NewCredentials.
	Local Credentials
	// Certificate identifies us in DTLS; its fingerprint was told to the router.
	Certificate *Certificate
	// Remote holds the router's credentials.
	Remote Credentials
	// RemoteFingerprint is that of the router's certificate, as in SDP.
	RemoteFingerprint string
	// Candidates are the router's UDP addresses. All are tried at once, and
	// the first that answers is used.
	Candidates []netip.AddrPort
	// TOS is the value of the IP header's traffic class octet, DSCP << 2.
	TOS int
	// Handler is told what happens. It must not be nil.
	Handler Handler
	// ListenPacket opens a socket, for virtual networks; it is called again
	// when the path is silent. If nil, a kernel socket is opened.
	ListenPacket func() (net.PacketConn, error)
	// Tick, if not nil, is called every 25 ms with the shard held.
	Tick func(s *Shard, now time.Time)
	// Log takes what an operator should know; nil means slog.Default.
	Log *slog.Logger
}

// Dial starts a connection to a router and returns at once, when the first
// checks and the first DTLS flight are on their way; Handler.Ready or
// Handler.Closed follows. The connection is closed when ctx ends, and with
// ErrTimeout if it is not ready within 30 s. It has a shard of its own.
func Dial(ctx context.Context, cfg DialConfig) (*Conn, error) {
	return nil, errors.New("peer: dial")
}
