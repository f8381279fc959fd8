package peer

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	tickInterval = 25 * time.Millisecond
	// A shard that has carried no media for idleAfter ticks less often.
	idleInterval  = 100 * time.Millisecond
	idleAfter     = time.Second
	sweepInterval = 250 * time.Millisecond
	// maxReadErrors is how many reads in a row may fail before the shard
	// waits for its next tick. Some systems report on reads what happened
	// to earlier writes.
	maxReadErrors = 64
	// worthwhile is how many datagrams must be queued for another look at the
	// socket before they are sent, and maxGlances how many looks there are.
	worthwhile = 16
	maxGlances = 4
	// A shard that is woken for media more often than restAbove times between
	// two ticks rests for restFor after each batch, so that more comes
	// together: being woken costs as much as several packets. It ends when it
	// finds something in less than restBelow of these batches.
	//
	// The runtime sleeps by whole milliseconds and rounds down what is left, then
	// sleeps once more: a little above three, it sleeps once.
	restFor   = 3*time.Millisecond + 40*time.Microsecond
	restAbove = 40 // 1600 a second
	restBelow = 4
)

// A Shard is a socket and the connections that live on it. One holder at a
// time may touch them: the shard's own goroutine while it delivers, or
// whoever is inside Run.
type Shard struct {
	port  *Port
	index int
	sock  atomic.Pointer[socketRef]

	// mu guards what is below. A shard that is away shares that of its home:
	// who holds one of them holds all.
	mu       *sync.Mutex
	home     *Shard   // nil unless the shard is away
	away     []*Shard // that others of the home have queued something on
	isAway   bool     // listed in home.away
	conns    []*Conn
	streams  []*stream // of these connections
	out      outbox
	onFailed func(g *group, packets int, err error)
	swept    time.Time
	known    known
	expected expected
	trials   budget
	worked   time.Time // when media was last seen; not before the tick after
	working  bool      // media was seen since the last tick

	// Scratch space, so that packets cost no allocation.
	binding binding
	writer  bindingWriter
	counted tally
	padding [slotSize]byte

	leavingMu sync.Mutex // guards leaving
	leaving   []*Conn    // Close was called, Handler.Closed was not

	woken atomic.Bool // the shard's goroutine is wanted

	// Of the shard's own goroutine.
	foreign []foreign
	reads   int // since the last tick
	resting bool
}

// socketRef makes a socket fit for an atomic pointer.
type socketRef struct{ socket }

// foreign is a datagram that another shard must take.
type foreign struct {
	owner *Shard
	d     *datagram
}

func newShard(p *Port, index int, sock socket) *Shard {
	s := &Shard{port: p, index: index, mu: new(sync.Mutex), out: newOutbox()}
	s.sock.Store(&socketRef{sock})
	s.out.segments = sock.segments()
	s.onFailed = s.failed
	return s
}

// Run takes the shard, calls f, sends what f queued, and releases the shard.
// It is not reentrant: neither f nor a Handler may call it for any shard.
func (s *Shard) Run(f func()) {
	s.mu.Lock()
	defer s.release()
	f()
}

// Index returns the shard's place in Port.Shards; 0 for a dialled connection.
func (s *Shard) Index() int { return s.index }

// release sends what is queued and lets go.
func (s *Shard) release() {
	s.delivered()
	s.flush()
	home := s.base()
	if home != s {
		home.flush()
	}
	for i, a := range home.away {
		a.isAway = false
		a.flush()
		home.away[i] = nil
	}
	home.away = home.away[:0]
	s.mu.Unlock()
}

// base is the shard that is held together with this one, or this one.
func (s *Shard) base() *Shard {
	if s.home != nil {
		return s.home
	}
	return s
}

// delivered tells that the packets of a batch have been delivered.
func (s *Shard) delivered() {
	home := s.base()
	if f := home.port.cfg.Delivered; f != nil {
		f(home)
	}
}

