package connect

import (
	"fmt"
	"strings"

	"causeway/protocol"
)

// verdict says in words which zone was chosen and why, given the controllers
// that answered, the chosen one first.
func verdict(order []Record, previous string) string {
	if len(order) == 0 {
		return "no zone answered"
	}
	winner := order[0]
	var b strings.Builder
	fmt.Fprintf(&b, "zone %s: %s", winner.Zone.ID, reckoning(&winner))
	next := rival(order)
	switch {
	case next == nil:
		b.WriteString("; no other zone had answered")
	case winner.Zone.ID == previous && next.Score() < winner.Score():
		fmt.Fprintf(&b, "; kept, because zone %s is not better by 10 ms and a third: %s", next.Zone.ID, reckoning(next))
	case next.Zone.ID == previous:
		fmt.Fprintf(&b, "; clearly better than zone %s, which it was before: %s", next.Zone.ID, reckoning(next))
	default:
		fmt.Fprintf(&b, "; next best zone %s: %s", next.Zone.ID, reckoning(next))
	}
	return b.String()
}

// rival is the best controller of another zone than the first one's, nil if
// none has answered.
func rival(order []Record) *Record {
	for i := range order {
		if order[i].Zone.ID != order[0].Zone.ID {
			return &order[i]
		}
	}
	return nil
}

// reckoning says what a controller's score is made of.
func reckoning(r *Record) string {
	parts := []string{fmt.Sprintf("%.0f ms", millis(r.Median()))}
	add := func(what string, ms float64) {
		if ms >= 0.5 || ms <= -0.5 {
			parts = append(parts, fmt.Sprintf("%s %+.0f", what, ms))
		}
	}
	add("jitter", millis(r.Jitter()))
	add("load", penalty(protocol.ZoneOpen, r.Answer.Load, 0))
	add("weight", r.Answer.Weight)
	add("own network", -ownBonus(r.Zone))
	if s := r.Answer.State; s != protocol.ZoneOpen {
		parts = append(parts, "it says that it is "+string(s))
	}
	return strings.Join(parts, ", ")
}
