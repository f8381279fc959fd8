package peer

import "time"

const (
	consentInterval = time.Second
	// firstProbe is the first interval of checks while no candidate answers;
	// it doubles up to lastProbe. RFC 8445 section 14.3 starts at 500 ms to
	// spare networks that carry many pairs; we have a handful of candidates,
	// and a lost first check must not cost half a second.
	firstProbe = 100 * time.Millisecond
	lastProbe  = 500 * time.Millisecond
	// stalledAfter is how long a busy flow may pause before the path is
	// checked out of turn, so that a changed network is noticed at once.
	stalledAfter = 300 * time.Millisecond
	minRetry     = 200 * time.Millisecond
	rebindAfter  = silentAfter
	// A check that stays unanswered for so long means trouble: when media is
	// heard all the same, it may well be lost a few times in a row.
	idlePatience = 800 * time.Millisecond
	busyPatience = 1500 * time.Millisecond
	maxProbes    = 64 // remembered transactions
)

// An agent is the schedule of a controlling agent towards a lite one (RFC
// 8445 section 2.5): while it probes, it checks all candidates at once and
// takes the first that answers; then it checks that one each second, for
// consent (RFC 7675) and for the round-trip time. It does no I/O.
type agent struct {
	candidates int
	selected   int // index of the candidate in use, -1 before the first answer
	probing    bool
	next       time.Time // when the next round of checks is due
	interval   time.Duration
	lastRound  time.Time
	asked      time.Time // of the first check since the last answer; zero if there was none
	trouble    bool      // for so long that the path counts as gone until it answers
	answered   bool      // since lastRound
	doubtful   bool      // a busy flow stalled, and the check that followed is unanswered
	restarted  time.Time
	srtt       time.Duration
	probes     [maxProbes]probe
	at         int
}

// A probe is a check that may still be answered.
type probe struct {
	id     transaction
	target int
	sent   time.Time
}

func newAgent(candidates int, now time.Time) *agent {
	a := &agent{candidates: candidates, selected: -1}
	a.restart(now)
	return a
}

// restart checks all candidates anew, as after a change of the local
// address. The candidate in use stays so until one has answered.
func (a *agent) restart(now time.Time) {
	a.probing, a.next, a.interval, a.restarted = true, now, firstProbe, now
	a.doubtful = false
}

// due returns the candidates to check now: none, one or all of them. heard
// is when anything authentic last came, busy whether much does.
func (a *agent) due(now, heard time.Time, busy bool) (from, to int) {
	stalled := busy && !a.probing && now.Sub(heard) >= stalledAfter && now.Sub(a.lastRound) >= a.retry()
	if now.Before(a.next) && !stalled {
		return 0, 0
	}
	a.lastRound, a.answered, a.doubtful = now, false, stalled || a.doubtful
	if a.asked.IsZero() {
		a.asked = now
	}
	if a.probing {
		a.next = now.Add(a.interval)
		a.interval = min(a.interval*2, lastProbe)
		return 0, a.candidates
	}
	a.next = now.Add(a.retry())
	return a.selected, a.selected + 1
}

// lost tells whether a flow that stalled did not even answer a check, so that
// the path has probably gone.
func (a *agent) lost(now time.Time) bool {
	return a.doubtful && !a.probing && now.Sub(a.lastRound) >= a.retry()
}

// hurry makes the next check due at once, and an answer to it urgent.
func (a *agent) hurry(now time.Time) { a.next, a.doubtful = now, !a.probing }

// gone tells whether the path in use has been silent so long that another is
// wanted. least is the shortest silence that counts.
func (a *agent) gone(now time.Time, busy bool, least time.Duration) bool {
	patience := idlePatience
	switch {
	case a.doubtful:
		patience = a.retry()
	case busy:
		patience = busyPatience
	}
	if !a.asked.IsZero() && now.Sub(a.asked) >= max(patience, least) {
		a.trouble = true
	}
	return a.trouble
}

// retry is how long an answer is waited for before the check is repeated.
func (a *agent) retry() time.Duration {
	return min(max(minRetry, 2*a.srtt), consentInterval)
}

// sent remembers a check. The oldest is forgotten.
func (a *agent) sent(id transaction, target int, now time.Time) {
	a.probes[a.at%maxProbes] = probe{id: id, target: target, sent: now}
	a.at++
}

// answer takes the response to a check: it says which candidate answered and
// whether the agent has just chosen it. ok is false if no such check is open.
func (a *agent) answer(id transaction, now time.Time) (target int, chosen, ok bool) {
	p := a.find(id)
	if p == nil {
		return 0, false, false
	}
	target, sent := p.target, p.sent
	*p = probe{}
	if a.probing {
		if sent.Before(a.restarted) {
			return target, false, true // of the path before the change
		}
		a.probing, a.selected, chosen = false, target, true
	}
	if target == a.selected {
		a.measured(now.Sub(sent))
		a.asked, a.trouble = time.Time{}, false
		if !a.answered {
			a.answered, a.doubtful = true, false
			a.next = a.lastRound.Add(consentInterval)
		}
	}
	return target, chosen, true
}

func (a *agent) find(id transaction) *probe {
	for i := range a.probes {
		if p := &a.probes[i]; !p.sent.IsZero() && p.id == id {
			return p
		}
	}
	return nil
}

// measured smooths the round-trip time (RFC 6298 section 2).
func (a *agent) measured(rtt time.Duration) {
	if a.srtt == 0 {
		a.srtt = rtt
		return
	}
	a.srtt += (rtt - a.srtt) / 8
}
