//go:build !linux

package peer

import (
	"fmt"
	"net"
	"net/netip"
)

// batchSize is the number of datagrams per system call.
const batchSize = 1

// sharedPort says that several sockets can be bound to one port.
const sharedPort = false

// openSocket opens a kernel socket. The second result is the size of its
// receive buffer as granted, as far as the system tells.
func openSocket(listen netip.AddrPort, _ int, _ bool) (socket, int, error) {
	addr, err := net.ResolveUDPAddr(network(listen), listenString(listen))
	if err != nil {
		return nil, 0, fmt.Errorf("peer: open media socket: %w", err)
	}
	conn, err := net.ListenUDP(network(listen), addr)
	if err != nil {
		return nil, 0, fmt.Errorf("peer: open media socket: %w", err)
	}
	granted := 0
	for size := wantedBuffers; size >= 64<<10; size /= 2 { // some systems refuse rather than cut
		if conn.SetReadBuffer(size) == nil {
			granted = size
			break
		}
	}
	_ = conn.SetWriteBuffer(granted)
	return newPacketSocket(conn), granted, nil
}
