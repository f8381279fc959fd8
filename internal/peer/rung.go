package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"causeway/protocol"
)

const (
	// attemptFor is how long a rung may take to answer in the background.
	attemptFor = 2 * time.Second
	// answerWithin is how long an open stream may stay without an answer.
	answerWithin = 5 * time.Second
	dialWithin   = 10 * time.Second

	// In the background attempts become rarer, when a way is wanted less so.
	firstRetry, lastRetry   = 5 * time.Second, time.Minute
	firstUrgent, lastUrgent = 250 * time.Millisecond, 4 * time.Second
	// muteFor is how long a rung is left alone that answers checks but loses
	// media. Trying it again costs a second of media.
	muteFor = 10 * time.Minute
	// steady is how long a rung must have served to be trusted again after it
	// fell silent.
	steady = 30 * time.Second
)

// A rung is one transport of the ladder and the schedule of attempts on it.
type rung struct {
	transport protocol.Transport
	level     int       // its place; 0 is best
	start     time.Time // of the first attempt, unless the better ones fail sooner
	failed    bool      // so far nothing came of it, for certain
	absent    bool      // there is none
	mute      time.Time // until then it is not used: it answers checks but does not carry media
	dial      *dialling // in progress
	retry     time.Time // not before
	backoff   time.Duration
	quick     time.Duration // the backoff while a way is wanted
	gained    time.Time     // when it was last taken into use
}

// dialling is a stream about to be opened.
type dialling struct{ cancel context.CancelFunc }

// rungs returns the ladder. The remembered rung and better ones start at
// once, each further one a delay later.
func (cfg *DialConfig) rungs(udp bool, now time.Time) []*rung {
	present := map[protocol.Transport]bool{
		protocol.UDP: udp,
		protocol.TCP: len(cfg.TCP) > 0 || cfg.Stream != nil,
		protocol.TLS: cfg.Stream != nil,
	}
	delay := max(cfg.StreamDelay, leastStreamDelay)
	start := now
	var list []*rung
	past := cfg.Prefer == "" || !present[cfg.Prefer]
	for _, t := range transports() {
		if !present[t] {
			continue
		}
		list = append(list, &rung{transport: t, level: len(list), start: start})
		past = past || t == cfg.Prefer
		if past {
			start = start.Add(delay)
		}
	}
	return list
}

func (r *rung) muted(now time.Time) bool { return now.Before(r.mute) }

// hasten makes the next attempt due at once.
func (r *rung) hasten(now time.Time) { r.retry, r.quick = now, 0 }

// fail notes an attempt that led nowhere.
func (r *rung) fail(now time.Time, urgent bool) {
	r.failed = true
	if urgent {
		r.quick = min(max(2*r.quick, firstUrgent), lastUrgent)
		r.retry = now.Add(r.quick)
		return
	}
	r.later(now)
}

// later makes the next attempt in the background due after a pause, longer
// from time to time.
func (r *rung) later(now time.Time) {
	r.backoff = min(max(2*r.backoff, firstRetry), lastRetry)
	r.retry = now.Add(r.backoff)
}

// reached notes that the rung is taken into use.
func (r *rung) reached(now time.Time) { r.gained, r.failed = now, false }

// fell notes that a worse rung took over. One that did not serve long is not
// trusted soon again.
func (r *rung) fell(now time.Time) {
	if now.Sub(r.gained) >= steady {
		r.backoff = 0
	}
	r.later(now)
}

// abandon stops dialling.
func (r *rung) abandon() {
	if r.dial != nil {
		r.dial.cancel()
		r.dial = nil
	}
}

// due tells whether to begin an attempt on a rung now.
func (d *dialled) due(r *rung, now time.Time) bool {
	if r.absent || r.dial != nil || now.Before(r.retry) || d.pending(r, now) {
		return false
	}
	held := d.held.Load()
	switch {
	case d.level < 0: // nothing has ever answered
		return !now.Before(r.start) || d.nextBetterFailed(r)
	case d.current == nil:
		return !held || r.level <= d.level
	case r.level < d.level:
		return !r.muted(now)
	case r.level == d.level:
		return d.urgent
	}
	return d.urgent && !held && !r.muted(now)
}

