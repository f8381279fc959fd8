package turn

import (
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// A browser has one allocation, on a stream of its own, for each kind of
// media. The router marks what it sends with the kind's traffic class (RFC
// 8837), and so do the allocation's stream and socket as soon as that is known.

// maxUnmarked is how many packets are looked at for a mark.
const maxUnmarked = 64

// marks sets the traffic class of what a stream sends, as far as the system
// lets us.
func marks(conn net.Conn, class int) {
	for {
		layer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = layer.NetConn()
	}
	// A socket of both families heeds the option of the one it is in use for.
	_ = ipv4.NewConn(conn).SetTOS(class)
	_ = ipv6.NewConn(conn).SetTrafficClass(class)
}
