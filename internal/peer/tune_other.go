//go:build !linux

package peer

import (
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// sendBuffer bounds what the system may hold unsent, which cannot be shed any
// more.
const sendBuffer = 64 << 10

// tune sets what a TCP socket that carries media needs, as far as the system
// lets us.
func tune(conn net.Conn, tos int, _ bool) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if tos != 0 {
		_ = ipv4.NewConn(tcp).SetTOS(tos)
		_ = ipv6.NewConn(tcp).SetTrafficClass(tos)
	}
	_ = tcp.SetNoDelay(true)
	_ = tcp.SetWriteBuffer(sendBuffer)
}
