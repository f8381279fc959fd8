package connect

import (
	"cmp"
	"slices"
	"time"

	"causeway/protocol"
)

// The measures of the choice. Scores are in milliseconds of round trip: a
// zone's median, what it varies, and what load and the operator's weight add.
const (
	loadFrom    = 0.5   // load up to which a zone costs nothing
	loadPenalty = 100.0 // what a full zone costs
	shutPenalty = 1e5   // a zone that says it takes nobody is a last resort

	keepMS    = 10.0      // the old zone is kept unless a new one is better by this
	keepShare = 2.0 / 3.0 // and its score is at most this share of the old one's

	wantSamples = 3  // round trips of each zone in the running
	ownMS       = 20 // what an organisation's own zone is preferred by
	clearMS     = 10 // a zone this much,
	clearShare  = 1.5
	firstAnswer = 4 // round trips to a first answer at most: TCP, TLS 1.3 (or 1.2: two), request
	firstLeeway = 60 * time.Millisecond
	zonesBudget = 5500 * time.Millisecond
	maxSamples  = 5
	// lateBudget is how long controllers are probed that have taken the
	// connection: they are there, and slow. Tunnels are tried meanwhile.
	lateBudget = 30 * time.Second
)

// A Record is what was measured of one controller.
type Record struct {
	Zone       protocol.Zone
	Controller protocol.Controller

	Samples []time.Duration // round trips of requests on the warm connection
	Answer  protocol.ProbeAnswer
	Err     error // why it does not answer, or no longer
	Done    bool  // nothing more is to come
	timing  *timing
}

// Answered reports whether the controller has answered at all.
func (r *Record) Answered() bool { return len(r.Samples) > 0 }

// failed reports whether the controller definitely does not answer.
func (r *Record) failed() bool { return !r.Answered() && r.Done }

// Min is the shortest round trip.
func (r *Record) Min() time.Duration {
	if len(r.Samples) == 0 {
		return 0
	}
	return slices.Min(r.Samples)
}

// Median is the median round trip; of an even number, the lower one.
func (r *Record) Median() time.Duration {
	if len(r.Samples) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(r.Samples))
	return s[(len(s)-1)/2]
}

// Jitter is the mean difference between one round trip and the next.
func (r *Record) Jitter() time.Duration {
	if len(r.Samples) < 2 {
		return 0
	}
	var sum time.Duration
	for i, s := range r.Samples[1:] {
		sum += (s - r.Samples[i]).Abs()
	}
	return sum / time.Duration(len(r.Samples)-1)
}

// Score is what the controller's zone is worth to this client, less is better.
func (r *Record) Score() float64 {
	return millis(r.Median()) + millis(r.Jitter()) + r.penalty()
}

// penalty is the part of the record's score that does not depend on the
// network.
func (r *Record) penalty() float64 {
	return penalty(r.Answer.State, r.Answer.Load, r.Answer.Weight) - ownBonus(r.Zone)
}

// ownBonus is what an organisation's own zone is preferred by, in
// milliseconds: who is in its networks is to stay in them unless another zone
// is clearly nearer.
func ownBonus(z protocol.Zone) float64 {
	if z.Own {
		return ownMS
	}
	return 0
}

// penalty is the part of a score that does not depend on the network.
func penalty(state protocol.ZoneStatus, load, weight float64) float64 {
	p := weight
	if over := (min(load, 1) - loadFrom) / (1 - loadFrom); over > 0 {
		p += loadPenalty * over * over
	}
	if state != protocol.ZoneOpen {
		p += shutPenalty
	}
	return p
}

// Choose orders the controllers that have answered, best first: the winner,
// the others of its zone, the next best zone, and so on. previous is the zone
// that the participant comes from, "" if none: it is kept unless another is
// better by 10 ms and by a third, so that nobody is moved for nothing.
func Choose(records []Record, previous string) []Record {
	var order []Record
	for _, r := range records {
		if r.Answered() {
			order = append(order, r)
		}
	}
	best := map[string]float64{} // score of each zone
	for _, r := range order {
		if s, ok := best[r.Zone.ID]; !ok || r.Score() < s {
			best[r.Zone.ID] = r.Score()
		}
	}
	kept := keeps(best, previous)
	slices.SortStableFunc(order, func(a, b Record) int {
		return cmp.Or(
			-compareBool(kept && a.Zone.ID == previous, kept && b.Zone.ID == previous),
			cmp.Compare(best[a.Zone.ID], best[b.Zone.ID]),
			cmp.Compare(a.Zone.ID, b.Zone.ID),
			cmp.Compare(a.Score(), b.Score()),
			cmp.Compare(a.Controller.ID, b.Controller.ID),
		)
	})
	return order
}

// keeps reports whether the previous zone is kept, given every zone's score.
func keeps(best map[string]float64, previous string) bool {
	old, ok := best[previous]
	if !ok {
		return false
	}
	for _, s := range best {
		if s <= mustBeat(old) {
			return false
		}
	}
	return true
}

// mustBeat is the score that takes the place of an old one.
func mustBeat(old float64) float64 { return min(old-keepMS, old*keepShare) }

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// decided reports whether the choice can be made, elapsed after probing
// began: a zone has answered, and no other one could still turn out better.
func decided(records []Record, previous string, elapsed time.Duration) bool {
	order := Choose(records, previous)
	if len(order) == 0 {
		return false
	}
	winner := order[0]
	contested := false
	for _, r := range order[1:] {
		if r.Zone.ID == winner.Zone.ID || r.Done || hopeless(&r, &winner, previous) {
			continue
		}
		if contested = true; len(r.Samples) < wantSamples {
			return false
		}
	}
	if contested && !winner.Done && len(winner.Samples) < wantSamples {
		return false
	}
	return elapsed >= patience(records, previous)
}

// hopeless reports whether r has answered so much slower than the winner
// that more samples of it would not change the choice.
func hopeless(r, winner *Record, previous string) bool {
	if r.Zone.ID == previous {
		return false
	}
	optimistic := millis(r.Min()) + r.penalty()
	return optimistic > winner.Score()*clearShare+clearMS
}

// patience is how long after the beginning a silent zone could still give a
// first answer that makes it the better one; 0 if there is none to wait for.
func patience(records []Record, previous string) time.Duration {
	order := Choose(records, previous)
	if len(order) == 0 {
		return zonesBudget
	}
	winner := order[0]
	var longest time.Duration
	for _, r := range records {
		if r.Answered() || r.failed() || r.Zone.ID == winner.Zone.ID || answeredZone(order, r.Zone.ID) {
			continue
		}
		beat := winner.Score()
		switch {
		case r.Zone.ID == previous: // wins even when it is somewhat slower
			beat = max(beat+keepMS, beat/keepShare)
		case winner.Zone.ID == previous:
			beat = mustBeat(beat)
		}
		// Its load and weight are known from web's package.
		rtt := beat - penalty(protocol.ZoneOpen, r.Zone.Load, r.Zone.Weight) + ownBonus(r.Zone)
		if rtt <= 0 {
			continue
		}
		wait := time.Duration(rtt*float64(time.Millisecond))*firstAnswer + firstLeeway
		longest = max(longest, wait)
	}
	return min(longest, zonesBudget)
}

func answeredZone(order []Record, zone string) bool {
	return slices.ContainsFunc(order, func(r Record) bool { return r.Zone.ID == zone })
}
