package mmr

import (
	"context"
	"net"
	"net/netip"
	"time"

	"causeway/internal/turn"
	"causeway/protocol"
)

// credentialsFor is how long a browser may use its TURN credentials: longer
// than meetings are. Joining again gives new ones.
const credentialsFor = 12 * time.Hour

// turnRelay lets browsers reach this router's media port, and nothing else, by
// TURN over its TLS port.
type turnRelay struct {
	turn      *turn.Server
	addresses map[netip.Addr]bool // as clients know the media port
	own       netip.AddrPort      // where it is on this machine
}

func (s *Server) openTURN() error {
	public := s.candidates()
	s.browsers.addresses = make(map[netip.Addr]bool, len(public))
	address := public[0].Addr.Addr()
	for _, c := range public {
		s.browsers.addresses[c.Addr.Addr()] = true
		// Browsers ask for IPv4 unless told otherwise (RFC 8656 section 7.2).
		if !address.Is4() && c.Addr.Addr().Is4() {
			address = c.Addr.Addr()
		}
	}
	port := s.port.Addr()
	s.browsers.own = netip.AddrPortFrom(port.Addr().Unmap(), port.Port())
	if a := s.browsers.own.Addr(); !a.IsValid() || a.IsUnspecified() {
		s.browsers.own = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port.Port())
	}
	var err error
	s.browsers.turn, err = turn.New(turn.Config{
		Address: address,
		Allow:   s.OwnMedia,
		Secret:  s.deps.TURNSecret,
		Log:     s.log,
	})
	return err
}

// OwnMedia tells whether an address is one of this router's media port, and
// where that is on this machine. Port 0 asks for the address alone.
func (s *Server) OwnMedia(media netip.AddrPort) (netip.AddrPort, bool) {
	own := s.browsers.own
	return own, s.browsers.addresses[media.Addr()] && (media.Port() == 0 || media.Port() == own.Port())
}

// turnServers are this router's TURN servers for a participant in a browser.
func (s *Server) turnServers(participant string) []protocol.TURNServer {
	at := s.mediaTLS()
	if at == "" {
		return nil
	}
	user, password, err := s.browsers.turn.Credentials(participant, credentialsFor)
	if err != nil {
		s.log.Error("no TURN credentials", "err", err)
		return nil
	}
	return []protocol.TURNServer{{URLs: []string{"turns:" + at + "?transport=tcp"}, Username: user, Credential: password}}
}

// ServeTURN relays media of browsers between a TLS connection and this
// router's media port, until the connection or ctx ends.
func (s *Server) ServeTURN(ctx context.Context, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	s.browsers.turn.Serve(c)
}
