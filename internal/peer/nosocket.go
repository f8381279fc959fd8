package peer

import (
	"net"
	"net/netip"
	"os"
	"time"
)

// A noSocket stands in for a socket where there is no UDP: it never reads
// anything but keeps time for its shard, and refuses what is to be sent.
type noSocket struct {
	silent net.Conn // of a pipe whose other end says nothing
	other  net.Conn
	b      [1]byte
}

func newNoSocket() *noSocket {
	silent, other := net.Pipe()
	return &noSocket{silent: silent, other: other}
}

func (n *noSocket) read() ([]datagram, error) {
	_, err := n.silent.Read(n.b[:])
	if err == nil {
		err = os.ErrDeadlineExceeded
	}
	return nil, err
}

func (n *noSocket) poll() []datagram         { return nil }
func (n *noSocket) full() bool               { return false }
func (n *noSocket) rest() ([]datagram, bool) { return nil, false }

func (n *noSocket) write(o *outbox, failed func(*group, int, error)) {
	for i := range o.groups {
		failed(&o.groups[i], o.groups[i].count, net.ErrClosed)
	}
}

func (n *noSocket) setReadDeadline(t time.Time) error { return n.silent.SetReadDeadline(t) }
func (n *noSocket) addr() netip.AddrPort              { return netip.AddrPort{} }
func (n *noSocket) segments() int                     { return 1 }

func (n *noSocket) close() error {
	_ = n.other.Close()
	return n.silent.Close()
}
