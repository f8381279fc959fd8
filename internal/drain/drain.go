// Package drain is the taking of a server out of service: from the moment it
// is asked it takes nobody new, and it ends when nobody is left or when its
// time is up. Zone controllers and tunnels wait here; what those who are left
// do meanwhile is their server's business.
//
// A Drain owns no goroutine; Wait blocks its caller. It is safe for
// concurrent use.
package drain

import (
	"context"
	"sync"
	"time"

	"causeway/protocol"
)

// look is how often Wait asks who is left.
const look = 100 * time.Millisecond

// A Drain is whether a server drains, and until when.
type Drain struct {
	usual time.Duration // when the request does not say
	quiet time.Duration // nobody must have been there for so long

	mu      sync.Mutex
	until   time.Time     // zero: it does not drain
	changed chan struct{} // closed and replaced when until changes
}

// New makes a Drain that takes the usual time unless it is asked otherwise,
// and ends early when nobody has been left for as long as quiet.
func New(usual, quiet time.Duration) *Drain {
	return &Drain{usual: usual, quiet: quiet, changed: make(chan struct{})}
}

// Ask carries out a request and says how things stand then, with left still
// there.
func (d *Drain) Ask(req protocol.DrainRequest, left int, now time.Time) protocol.DrainState {
	d.mu.Lock()
	switch {
	case req.Cancel:
		d.until = time.Time{}
	case req.DeadlineMS > 0:
		d.until = now.Add(time.Duration(min(req.DeadlineMS, protocol.MaxDrainMS)) * time.Millisecond)
	default:
		d.until = now.Add(d.usual)
	}
	close(d.changed)
	d.changed = make(chan struct{})
	d.mu.Unlock()
	if s := d.State(left, now); s != nil {
		return *s
	}
	return protocol.DrainState{}
}

// On reports whether the server drains.
func (d *Drain) On() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.until.IsZero()
}

// State is how things stand with left still there; nil while the server does
// not drain.
func (d *Drain) State(left int, now time.Time) *protocol.DrainState {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until.IsZero() {
		return nil
	}
	return &protocol.DrainState{Draining: true, DeadlineMS: max(d.until.Sub(now).Milliseconds(), 0), Left: left}
}

// Wait returns nil when the server has drained, or the error of ctx when that
// ends before.
func (d *Drain) Wait(ctx context.Context, left func() int) error {
	var empty time.Time // since when nobody is left; zero while somebody is
	for {
		d.mu.Lock()
		until, changed := d.until, d.changed
		d.mu.Unlock()
		var again <-chan time.Time // never, while it does not drain
		if until.IsZero() {
			empty = time.Time{}
		} else {
			now := time.Now()
			switch {
			case left() > 0:
				empty = time.Time{}
			case empty.IsZero():
				empty = now
			}
			if !now.Before(until) || !empty.IsZero() && now.Sub(empty) >= d.quiet {
				return nil
			}
			again = time.After(min(look, until.Sub(now)))
		}
		select {
		case <-again:
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