// pending tells whether the rung has a way that may still answer.
func (d *dialled) pending(r *rung, now time.Time) bool {
	for _, w := range d.ways {
		if w.rung != r {
			continue
		}
		if w.stream == nil {
			return d.current == nil || w == d.current || now.Before(w.until)
		}
		if w != d.current || !d.urgent {
			return true
		}
	}
	return false
}

// nextBetterFailed tells whether there is no point in waiting for the rung
// above.
func (d *dialled) nextBetterFailed(r *rung) bool {
	if r.level == 0 {
		return false
	}
	b := d.rungs[r.level-1]
	return b.failed || b.absent
}

// attempt tries a rung: UDP by checks from the socket, others by dialling.
func (d *dialled) attempt(c *Conn, r *rung, now time.Time) {
	if d.udp != nil && r == d.udp.rung {
		if d.unsent != 0 {
			d.rebind(c, now)
		}
		r.later(now)
		d.udp.until = now.Add(attemptFor)
		d.udp.agent.restart(now)
		return
	}
	ctx, cancel := context.WithTimeout(d.ctx, dialWithin)
	this := &dialling{cancel}
	r.dial = this
	c.port.serving.Go(func() {
		conn, err := d.cfg.stream(ctx, r.transport)
		cancel()
		d.arrived(c, r, this, conn, err)
	})
}

// arrived takes a stream into use, or lets the rung wait for its next turn,
// and serves the stream until it ends.
func (d *dialled) arrived(c *Conn, r *rung, this *dialling, conn net.Conn, err error) {
	var st *stream
	c.Shard().Run(func() {
		if r.dial != this || c.phase == phaseClosed {
			return // abandoned
		}
		r.dial = nil
		now := time.Now()
		switch {
		case err == nil:
			st = newStream(c.port, conn, r.transport)
			d.opened(c, r, st, now)
		case errors.Is(err, errors.ErrUnsupported):
			r.absent = true
		default:
			c.port.log.Debug("media stream not opened", "transport", r.transport, "error", err)
			r.fail(now, d.urgent)
		}
	})
	switch {
	case st != nil:
		st.serve()
	case err == nil:
		_ = conn.Close()
	}
}

// opened checks a new stream and, as long as nothing has answered, sends the
// handshake's flight behind the check. The shard is held.
func (d *dialled) opened(c *Conn, r *rung, st *stream, now time.Time) {
	c.attach(st, now)
	w := &way{rung: r, stream: st, agent: newAgent(1, now), until: now.Add(answerWithin)}
	d.ways = append(d.ways, w)
	from, to := w.agent.due(now, now, false)
	for i := from; i < to; i++ {
		d.check(c, w, i, now)
	}
	if d.current == nil && c.handshake != nil {
		c.handshake.repeat(st.path())
	}
}

// stream opens a stream to the router.
func (cfg *DialConfig) stream(ctx context.Context, t protocol.Transport) (net.Conn, error) {
	if cfg.Stream != nil {
		return cfg.Stream(ctx, t)
	}
	return dialTCP(ctx, cfg.TCP)
}

func dialTCP(ctx context.Context, addrs []netip.AddrPort) (net.Conn, error) {
	return Race(ctx, addrs, func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", a.String())
	})
}

// Race dials all targets at once and takes the first that answers. It returns
// when all have ended; those that lose are cancelled, and closed where they
// answered after all. Without a winner the error is that of all of them.
func Race[T any](ctx context.Context, targets []T, dial func(context.Context, T) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	for _, t := range targets {
		go func() {
			conn, err := dial(ctx, t)
			results <- result{conn, err}
		}()
	}
	var first net.Conn
	var errs []error
	for range targets {
		switch r := <-results; {
		case r.err != nil:
			errs = append(errs, r.err)
		case first == nil:
			first = r.conn
			cancel()
		default:
			_ = r.conn.Close()
		}
	}
	if first == nil {
		return nil, errors.Join(errs...)
	}
	return first, nil
}
