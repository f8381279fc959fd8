package mmr

import (
	"slices"
	"sync"
	"time"

	"causeway/internal/load"
	"causeway/internal/mmr/forward"
	"causeway/protocol"
)

// meter measures the router's load from one second to the next.
type meter struct{ *load.Meter }

func newMeter(l Limits) (meter, error) {
	most := l.Process.Of()
	most.MaxParticipants, most.MaxPackets, most.MaxEgressBPS = l.Participants, l.PacketsPerSecond, l.EgressBPS
	m, err := load.NewMeter(most)
	return meter{m}, err
}

// latest returns the load as last measured.
func (m meter) latest() protocol.Load { return m.Latest() }

// measure takes the load since the last measurement.
func (m meter) measure(now time.Time, t forward.Traffic, participants int) protocol.Load {
	return m.Measure(now, load.Carried{Packets: t.PacketsIn + t.PacketsOut, BytesOut: t.BytesOut, Participants: participants})
}

const (
	// mediaDeadline is how long after its control channel a participant's
	// media must have connected.
	mediaDeadline = 10 * time.Second
	// reachStep and reachSteps make the time over which the outcomes are
	// told: two minutes.
	reachStep  = 10 * time.Second
	reachSteps = 12
)

// reach counts who gets media here and who does not, of those whose control
// channel came: a router that participants reach by one and not by the other
// has a firewall, a wrong public address, or a broken port.
type reach struct {
	mu      sync.Mutex
	waiting map[string]awaited // by session
	tally   [reachSteps]outcomes
	step    int64 // of the newest of tally, in reachStep since 1970
}

// awaited is a participant whose media are not there yet.
type awaited struct {
	up    func() bool // one of the connections has ever been up
	since time.Time   // of the control channel; zero before it
	until time.Time   // forgotten if no control channel came
}

type outcomes struct{ ok, failed int }

func newReach() *reach { return &reach{waiting: map[string]awaited{}} }

// admitted begins to wait for a participant; up tells whether one of its
// connections has ever been up.
func (r *reach) admitted(session string, up func() bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[session] = awaited{up: up, until: now.Add(time.Minute)}
}

// attached notes that a participant's control channel has come.
func (r *reach) attached(session string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := r.waiting[session]; ok && a.since.IsZero() {
		a.since = now
		r.waiting[session] = a
	}
}

// look judges who is due and returns how many of late got media and how many
// did not.
func (r *reach) look(now time.Time) (ok, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	latest := r.turn(now)
	for session, a := range r.waiting {
		switch {
		case a.up() && !a.since.IsZero():
			latest.ok++
		case !a.since.IsZero() && now.Sub(a.since) >= mediaDeadline:
			latest.failed++
		case a.since.IsZero() && now.After(a.until):
		default:
			continue
		}
		delete(r.waiting, session)
	}
	for _, o := range r.tally {
		ok, failed = ok+o.ok, failed+o.failed
	}
	return ok, failed
}

// turn forgets old outcomes and returns where those of now are counted.
func (r *reach) turn(now time.Time) *outcomes {
	step := now.UnixNano() / int64(reachStep)
	for r.step = max(r.step, step-reachSteps); r.step < step; {
		r.step++
		r.tally[r.step%reachSteps] = outcomes{}
	}
	return &r.tally[r.step%reachSteps]
}

// everUp reports whether one of the connections has ever been up.
func everUp(links []*forward.Link) func() bool {
	return func() bool {
		return slices.ContainsFunc(links, func(l *forward.Link) bool { return l.State() != forward.LinkWaiting })
	}
}
