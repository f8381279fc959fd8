package relay

import (
	"sync/atomic"
	"time"

	"causeway/internal/mmr/forward"
	"causeway/internal/peer"
	"causeway/protocol"
)

// maxSources bounds the synchronisation sources on a connection: those of
// everybody who was ever on the other leg, and of their repairs.
const maxSources = 1 << 15

// connection is one kind of media with another leg. It is the peer.Handler of
// its connection, whose shard it is called with.
type connection struct {
	mesh  *Mesh
	kind  protocol.MediaKind
	trunk *forward.Trunk
	peer  *peer.Conn
	made  time.Time
	vital *vital
	home  *peer.Shard // on which a dialled connection lives; nil for an accepted one

	shard atomic.Int32 // index, once it is up
	since atomic.Int64 // when it came up, Unix nanoseconds
	up    atomic.Bool
	heard atomic.Bool // lately
	lost  atomic.Bool // it is over, or nothing was heard for too long

	plan *forward.Plan // the latest; of Mesh.mu
}

var (
	_ peer.Handler = (*connection)(nil)
	_ peer.Shedder = (*connection)(nil)
)

func (m *Mesh) connection(l *leg, kind protocol.MediaKind) *connection {
	c := &connection{mesh: m, kind: kind, made: time.Now(), vital: m.relays.vital(l.name)}
	cfg := forward.TrunkConfig{Kind: kind, From: l.near, Pulse: c, Notify: func() {}}
	if kind == protocol.Audio {
		cfg.Word = word{&m.pulse, l.name}
	}
	c.trunk = m.relays.cfg.Router.NewTrunk(cfg)
	return c
}

// Ready implements peer.Handler.
func (c *connection) Ready(p *peer.Conn, now time.Time) {
	index := p.Shard().Index()
	if c.home != nil {
		index = c.home.Index()
	}
	c.shard.Store(int32(index))
	c.since.Store(now.UnixNano())
	c.trunk.Ready(index, p, now)
	c.up.Store(true)
	c.heard.Store(true)
	c.vital.hear(now)
	c.changed()
}

// RTP implements peer.Handler.
func (c *connection) RTP(_ *peer.Conn, packet []byte, now time.Time) {
	c.vital.hear(now)
	c.trunk.RTP(packet, now)
}

// RTCP implements peer.Handler.
func (c *connection) RTCP(_ *peer.Conn, packet []byte, now time.Time) {
	c.vital.hear(now)
	c.trunk.RTCP(packet, now)
}

// Path implements peer.Handler.
func (c *connection) Path(_ *peer.Conn, state peer.PathState, _ time.Time) {
	c.heard.Store(state == peer.PathActive)
	switch state {
	case peer.PathActive:
		c.trunk.SetState(forward.LinkActive)
	case peer.PathSilent:
		c.trunk.SetState(forward.LinkSilent)
	case peer.PathLost:
		c.trunk.SetState(forward.LinkLost)
		c.lost.Store(true)
	}
	c.changed()
}

// Shed implements peer.Shedder.
func (c *connection) Shed(_ *peer.Conn, _ int, now time.Time) { c.trunk.Shed(now) }

// Closed implements peer.Handler.
func (c *connection) Closed(*peer.Conn, error) {
	c.trunk.Closed()
	c.up.Store(false)
	c.heard.Store(false)
	c.lost.Store(true)
	c.changed()
}

// changed lets the mesh and the meeting look.
func (c *connection) changed() {
	c.mesh.poke()
	c.mesh.wake()
}

// lasted is how long the connection has been up, 0 if it never was.
func (c *connection) lasted(now time.Time) time.Duration {
	if since := c.since.Load(); since != 0 {
		return now.Sub(time.Unix(0, since))
	}
	return 0
}
