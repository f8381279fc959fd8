package peer

import "time"

const (
	consentInterval = time.Second
	// busyConsent is the interval while media flows, whose loss must be
	// noticed within two seconds.
	busyConsent = 500 * time.Millisecond
	// idleConsent is the interval, in the end, where nothing has been sent
	// either way for idleFlow: it grows by a third each time, so that the remote
	// has learnt of it before it takes us for silent. Chromium's is the same.
	idleConsent = 2500 * time.Millisecond
	idleFlow    = 5 * time.Second
	// firstProbe is the first interval of checks while no candidate answers;
	// it doubles up to lastProbe. RFC 8445 section 14.3 starts at 500 ms to
	// spare networks that carry many pairs; we have a handful of candidates,
	// and a lost first check must not cost half a second.
	firstProbe = 100 * time.Millisecond
	lastProbe  = 500 * time.Millisecond
	// stalledAfter is how long a busy flow may pause before the path is
	// checked out of turn, so that a changed network is noticed at once.
	stalledAfter = 300 * time.Millisecond
	rebindAfter  = silentAfter
	// An answer is waited for by the measure of RFC 6298, within these bounds.
	minRetry, maxRetry  = 100 * time.Millisecond, time.Second
	firstRetransmission = 200 * time.Millisecond // before anything is measured
	// rapid is the interval of checks after one that is overdue. A path that
	// loses a tenth of all packets loses a fifth of all checks, request or
	// answer, so only many in a row are no chance; where the remote's media
	// has stopped, too, fewer do.
	rapid      = 75 * time.Millisecond
	manyChecks = 9
	fewChecks  = 6
	maxProbes  = 64 // remembered transactions
)

// An agent is the schedule of a controlling agent towards a lite one (RFC
// 8445 section 2.5): while it probes, it checks all candidates at once and
// takes the first that answers; then it checks that one each second, twice
// while media flows and more seldom while nothing does, for consent (RFC 7675)
// and for the round-trip time. It does no I/O.
type agent struct {
	candidates int
	selected   int // index of the candidate in use, -1 before the first answer
	probing    bool
	next       time.Time // when the next round of checks is due
	interval   time.Duration
	lastRound  time.Time
	asked      time.Time     // of the first check since the last answer; zero if there was none
	trouble    bool          // for so long that the path counts as gone until it answers
	answered   bool          // since lastRound
	busy       bool          // media flows
	idle       bool          // nothing does
	calm       time.Duration // the interval of checks while it is
	doubtful   bool          // a busy flow stalled, and the check that followed is unanswered
	restarted  time.Time
	srtt       time.Duration
	rttvar     time.Duration
	probes     [maxProbes]probe
	at         int
}

// A probe is a check that may still be answered.
type probe struct {
	id     transaction
	target int
	sent   time.Time
	media  uint64 // bytes sent before
}

func newAgent(candidates int, now time.Time) *agent {
	a := &agent{candidates: candidates, selected: -1}
	a.restart(now)
	return a
}

// restart checks all candidates anew, as after a change of the local
// address. The candidate in use, and the doubts about it, stay so until one
// has answered.
func (a *agent) restart(now time.Time) {
	a.probing, a.next, a.interval, a.restarted = true, now, firstProbe, now
}

// due returns the candidates to check now: none, one or all of them. heard
// is when anything authentic last came, busy whether much does.
func (a *agent) due(now, heard time.Time, busy bool) (from, to int) {
	a.busy = busy
	stalled := busy && !a.probing && !a.doubtful && now.Sub(heard) >= stalledAfter
	if now.Before(a.next) && !stalled {
		return 0, 0
	}
	overdue := !a.asked.IsZero()
	a.lastRound, a.answered, a.doubtful = now, false, stalled || a.doubtful
	if a.asked.IsZero() {
		a.asked = now
	}
	switch {
	case a.probing:
		a.next = now.Add(a.interval)
		a.interval = min(a.interval*2, lastProbe)
		return 0, a.candidates
	case overdue || a.doubtful:
		a.next = now.Add(rapid)
	default:
		a.next = now.Add(a.retry())
	}
	return a.selected, a.selected + 1
}

// lost tells whether a flow that stalled did not even answer a check, so that
// the path has probably gone.
func (a *agent) lost(now time.Time) bool {
	return a.doubtful && !a.probing && !a.asked.IsZero() && now.Sub(a.asked) >= a.retry()
}

// hurry makes the next check due at once, and an answer to it urgent.
func (a *agent) hurry(now time.Time) { a.next, a.doubtful = now, !a.probing }

// gone tells whether the path in use has been silent so long that another is
// wanted. least is the shortest silence that counts.
func (a *agent) gone(now time.Time, least time.Duration) bool {
	patience := 2*a.retry() + (manyChecks-2)*rapid
	if a.doubtful {
		patience = a.retry() + (fewChecks-1)*rapid
	}
	if !a.asked.IsZero() && now.Sub(a.asked) >= max(patience, least) {
		a.trouble = true
	}
	return a.trouble
}

// consent is the interval of checks on a path that answers.
func (a *agent) consent() time.Duration {
	switch {
	case a.busy:
		return busyConsent
	case a.idle:
		return a.calm
	}
	return consentInterval
}

// rest says whether nothing is sent on the path in use. When something is
// again, the path is checked at once.
func (a *agent) rest(idle bool, now time.Time) {
	if a.idle && !idle {
		a.hurry(now)
	}
	if !idle {
		a.calm = consentInterval
	}
	a.idle = idle
}

// retry is how long an answer is waited for (RFC 6298 section 2).
func (a *agent) retry() time.Duration {
	if a.srtt == 0 {
		return firstRetransmission
	}
	return min(max(minRetry, a.srtt+4*a.rttvar), maxRetry)
}

// sent remembers a check, and how much media was sent before it. The oldest
// is forgotten.
func (a *agent) sent(id transaction, target int, media uint64, now time.Time) {
	a.probes[a.at%maxProbes] = probe{id: id, target: target, sent: now, media: media}
	a.at++
}

// answer takes the response to a check: it says which check was answered and
// whether the agent has just chosen its candidate. ok is false if no such
// check is open.
func (a *agent) answer(id transaction, now time.Time) (p probe, chosen, ok bool) {
	open := a.find(id)
	if open == nil {
		return probe{}, false, false
	}
	p, *open = *open, probe{}
	if a.probing {
		if p.sent.Before(a.restarted) {
			return p, false, true // of the path before the change
		}
		a.probing, a.selected, chosen = false, p.target, true
	}
	if p.target == a.selected {
		a.measured(now.Sub(p.sent))
		a.asked, a.trouble = time.Time{}, false
		if !a.answered {
			a.answered, a.doubtful = true, false
			a.calm = min(a.calm*4/3, idleConsent)
			a.next = a.lastRound.Add(a.consent())
		}
	}
	return p, chosen, true
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
		a.srtt, a.rttvar = max(rtt, 1), rtt/2
		return
	}
	a.rttvar += ((a.srtt - rtt).Abs() - a.rttvar) / 4
	a.srtt += (rtt - a.srtt) / 8
}
