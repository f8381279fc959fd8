package client

import (
	"testing"
	"time"
)

// What is heard of a router, told on a time line of milliseconds, and what
// the vigil makes of it. Media comes every `every` ms until `mediaTo`; the
// channel answers pings after `pong` ms until `answersTo`, and breaks at
// `breaks`. The vigil looks every 50 ms, but not between the two of `doze`.
func TestVigil(t *testing.T) {
	const never = 1 << 30
	for _, c := range []struct {
		name                              string
		every, mediaTo, pong, answersTo   int
		breaks                            int
		doze                              [2]int
		rtt                               int
		wantAsked                         bool
		wantGoneFrom, wantGoneTo, horizon int
	}{
		{name: "all well", every: 20, mediaTo: never, pong: 10, answersTo: never, breaks: never, horizon: 20_000},
		{name: "nobody speaks", every: 1000, mediaTo: never, pong: 10, answersTo: never, breaks: never, wantAsked: true, horizon: 20_000},
		{name: "nobody speaks, and it is far", every: 1000, mediaTo: never, pong: 600, answersTo: never, breaks: never, rtt: 600, wantAsked: true, horizon: 20_000},
		{name: "media is blocked", every: 20, mediaTo: 2000, pong: 10, answersTo: never, breaks: never, wantAsked: true, horizon: 20_000},
		{name: "the channel hangs", every: 20, mediaTo: never, pong: 10, answersTo: 2000, breaks: never, horizon: 20_000},
		{name: "the channel breaks", every: 20, mediaTo: never, pong: 10, answersTo: never, breaks: 2000, horizon: 20_000},
		{name: "the channel breaks while nobody speaks", every: 350, mediaTo: never, pong: 10, answersTo: never, breaks: 2000, wantAsked: true, horizon: 20_000},
		{name: "frozen", every: 20, mediaTo: 2000, pong: 10, answersTo: 2000, breaks: never, wantAsked: true, wantGoneFrom: 2700, wantGoneTo: 3000, horizon: 20_000},
		{name: "frozen while nobody speaks", every: 1000, mediaTo: 2000, pong: 10, answersTo: 2000, breaks: never, wantAsked: true, wantGoneFrom: 2450, wantGoneTo: 3000, horizon: 20_000},
		{name: "killed", every: 20, mediaTo: 2000, pong: 10, answersTo: 2000, breaks: 2001, wantGoneFrom: 2400, wantGoneTo: 2500, horizon: 20_000},
		{name: "killed far away", every: 20, mediaTo: 2000, pong: 230, answersTo: 2000, breaks: 2230, rtt: 230, wantGoneFrom: 3000, wantGoneTo: 3200, horizon: 20_000},
		{name: "killed long after the channel broke", every: 20, mediaTo: 9000, pong: 10, answersTo: 2000, breaks: 2001, wantGoneFrom: 9350, wantGoneTo: 9450, horizon: 20_000},
		{name: "we dozed", every: 20, mediaTo: never, pong: 10, answersTo: never, breaks: never, doze: [2]int{2000, 6000}, horizon: 20_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			zero := time.Unix(1_000_000, 0)
			at := func(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }
			s := signs{media: zero, control: zero, rtt: time.Duration(c.rtt) * time.Millisecond}
			var v vigil
			var pings []int // not answered yet
			asked := false
			for now := 1; now <= c.horizon; now++ {
				dozing := now > c.doze[0] && now < c.doze[1]
				if now == c.breaks {
					s.lost = at(now)
				}
				if now%c.every == 0 && now <= c.mediaTo && !dozing {
					s.media = at(now)
				}
				if len(pings) > 0 && now == pings[0]+c.pong && now <= c.answersTo {
					pings = pings[1:]
					s.control, s.asked = at(now), time.Time{}
				}
				if now%50 != 0 || dozing {
					continue
				}
				if now == c.doze[1] {
					now++ // the look comes before what has queued up is read
				}
				ask, gone := v.look(at(now), s)
				if ask {
					asked = true
					pings = append(pings, now)
					if s.asked.IsZero() {
						s.asked = at(now)
					}
				}
				if gone {
					if c.wantGoneTo == 0 || now < c.wantGoneFrom || now > c.wantGoneTo {
						t.Errorf("gone at %d ms, want between %d and %d", now, c.wantGoneFrom, c.wantGoneTo)
					}
					if asked != c.wantAsked {
						t.Errorf("asked: %v", asked)
					}
					return
				}
			}
			if c.wantGoneTo != 0 {
				t.Error("never gone")
			}
			if asked != c.wantAsked {
				t.Errorf("asked: %v", asked)
			}
		})
	}
}
