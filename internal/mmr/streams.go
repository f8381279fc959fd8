package mmr

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/peer"
	"causeway/protocol"
)

// Streams that carry media: three for each participant, and one more while
// one of them is replaced.
const (
	streamsPerParticipant = 4
	fewestStreams         = 1024
)

// streams are the byte streams that carry media, over TCP on the media port
// and over TLS.
type streams struct {
	port  *peer.Port
	limit int
	tcp   net.Listener // nil: no media over TCP

	mu      sync.Mutex
	closed  bool
	open    map[net.Conn]struct{}
	running sync.WaitGroup
}

func newStreams(port *peer.Port, tcp net.Listener, participants int) *streams {
	if participants == 0 {
		participants = 1 << 14
	}
	return &streams{
		port: port, tcp: tcp, limit: max(streamsPerParticipant*participants, fewestStreams), open: map[net.Conn]struct{}{},
	}
}

// openMedia opens the media port for UDP and, if configured, for TCP: both
// under the same number.
func (s *Server) openMedia(cfg peer.PortConfig) (*peer.Port, net.Listener, error) {
	for attempt := 0; ; attempt++ {
		port, err := peer.Listen(cfg)
		if err != nil || !s.cfg.MediaTCP {
			return port, nil, err
		}
		ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(cfg.Listen.Addr(), port.Addr().Port())))
		if err == nil {
			return port, ln, nil
		}
		_ = port.Close()
		// A port of the system's choice is free for UDP only by chance.
		if cfg.Listen.Port() != 0 || attempt == 16 {
			return nil, nil, err
		}
	}
}

// accept takes streams on the media port until it is closed.
func (m *streams) accept(ctx context.Context) {
	if m.tcp == nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = m.tcp.Close() })
	defer stop()
	for {
		c, err := m.tcp.Accept()
		if err == nil {
			m.running.Go(func() { m.serve(c, protocol.TCP) })
			continue
		}
		// The port is closed; or else a connection is gone already, or file
		// descriptors are short: those that are there go on.
		again := time.NewTimer(50 * time.Millisecond)
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
	}
}

// serve carries media on a stream until it ends. One more than the limit is
// closed at once.
func (m *streams) serve(c net.Conn, transport protocol.Transport) {
	m.mu.Lock()
	full := m.closed || len(m.open) >= m.limit
	if !full {
		m.open[c] = struct{}{}
	}
	m.mu.Unlock()
	if full {
		_ = c.Close()
		return
	}
	m.port.ServeStream(c, transport)
	m.mu.Lock()
	delete(m.open, c)
	m.mu.Unlock()
}

// close closes the media port, ends the streams and waits for them. The
// port's connections still say goodbye over them.
func (m *streams) close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	if m.tcp != nil {
		_ = m.tcp.Close()
	}
	err := m.port.Close()
	m.mu.Lock()
	for c := range m.open {
		_ = c.Close()
	}
	m.mu.Unlock()
	m.running.Wait()
	return err
}

// ServeMedia carries media over a TLS connection whose ALPN is
// protocol.ALPNMedia, until it ends or ctx does.
func (s *Server) ServeMedia(ctx context.Context, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	s.streams.serve(c, protocol.TLS)
}

// tcpCandidates are the passive TCP candidates beside the UDP ones (RFC 6544
// section 4.1).
func tcpCandidates(udp []offer.Candidate) []offer.Candidate {
	list := make([]offer.Candidate, 0, len(udp))
	for i, c := range udp {
		list = append(list, offer.Candidate{Protocol: "tcp", Addr: c.Addr, Priority: passivePriority(i), TCPType: "passive"})
	}
	return list
}

// passivePriority is the priority of the i-th passive host candidate (RFC 6544
// section 4.2): below those of UDP by its type preference.
func passivePriority(i int) uint32 {
	const typePreference, directionPreference, component = 90, 2, 1
	return typePreference<<24 | uint32(directionPreference<<13|(8191-i))<<8 | (256 - component)
}

// mediaTCP lists where clients reach the port over TCP, ip:port.
func (s *Server) mediaTCP() []string {
	if s.streams.tcp == nil {
		return nil
	}
	return s.mediaAddresses()
}

// mediaTLS is where clients reach this router's TLS port for media, host:port;
// "" if it is not told and the control channel has none.
func (s *Server) mediaTLS() string {
	if s.cfg.MediaTLS != "" {
		return s.cfg.MediaTLS
	}
	u, err := url.Parse(s.cfg.ControlURL)
	if err != nil || u.Scheme != "wss" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// answered are the candidates of an answer: UDP first.
func (s *Server) answered() []offer.Candidate {
	udp := s.candidates()
	if s.streams.tcp == nil {
		return udp
	}
	return append(slices.Clip(udp), tcpCandidates(udp)...)
}