// live makes another port's shard the home of this one, which is new.
func (s *Shard) live(home *Shard) {
	s.home, s.mu = home, home.mu
}

// queued notes that whoever holds the shard, perhaps as that of its home, has
// something to send.
func (s *Shard) queued() {
	if s.home != nil && !s.isAway {
		s.isAway = true
		s.home.away = append(s.home.away, s)
	}
}

// leave notes that a connection wants to be closed. The shard's goroutine
// does it, so that Handler.Closed is never called from within Close.
func (s *Shard) leave(c *Conn) {
	s.leavingMu.Lock()
	s.leaving = append(s.leaving, c)
	s.leavingMu.Unlock()
	s.wake()
}

// reap shuts the connections that want to be closed; it loops because
// Handler.Closed may close others. The shard is held.
func (s *Shard) reap() {
	for {
		s.leavingMu.Lock()
		list := s.leaving
		s.leaving = nil
		s.leavingMu.Unlock()
		if len(list) == 0 {
			return
		}
		now := time.Now()
		for _, c := range list {
			c.shut(nil, now)
		}
	}
}

// insert puts a connection on the shard, which is held.
func (s *Shard) insert(c *Conn) {
	c.index = len(s.conns)
	s.conns = append(s.conns, c)
}

// remove takes a connection off the shard, unless it was closed before it
// got there.
func (s *Shard) remove(c *Conn) {
	if c.index < 0 {
		return
	}
	last := len(s.conns) - 1
	s.conns[c.index] = s.conns[last]
	s.conns[c.index].index = c.index
	s.conns[last] = nil
	s.conns = s.conns[:last]
}

// finishStreams ends all streams. The shard is held.
func (s *Shard) finishStreams() {
	for _, st := range s.streams {
		st.finish()
	}
}

// socket returns the shard's socket; nil once it is to end.
func (s *Shard) socket() socket {
	if ref := s.sock.Load(); ref != nil {
		return ref.socket
	}
	return nil
}

// loop is the shard's goroutine: it reads, delivers and ticks until the
// socket is taken away. Reading ends at each tick, so that one goroutine does
// all and AfterBatch is never called twice at a time.
func (s *Shard) loop() {
	interval := tickInterval
	next := time.Now().Add(interval)
	errorsInRow := 0
	for sock := s.socket(); sock != nil; sock = s.socket() {
		before := s.reads
		err := s.readUntil(sock, next, interval > tickInterval)
		if s.reads > before {
			errorsInRow = 0
		}
		if err != nil && !isTimeout(err) {
			if errorsInRow++; errorsInRow > maxReadErrors {
				s.pause(time.Until(next))
			}
		}
		now := time.Now()
		due := !now.Before(next)
		if due {
			s.resting = interval == tickInterval && (s.reads > restAbove || s.resting && s.reads >= restBelow)
			s.reads = 0
		}
		was := interval
		interval = s.turn(now, due)
		switch {
		case due:
			if next = next.Add(interval); next.Before(now) {
				next = now.Add(interval) // we were late; do not catch up
			}
		case interval < was:
			next = now.Add(interval)
		}
	}
}

// readUntil reads and delivers until a moment, until there is an error, the
// shard's goroutine is wanted otherwise or, if it was idle, is so no longer.
func (s *Shard) readUntil(sock socket, until time.Time, idle bool) error {
	_ = sock.setReadDeadline(until)
	for now := time.Now(); now.Before(until) && !s.woken.Load(); now = time.Now() {
		in, err := s.read(sock, now, until)
		if err != nil {
			return err
		}
		if len(in) == 0 {
			continue
		}
		s.reads++
		if s.batch(sock, in) && idle {
			break
		}
	}
	return nil
}

// read reads a batch: at once or, if the shard rests, what came within restFor.
func (s *Shard) read(sock socket, now, until time.Time) ([]datagram, error) {
	if s.resting {
		if rested := now.Add(restFor); rested.Before(until) {
			until = rested
		}
		_ = sock.setReadDeadline(until)
		if in, ok := sock.rest(); ok {
			return in, nil
		}
		s.resting = false
		_ = sock.setReadDeadline(until)
	}
	return sock.read()
}

