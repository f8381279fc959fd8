package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"causeway/protocol"

	"github.com/pion/stun/v3"
)

const (
	leastStreamDelay = 250 * time.Millisecond
	// linger is how long a stream outlives its use: what is queued at either
	// end arrives, and the other way may yet fail.
	linger = 5 * time.Second
	// streamPatience is the least silence of a stream that counts: after a
	// loss it is silent for a retransmission's time-out. While media is heard
	// it may be several.
	streamPatience, streamBusyPatience = 600 * time.Millisecond, 1500 * time.Millisecond
	// handshakeWithin is how long a way that answers checks may fail to carry
	// the handshake: some networks pass STUN and nothing after it.
	handshakeWithin = 2 * time.Second
)

// dialled is what a connection has beyond an accepted one: its port is its
// own, it is the one that checks, and it climbs the ladder: UDP, TCP, TLS.
// The first rung that answers carries the media. Better rungs are tried again
// in the background, worse ones when the one in use is silent. Only what is
// in use is nominated; both sides take media from every way that answers, so
// nothing is lost by a change.
type dialled struct {
	cfg        DialConfig
	candidates []netip.AddrPort // for UDP
	username   []byte           // of our checks
	tieBreaker uint64
	ctx        context.Context // of the streams' dialling
	cancel     context.CancelFunc
	stop       func() bool // forgets the caller's context

	rungs   []*rung // best first
	ways    []*way
	udp     *way // nil without UDP
	current *way // nil before the first answer, and when its stream has ended
	level   int  // of the latest current way, -1 before the first
	urgent  bool // at the latest tick another way was wanted

	flow     flow
	lull     lull
	rebindAt time.Time // not before
	watch    watch     // of UDP, while it is in use
	broken   bool      // sending failed on the path in use
	unsent   uint16    // candidates that the system cannot send to

	nudged, held atomic.Bool
}

// A way is a means to reach the router that exists: the shard's socket or a
// stream.
type way struct {
	rung   *rung
	stream *stream // nil for the socket
	agent  *agent
	until  time.Time // that it may answer, in the background
	retire time.Time // when it ends, not being in use; zero if undecided
}

func newLadder(ctx context.Context, cfg DialConfig, candidates []netip.AddrPort, now time.Time) *dialled {
	d := &dialled{
		cfg: cfg, candidates: candidates, level: -1,
		username:   []byte(cfg.Remote.Ufrag + ":" + cfg.Local.Ufrag),
		tieBreaker: binary.BigEndian.Uint64(randomBytes(8)),
	}
	d.ctx, d.cancel = context.WithCancel(ctx)
	d.rungs = cfg.rungs(len(candidates) > 0, now)
	if len(candidates) > 0 {
		d.udp = &way{rung: d.rungs[0], agent: newAgent(len(candidates), now)}
		d.ways = []*way{d.udp}
	}
	return d
}

// Nudge tells a dialled connection that the network has changed: the rung in
// use is checked out of turn and better ones are tried at once. Any goroutine
// may call it.
func (c *Conn) Nudge() {
	if c.dialled != nil {
		c.dialled.nudged.Store(true)
	}
}

// Hold tells a dialled connection whether the control channel is dead too:
// then silence is the network's fault, not the rung's, and the connection
// does not fall to a worse rung. Any goroutine may call it.
func (c *Conn) Hold(dead bool) {
	if c.dialled != nil {
		c.dialled.held.Store(dead)
	}
}

// tick does what is due: attempts on other rungs, checks, a new socket. The
// shard is held.
func (d *dialled) tick(c *Conn, now time.Time) {
	if c.phase == phaseClosed {
		return
	}
	d.flow.count(c.counters.packetsReceived.Load(), now)
	d.relax(c, now)
	if d.nudged.Swap(false) {
		d.nudge(now)
	}
	urgent := d.wants(c, now)
	d.mend(c, now) // it forgets what made the way unwanted
	if urgent && !d.urgent {
		for _, r := range d.rungs {
			r.hasten(now)
		}
	}
	d.urgent = urgent
	for _, r := range d.rungs {
		if d.due(r, now) {
			d.attempt(c, r, now)
		}
	}
	d.tend(c, now)
}

// relax lets checks become rarer while nothing is sent.
func (d *dialled) relax(c *Conn, now time.Time) {
	idle := d.lull.count(c.counters.packetsReceived.Load()+c.counters.packetsSent.Load(), now)
	if d.current != nil {
		d.current.agent.rest(idle, now)
		c.live.expect(d.current.agent.consent())
	}
}

func (d *dialled) nudge(now time.Time) {
	for _, r := range d.rungs {
		r.hasten(now)
		r.backoff, r.mute = 0, time.Time{}
	}
	if d.current != nil {
		d.current.agent.hurry(now)
	}
}

