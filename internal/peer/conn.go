package peer

import (
	"errors"
	"net/netip"
	"time"

	"causeway/protocol"
)

// Errors that Handler.Closed, Dial and the Send methods report, wrapped.
var (
	ErrTimeout     = errors.New("peer: connection not ready in time")
	ErrFingerprint = errors.New("peer: certificate does not match the fingerprint")
	ErrNotReady    = errors.New("peer: keys not set yet")
	ErrClosed      = errors.New("peer: closed")
	ErrPacket      = errors.New("peer: packet malformed or too long")
)

// A Conn is one media connection.
type Conn struct{}

// LocalUfrag returns the user name fragment to put into the SDP answer.
func (c *Conn) LocalUfrag() string { return "" }

// LocalPwd returns the password to put into the SDP answer.
func (c *Conn) LocalPwd() string { return "" }

// Shard returns the shard that the connection lives on, fixed once the first
// authenticated check arrived; before that nil. It is never nil in a Handler.
func (c *Conn) Shard() *Shard { return nil }

// SendRTP encrypts the packet and queues it until the shard is released. The
// shard must be held. The packet may be reused at once.
func (c *Conn) SendRTP(packet []byte) error { return ErrNotReady }

// SendRTCP encrypts the compound packet and queues it until the shard is
// released. The shard must be held. The packet may be reused at once.
func (c *Conn) SendRTCP(packet []byte) error { return ErrNotReady }

// Close closes the connection; any goroutine may call it, a Handler too, and
// more than once. Handler.Closed follows, at once or when the shard is next
// released, and is the end of the connection.
func (c *Conn) Close() {}

// Done is closed when the connection has ended and none of its goroutines
// (for a dialled connection, its shard's and socket's too) is left.
func (c *Conn) Done() <-chan struct{} { return nil }

// Stats tells what a connection has carried.
type Stats struct {
	PacketsSent, BytesSent         uint64 // SRTP and SRTCP, UDP payload
	PacketsReceived, BytesReceived uint64 // authentic SRTP and SRTCP, UDP payload
	PacketsDropped                 uint64 // forged, replayed, too early or malformed
	SendDropped                    uint64 // not taken by the kernel
	LastHeard                      time.Time
	RTT                            time.Duration // smoothed, of checks; 0 if unknown (the lite side sends none)
	Remote                         netip.AddrPort
	Local                          netip.Addr // invalid if unknown
	Transport                      protocol.Transport
	State                          PathState
	Ready                          bool
}

// Stats returns the connection's counters; any goroutine may call it.
func (c *Conn) Stats() Stats { return Stats{} }
