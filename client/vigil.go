package client

import "time"

// The measures of the vigil. A router that has died or is frozen is to be
// noticed within a second; one that is only slow must not be left.
const (
	lookEvery  = 50 * time.Millisecond
	quietAfter = 300 * time.Millisecond // media silent for so long: the control channel is asked
	askEvery   = 300 * time.Millisecond
	mediaLimit = 500 * time.Millisecond // media and
	pongLimit  = 500 * time.Millisecond // an answer missing for so long: gone
	alone      = 400 * time.Millisecond // media missing for so long after the channel broke: gone
	dozed      = 4 * lookEvery          // between two looks: it is we who were not there
)

// A vigil decides from what is heard of a router whether it is gone. Media is
// silent now and then, when nobody speaks, and a control channel breaks: only
// both together mean anything. It is pure.
type vigil struct {
	looked  time.Time
	excused time.Time // until then it was we who did not listen
	asked   time.Time // when the channel was last asked
}

// signs are what is heard of a router. Zero times: never.
type signs struct {
	media   time.Time // the last packet on any media connection
	control time.Time // the last message on the control channel
	asked   time.Time // the first ping that has had no answer
	lost    time.Time // when the control channel broke; zero while it stands
	rtt     time.Duration
}

// look judges the signs: whether the control channel is to be asked for one,
// and whether the router is gone.
func (v *vigil) look(now time.Time, s signs) (ask, gone bool) {
	if !v.looked.IsZero() && now.Sub(v.looked) > dozed {
		v.excused = now // what came meanwhile has not been looked at yet
	}
	v.looked = now
	// since is how long ago something was, not counting when we dozed.
	since := func(t time.Time) time.Duration { return now.Sub(later(t, v.excused)) }
	slow := 2 * s.rtt
	if !s.lost.IsZero() {
		return false, since(later(s.media, s.lost)) >= alone+slow
	}
	if since(s.media) < quietAfter {
		return false, false
	}
	if ask = now.Sub(v.asked) >= askEvery; ask {
		v.asked = now
	}
	gone = since(s.media) >= mediaLimit+slow && !s.asked.IsZero() &&
		since(s.asked) >= pongLimit+slow && since(s.control) >= pongLimit+slow
	return ask, gone
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// signs gathers what is heard of an admission's router.
func (a *admission) signs() signs {
	s := signs{lost: a.lostAt}
	for _, l := range a.links {
		stats := l.conn.Stats()
		s.media, s.rtt = later(s.media, stats.LastHeard), max(s.rtt, stats.RTT)
	}
	if a.lostAt.IsZero() {
		s.control, s.asked = a.control.Heard()
		s.rtt = max(s.rtt, a.control.RTT())
	}
	return s
}

// heardSince reports whether the router was heard after a moment.
func (s signs) heardSince(t time.Time) bool {
	return s.media.After(t) || s.lost.IsZero() && s.control.After(t)
}