// wants tells whether another way than the current one is wanted.
func (d *dialled) wants(c *Conn, now time.Time) bool {
	w := d.current
	if w == nil {
		return true
	}
	if c.phase == phaseNew && now.Sub(w.rung.gained) > max(handshakeWithin, 8*w.agent.srtt) {
		if len(d.rungs) == 1 {
			return false
		}
		w.rung.mute = now.Add(muteFor)
	}
	switch {
	case w.stream == nil:
		return w.agent.gone(now, 0) || d.broken || w.rung.muted(now)
	case w.agent.doubtful || !w.agent.busy:
		return w.agent.gone(now, streamPatience)
	}
	return w.agent.gone(now, streamBusyPatience)
}

// tend sends the checks that are due on each way, and ends the streams that
// lead nowhere or are not needed any more.
func (d *dialled) tend(c *Conn, now time.Time) {
	stalled := false
	for _, w := range slices.Clone(d.ways) { // ended may be called from within
		if d.expired(w, now) {
			d.drop(w)
			continue
		}
		if w == d.udp && w != d.current && !d.urgent && !now.Before(w.until) {
			continue
		}
		from, to := w.agent.due(now, c.live.heard, w == d.current && (d.flow.busy() || d.watch.suspicious()))
		for i := from; i < to; i++ {
			d.check(c, w, i, now)
		}
		stalled = stalled || from < to && w == d.current
	}
	if stalled && now.Sub(c.live.heard) >= stalledAfter {
		d.flow = flow{} // noticed; the answer decides
	}
}

// expired tells whether a stream is to end, and decides when.
func (d *dialled) expired(w *way, now time.Time) bool {
	switch {
	case w.stream == nil || w == d.current:
		return false
	case w.agent.selected < 0: // no answer yet
		if now.Before(w.until) {
			return false
		}
		w.rung.fail(now, d.urgent)
		return true
	case d.urgent:
		w.retire = time.Time{}
	case w.retire.IsZero():
		w.retire = now.Add(linger)
	}
	return !w.retire.IsZero() && !now.Before(w.retire)
}

func (d *dialled) drop(w *way) {
	d.ways = slices.DeleteFunc(d.ways, func(x *way) bool { return x == w })
	w.stream.finish()
}

// pathOf is a way as a path, to one of its candidates.
func (d *dialled) pathOf(w *way, candidate int) path {
	if w.stream != nil {
		return w.stream.path()
	}
	return path{remote: d.candidates[candidate]}
}

// check sends a connectivity check. It nominates the way in use, or, as long
// as there is none, whatever comes first.
func (d *dialled) check(c *Conn, w *way, candidate int, now time.Time) {
	s := c.Shard()
	id := transaction(randomBytes(stun.TransactionIDSize))
	nominate := d.current == nil || d.current == w
	n := s.writer.check(s.buffer(), id, d.username, c.remote.Load().key, d.tieBreaker, nominate)
	if n == 0 {
		return
	}
	w.agent.sent(id, candidate, c.counters.bytesSent.Load(), now)
	s.out.add(c, d.pathOf(w, candidate), n)
}

// response takes an authentic response; false if nobody asked.
func (d *dialled) response(c *Conn, b *binding, from *datagram, now time.Time) bool {
	w := d.wayOf(from.stream)
	if w == nil {
		return false
	}
	p, chosen, ok := w.agent.answer(b.id, now)
	if !ok || b.class != stun.ClassSuccessResponse || w.stream == nil && d.candidates[p.target] != from.remote {
		return false
	}
	c.heard(now)
	if w == d.current && w == d.udp {
		d.compare(c, p, b, now)
	}
	if chosen && w == d.current || w != d.current && d.better(c, w, now) {
		d.choose(c, w, now)
	}
	if w == d.current {
		c.counters.rtt.Store(int64(w.agent.srtt))
	}
	return true
}

// compare holds what was sent against what arrived. UDP that answers checks
// but loses the media is left for a while.
func (d *dialled) compare(c *Conn, p probe, b *binding, now time.Time) {
	theirs, ok := parseTally(b.tally)
	if !ok || len(d.rungs) == 1 {
		return
	}
	ours := c.tally()
	ours.sent = p.media
	d.watch.note(ours, theirs)
	switch {
	case d.watch.starved():
		d.udp.rung.mute = now.Add(muteFor)
	case !d.watch.suspicious():
		d.udp.rung.mute = time.Time{} // it carries media after all
	}
}

func (d *dialled) wayOf(st *stream) *way {
	for _, w := range d.ways {
		if w.stream == st {
			return w
		}
	}
	return nil
}

// better tells whether a way that answers is to be used instead of the
// current one.
func (d *dialled) better(c *Conn, w *way, now time.Time) bool {
	switch {
	case d.current == nil:
		return true
	case w.rung.muted(now):
		return false
	case w.rung.level < d.current.rung.level:
		return true
	case w.rung.level == d.current.rung.level:
		return d.wants(c, now)
	}
	return !d.held.Load() && d.wants(c, now)
}