// pause waits, unless the port closes.
func (s *Shard) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.port.closing:
	}
}

// turn is what the shard's goroutine does when it was woken or a tick is due.
// It returns the interval of ticks from now on.
func (s *Shard) turn(now time.Time, tick bool) time.Duration {
	s.woken.Store(false)
	s.mu.Lock()
	if s.working {
		s.worked = now
	}
	if tick {
		s.working = false
		s.tick(now)
	}
	interval := tickInterval
	if now.Sub(s.worked) >= idleAfter && !s.dials() {
		interval = idleInterval
	}
	s.reap()
	s.release()
	s.afterBatch()
	return interval
}

// dials tells whether the shard is a dialled connection's, which has much to
// time.
func (s *Shard) dials() bool { return len(s.conns) > 0 && s.conns[0].dialled != nil }

// wake makes the shard's goroutine take a turn soon; at the latest it does so
// at the next tick.
func (s *Shard) wake() {
	s.woken.Store(true)
	if sock := s.socket(); sock != nil {
		_ = sock.setReadDeadline(time.Now())
	}
}

// batch delivers what was read together, and tells whether media flows. If that has led to much, it looks
// whether more has come meanwhile before it sends: the packets of one picture
// come one after the other, and what goes to a receiver together costs little
// more than one packet.
func (s *Shard) batch(sock socket, in []datagram) bool {
	s.mu.Lock()
	now := time.Now()
	s.deliverAll(in, now)
	for range maxGlances {
		s.delivered()
		if len(s.foreign) > 0 { // which lie where the next would be read
			break
		}
		if !sock.full() && (s.resting || len(s.out.slots) < worthwhile) {
			break
		}
		if in = sock.poll(); len(in) == 0 {
			break
		}
		now = time.Now()
		s.deliverAll(in, now)
	}
	s.reap()
	working := s.working
	s.release()
	if len(s.foreign) > 0 {
		s.handOver(now)
	}
	s.afterBatch()
	return working
}

func (s *Shard) deliverAll(in []datagram, now time.Time) {
	s.foresee(in)
	for i := range in {
		s.ahead(i, &in[i])
		if owner := s.deliver(&in[i], now); owner != nil {
			s.foreign = append(s.foreign, foreign{owner, &in[i]})
		}
	}
}

// handOver takes each owner's shard in turn, never two at a time, and
// delivers there what came on this shard's socket: a remote whose address
// changed may hash to another socket of the port.
func (s *Shard) handOver(now time.Time) {
	for i := 0; i < len(s.foreign); {
		owner := s.foreign[i].owner
		owner.mu.Lock()
		for ; i < len(s.foreign) && s.foreign[i].owner == owner; i++ {
			owner.deliver(s.foreign[i].d, now)
		}
		owner.release()
		owner.wake() // for its AfterBatch
	}
	clear(s.foreign)
	s.foreign = s.foreign[:0]
}

func (s *Shard) afterBatch() {
	if f := s.port.cfg.AfterBatch; f != nil {
		f(s)
	}
}

// tick lets time pass on the shard, which is held.
func (s *Shard) tick(now time.Time) {
	if s.port.cfg.Tick != nil {
		s.port.cfg.Tick(s, now)
	}
	if now.Sub(s.swept) >= sweepInterval {
		s.swept = now
		for i := len(s.conns) - 1; i >= 0; i-- { // sweep may remove the one it is called for
			s.conns[i].sweep(now)
		}
		if s.index == 0 {
			s.port.expire(s, now)
		}
	}
	for _, st := range s.streams {
		st.tick(now)
	}
	if s.dials() { // all connections of a shard are of one role
		for _, c := range s.conns {
			c.dialled.tick(c, now)
		}
	}
}
