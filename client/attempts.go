package client

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"causeway/protocol"
)

// maxRungAttempts are kept for the report, per connection.
const maxRungAttempts = 16

// attempts are what one media connection tried, for the report.
type attempts struct {
	udp netip.AddrPort // invalid if UDP was not tried

	mu      sync.Mutex
	streams []*rungAttempt
}

type rungAttempt struct {
	protocol.Attempt
	started   time.Time
	done      bool
	abandoned bool // as another rung had answered
}

// begin notes that a stream is being opened; the function that it returns
// notes what came of it.
func (t *attempts) begin(transport protocol.Transport, target string, now time.Time) func(a protocol.Attempt, abandoned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &rungAttempt{Attempt: protocol.Attempt{Target: target, Transport: string(transport), Via: "direct"}, started: now}
	if len(t.streams) < maxRungAttempts {
		t.streams = append(t.streams, r)
	}
	return func(a protocol.Attempt, abandoned bool) {
		t.mu.Lock()
		defer t.mu.Unlock()
		r.Attempt, r.done, r.abandoned = a, true, abandoned
	}
}

// list tells what became of each rung, given the one that carries the media,
// "" if none does, and how long it took to get ready.
func (t *attempts) list(carries protocol.Transport, ready time.Duration, now time.Time) []protocol.Attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []protocol.Attempt
	if t.udp.IsValid() {
		a := protocol.Attempt{Target: t.udp.String(), Transport: string(protocol.UDP), Via: "direct"}
		if a.OK = carries == protocol.UDP; a.OK {
			a.ConnectMS = milliseconds(ready)
		} else {
			a.Error = "nothing answered"
		}
		list = append(list, a)
	}
	for _, r := range t.streams {
		list = append(list, r.outcome(carries, now))
	}
	return list
}

func (r *rungAttempt) outcome(carries protocol.Transport, now time.Time) protocol.Attempt {
	a, t := r.Attempt, protocol.Transport(r.Transport)
	fail := func(why string) protocol.Attempt {
		a.OK, a.Error = false, why
		return a
	}
	switch {
	case !r.done:
		a.ConnectMS = milliseconds(now.Sub(r.started))
		if better(carries, t) {
			return fail("not needed any more: " + string(carries) + " answered")
		}
		return fail("nothing answered")
	case r.abandoned:
		return fail("not needed any more")
	case a.OK && t != carries && better(carries, t):
		return fail("not needed: " + string(carries) + " answered first")
	case a.OK && t != carries:
		return fail("it was opened, but nothing answered on it")
	}
	return a
}

// better reports whether a is the higher rung.
func better(a, b protocol.Transport) bool {
	order := []protocol.Transport{protocol.UDP, protocol.TCP, protocol.TLS, ""}
	return slices.Index(order, a) < slices.Index(order, b)
}
