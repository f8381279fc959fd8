package gateway

import (
	"context"
	"net"
)

// ServeTURN speaks TURN on a stream until that or ctx ends. Without Run it
// closes the stream.
func (s *Server) ServeTURN(ctx context.Context, c net.Conn) {
	relay := s.turn.Load()
	if relay == nil {
		_ = c.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	relay.Serve(c)
}
