package relay

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"causeway/internal/bus"
	"causeway/internal/mmr/forward"
	"causeway/internal/peer"
	"causeway/protocol"
)

// Config is what relays are made from.
type Config struct {
	Zone, MMR  string
	OnPremises bool // this router cannot be dialled, but dials
	Router     *forward.Router
	Port       *peer.Port
	// Ask asks another router to take media, see Over.
	Ask func(ctx context.Context, zone, mmr string, q protocol.RelayRequest) (protocol.RelayAnswer, error)
	// Addresses are the ways to Port.
	Addresses func() Addresses
	// Dial opens a byte stream to host:port, through a proxy if need be; nil
	// means directly.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// ListenPacket opens the socket of a connection that is dialled, for
	// virtual networks; nil means a kernel socket.
	ListenPacket func() (net.PacketConn, error)
	Log          *slog.Logger // nil means slog.Default
}

// Addresses are where a router takes media.
type Addresses struct {
	UDP, TCP []string // ip:port
	TLS      string   // host:port, "" for none
}

// Relays are the relays of one router.
type Relays struct {
	cfg         Config
	certificate *peer.Certificate
	ctx         context.Context // until Close
	cancel      context.CancelFunc

	mu      sync.Mutex
	meshes  map[string]*Mesh // by meeting; the latest
	routers map[name]*router
	running sync.WaitGroup

	lingering sync.WaitGroup // relays that go on for a moment

	nextHome      atomic.Uint32
	dialled, lost atomic.Uint64
}

// New makes the relays of a router. Close must be called, before the port is
// closed.
func New(cfg Config) (*Relays, error) {
	certificate, err := peer.NewCertificate()
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	r := &Relays{cfg: cfg, certificate: certificate, meshes: map[string]*Mesh{}, routers: map[name]*router{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Over asks other routers over the bus: it is Config.Ask.
func Over(c *bus.Conn) func(context.Context, string, string, protocol.RelayRequest) (protocol.RelayAnswer, error) {
	return func(ctx context.Context, zone, mmr string, q protocol.RelayRequest) (protocol.RelayAnswer, error) {
		return bus.Request[protocol.RelayAnswer](ctx, c, protocol.SubjectRelay(zone, mmr), q)
	}
}

// Close ends all relays and waits for them. Meetings may still be made, and
// have none.
func (r *Relays) Close() {
	r.lingering.Wait()
	r.mu.Lock()
	r.cancel() // nothing is started any more
	r.mu.Unlock()
	r.running.Wait()
}

// Fingerprint is that of the certificate with which this router dials, for
// Leg.Fingerprint elsewhere.
func (r *Relays) Fingerprint() string { return r.certificate.Fingerprint() }

func (r *Relays) self() name { return name{Zone: r.cfg.Zone, MMR: r.cfg.MMR} }

// add makes a mesh known to those who dial.
func (r *Relays) add(m *Mesh) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meshes[m.meeting] = m
}

func (r *Relays) forget(m *Mesh) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.meshes[m.meeting] == m {
		delete(r.meshes, m.meeting)
	}
}

// start lets a mesh run, unless the relays are closed.
func (r *Relays) start(run func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() == nil {
		r.running.Go(run)
	}
}

// lingers ends a mesh after a moment; it reports false if the relays are
// closed.
func (r *Relays) lingers(end func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return false
	}
	r.lingering.Add(1)
	time.AfterFunc(lingerGone, func() {
		end()
		r.lingering.Done()
	})
	return true
}

// wake lets all meetings look.
func (r *Relays) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.meshes {
		m.poke()
		m.wake()
	}
}

func (r *Relays) mesh(meeting string) *Mesh {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.meshes[meeting]
}

// home chooses the shard on which a dialled connection lives: each in turn.
func (r *Relays) home() *peer.Shard {
	shards := r.cfg.Port.Shards()
	return shards[int(r.nextHome.Add(1))%len(shards)]
}

// Stats tells what relays there are.
type Stats struct {
	Legs        int                        // others that are connected, with sound at least
	Connections map[protocol.Transport]int // that are up, by the rung in use
	Dialled     uint64                     // connections, so far
	Lost        uint64                     // of all
	Withheld    int                        // layers of pictures for which paths to other routers are too narrow
}

// Stats counts the relays; any goroutine may call it.
func (r *Relays) Stats() Stats {
	s := Stats{Connections: map[protocol.Transport]int{}, Dialled: r.dialled.Load(), Lost: r.lost.Load()}
	r.mu.Lock()
	meshes := make([]*Mesh, 0, len(r.meshes))
	for _, m := range r.meshes {
		meshes = append(meshes, m)
	}
	for _, o := range r.routers {
		s.Withheld += o.budget.Withheld()
	}
	r.mu.Unlock()
	for _, m := range meshes {
		m.count(&s)
	}
	return s
}

func (m *Mesh) count(s *Stats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.legs {
		for i := range l.sides {
			c := l.sides[i].conn
			if c == nil || !c.up.Load() {
				continue
			}
			s.Connections[c.peer.Stats().Transport]++
			if i == 0 {
				s.Legs++
			}
		}
	}
}