// choose sends by a way that has answered from now on.
func (d *dialled) choose(c *Conn, w *way, now time.Time) {
	old := d.current
	d.current, d.level, d.watch = w, w.rung.level, watch{}
	w.retire = time.Time{}
	if w == d.udp {
		d.broken, d.unsent = false, 0
	}
	c.nominated = true
	to := d.pathOf(w, max(w.agent.selected, 0))
	c.move(to, now)
	if old != w {
		d.left(old, now)
		w.rung.reached(now)
		if d.udp != nil && d.udp != w && old == nil {
			d.udp.until = now.Add(attemptFor)
			d.udp.rung.retry = now.Add(firstRetry)
		}
		for _, r := range d.rungs[d.level:] {
			r.abandon()
		}
	}
	if old != nil || len(d.ways) > 1 || len(d.candidates) > 1 {
		// Other checks nominated other ways; this one is the last word.
		d.check(c, w, max(w.agent.selected, 0), now)
	}
	if c.handshake != nil {
		c.handshake.repeat(to)
	}
}

// left deals with a way that was in use before: the socket rests, a stream
// carries what is queued and ends.
func (d *dialled) left(old *way, now time.Time) {
	switch {
	case old == nil:
		return
	case old == d.udp:
		old.agent.restart(now)
		old.until = now
	default:
		old.retire = now.Add(linger)
	}
	if old.rung.level < d.level {
		old.rung.fell(now)
	}
}

// ended takes note that a stream has ended. If it was in use, all rungs are
// tried at once, unless another stream stands by.
func (d *dialled) ended(c *Conn, st *stream, now time.Time) {
	w := d.wayOf(st)
	if w == nil || st == nil || c.phase == phaseClosed {
		return
	}
	d.ways = slices.DeleteFunc(d.ways, func(x *way) bool { return x == w })
	if w != d.current {
		if w.agent.selected < 0 {
			w.rung.fail(now, d.urgent)
		}
		return
	}
	d.current, d.urgent = nil, true
	for _, r := range d.rungs {
		r.hasten(now)
	}
	if now.Sub(w.rung.gained) < linger {
		w.rung.fail(now, true) // it may end each time
	}
	if d.udp != nil {
		d.udp.agent.restart(now)
	}
	for _, other := range d.ways {
		if other.stream != nil && other.agent.selected >= 0 && !other.agent.trouble {
			d.choose(c, other, now)
			return
		}
	}
}

// sendFailed notes that the system could not send to a UDP address, unless it
// was only short of room.
func (d *dialled) sendFailed(c *Conn, to path, err error) {
	if d.udp == nil || errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOBUFS) {
		return
	}
	if to == c.path {
		d.broken = true
		return
	}
	if i := slices.Index(d.candidates, to.remote); i >= 0 {
		d.unsent |= 1 << i
	}
	if d.unsent == 1<<len(d.candidates)-1 {
		d.udp.rung.failed = true
	}
}

// mend opens a new socket when the old one seems to lead nowhere.
func (d *dialled) mend(c *Conn, now time.Time) {
	if d.udp == nil || now.Before(d.rebindAt) {
		return
	}
	used := d.current == d.udp
	silent := c.phase == phaseReady && c.live.state != PathActive
	if d.broken || used && (silent || d.udp.agent.lost(now)) || d.current == nil && d.udp.rung.failed {
		d.rebind(c, now)
	}
}

// rebind opens a new socket, as the old one may be bound to an address or a
// NAT mapping that is gone, and checks all candidates from it. The router
// moves the connection on the first of these checks. If no socket can be had,
// it is tried again later.
func (d *dialled) rebind(c *Conn, now time.Time) {
	d.rebindAt = now.Add(rebindAfter)
	sock, err := d.cfg.open()
	if err != nil {
		c.port.log.Debug("cannot open a new media socket", "error", err)
		return
	}
	s := c.Shard()
	old := s.sock.Swap(&socketRef{sock})
	s.out.segments = sock.segments()
	if old != nil {
		_ = old.close() // its reader goes over to the new one
	}
	d.broken, d.unsent, d.udp.rung.failed = false, 0, false
	d.udp.agent.restart(now)
}

// end takes the connection's own port down, as nothing else lives there. The
// shard is held; Conn.Done tells when it is over.
func (d *dialled) end(c *Conn) {
	d.cancel()
	if d.stop != nil {
		d.stop()
	}
	go func() {
		c.port.shutdown(nil)
		c.ended.Do(func() { close(c.done) })
	}()
}

// transports are the ladder's rungs, best first.
func transports() []protocol.Transport {
	return []protocol.Transport{protocol.UDP, protocol.TCP, protocol.TLS}
}
