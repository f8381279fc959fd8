package legs

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

var seeds = flag.Uint64("seeds", 50, "how many fault schedules to play")

// Bounds that the schedules hold the legs to.
const (
	// healsWithin is how long after the last fault all legs show the same: a
	// heartbeat, a question, an answer; and Grace, for who only some of them
	// know to have left a router that has gone.
	healsWithin = Grace + 2*time.Second
	// ghostFor is how long one who is gone without a word may be shown: the
	// last word of its leg came just before it was noticed there. Time for
	// which the router was frozen that shows it does not count.
	ghostFor = lostAfter + SilentFor + LostFor + time.Second
)

// client is a person who takes part.
type client struct {
	id       string
	present  bool
	router   int
	admitted int64
	goneAt   time.Time
	resumeAt time.Time // it has noticed that its router is dead
}

type schedule struct {
	*world
	clients []*client
	said    int
}

// TestFaults plays random faults: after the last of them, all legs agree with
// each other and with the truth, and on the way nobody is shown who has long
// been gone.
func TestFaults(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed, 2+int(seed%4))
			for n := range w.routers[1:] { // a star
				w.near[pair(0, n+1)] = seed%2 == 0
			}
			s := &schedule{world: w}
			for i := range 12 {
				s.clients = append(s.clients, &client{id: fmt.Sprintf("p%02d", i)})
			}
			for range 150 {
				s.act()
				s.pass(time.Duration(s.rand.IntN(1200)) * time.Millisecond)
			}
			s.settle()
		})
	}
}

// pass lets time pass and looks for ghosts.
func (s *schedule) pass(d time.Duration) {
	for until := s.now.Add(d); s.now.Before(until); {
		s.step(until)
		for _, c := range s.clients {
			if !c.resumeAt.IsZero() && !s.now.Before(c.resumeAt) {
				s.resume(c)
			}
		}
		s.ghosts()
	}
}

func (s *schedule) ghosts() {
	for _, c := range s.clients {
		if c.present || s.now.Sub(c.goneAt) < ghostFor {
			continue
		}
		for _, r := range s.routers {
			if _, shown := r.roster[c.id]; shown && up(r) && s.now.Sub(r.thawedAt) > ghostFor {
				s.fail("r%d shows %s, who left %v ago: %s", r.n, c.id, s.now.Sub(c.goneAt), r.show())
			}
		}
	}
}

// act does something at random.
func (s *schedule) act() {
	r := s.routers[s.rand.IntN(len(s.routers))]
	c := s.clients[s.rand.IntN(len(s.clients))]
	switch what := s.rand.IntN(100); {
	case what < 40:
		s.actPerson(c, what)
	case what < 60:
		if up(r) {
			s.said++
			r.state.Say(protocol.Chat{ID: fmt.Sprint("c", s.said), At: s.now, Text: "text"})
			r.state.Set(fmt.Sprint("key", s.rand.IntN(3)), fmt.Sprint(s.said))
			r.work()
		}
	case what < 68:
		s.partition(r.n)
	case what < 70:
		s.log("r%d hears no media of r0", r.n)
		s.deaf[pair(0, r.n)] = true
	case what < 75:
		s.heal()
	case what < 82 && r.state != nil:
		r.kill(s.rand.IntN(3) == 0)
		s.lose(r)
	case what < 90 && r.state == nil:
		s.log("start r%d", r.n)
		r.start()
	case what < 95 && up(r):
		s.log("freeze r%d", r.n)
		r.frozen = true
		s.lose(r)
	default:
		s.log("thaw r%d", r.n)
		r.thaw()
	}
}

func up(r *router) bool { return r.state != nil && !r.frozen }

// actPerson lets somebody come, go or change.
func (s *schedule) actPerson(c *client, what int) {
	switch {
	case !c.present:
		c.present, c.admitted, c.resumeAt = true, 0, s.now
	case what < 8:
		s.log("%s leaves", c.id)
		if r := s.routers[c.router]; up(r) && r.sessions[c.id] != nil && r.sessions[c.id].Admitted == c.admitted {
			r.drop(c.id, protocol.FarewellLeft)
			r.work()
		}
		s.gone(c)
	case what < 14:
		s.log("%s vanishes", c.id)
		s.gone(c)
	case what < 26:
		c.resumeAt = s.now
	default:
		if r := s.routers[c.router]; up(r) && r.sessions[c.id] != nil {
			r.sessions[c.id].Participant.AudioMuted = s.rand.IntN(2) == 0
			r.work()
		}
	}
}

// gone ends a client.
func (s *schedule) gone(c *client) {
	c.present, c.goneAt, c.resumeAt = false, s.now, time.Time{}
	s.abandon(c)
}

// abandon ends the client's side of its session.
func (s *schedule) abandon(c *client) {
	if old := s.routers[c.router].sessions[c.id]; old != nil && old.goneAt.IsZero() {
		old.goneAt = s.now
	}
}

// lose makes the people of a router notice that it is dead.
func (s *schedule) lose(r *router) {
	for _, c := range s.clients {
		if c.present && c.router == r.n {
			c.resumeAt = s.now.Add(time.Duration(300+s.rand.IntN(2000)) * time.Millisecond)
		}
	}
}

// resume lets a client join, or join anew, somewhere else if it can. It tries
// again until a router is there.
func (s *schedule) resume(c *client) {
	n := s.rand.IntN(len(s.routers))
	if c.admitted != 0 && n == c.router {
		n = (n + 1) % len(s.routers)
	}
	r := s.routers[n]
	if !up(r) {
		c.resumeAt = s.now.Add(500 * time.Millisecond)
		return
	}
	if c.admitted != 0 {
		s.abandon(c)
	}
	c.router, c.resumeAt = n, time.Time{}
	c.admitted = r.admit(c.id, c.admitted, time.Duration(50+s.rand.IntN(450))*time.Millisecond).Admitted
}

// settle ends all faults and holds the legs to what they promise.
func (s *schedule) settle() {
	s.heal()
	for _, r := range s.routers {
		if r.state == nil {
			r.start()
		}
		r.thaw()
	}
	s.pass(healsWithin)
	s.eventually("the legs agree", 500*time.Millisecond, s.agree)
	s.pass(lostAfter + lostFor + Grace + 3*time.Second)
	s.eventually("the legs agree", 500*time.Millisecond, s.agree)
	s.eventually("the legs agree with the truth", 100*time.Millisecond, s.truth)
	for _, r := range s.routers {
		for _, l := range r.state.Legs() {
			if l.Silent {
				s.fail("r%d takes %v for silent", r.n, l.Address)
			}
		}
	}
}

// eventually waits until something holds.
func (s *schedule) eventually(what string, within time.Duration, holds func() string) {
	until := s.now.Add(within)
	for {
		why := holds()
		if why == "" {
			return
		}
		if !s.now.Before(until) {
			s.fail("not so: %s: %s", what, why)
		}
		s.pass(10 * time.Millisecond)
	}
}

// agree tells where the legs differ.
func (s *schedule) agree() string {
	first := s.routers[0]
	for _, r := range s.routers {
		switch {
		case r.show() != first.show():
			return fmt.Sprintf("r0 shows %q, r%d %q", first.show(), r.n, r.show())
		case !slices.Equal(r.state.Chat(), first.state.Chat()):
			return fmt.Sprintf("r0 and r%d have other chats: %d and %d", r.n, len(first.state.Chat()), len(r.state.Chat()))
		case r.state.shared.set != first.state.shared.set:
			return fmt.Sprintf("r0 and r%d have other settings", r.n)
		}
		for _, c := range r.state.Chat() {
			if !slices.Contains(r.chat, c.ID) {
				return fmt.Sprintf("r%d was not told %s", r.n, c.ID)
			}
		}
		if told := slices.Sorted(slices.Values(r.chat)); len(slices.Compact(told)) != len(r.chat) {
			return fmt.Sprintf("r%d was told something twice", r.n)
		}
	}
	return ""
}

// truth tells where the rosters and the truth differ.
func (s *schedule) truth() string {
	var want []string
	for _, c := range s.clients {
		sessions := 0
		for _, r := range s.routers {
			if r.sessions[c.id] != nil {
				sessions++
			}
		}
		if sessions > 1 {
			return fmt.Sprintf("%s is on %d routers", c.id, sessions)
		}
		if c.present {
			want = append(want, fmt.Sprintf("%s@%s", c.id, s.routers[c.router].address().MMR))
		}
	}
	slices.SortFunc(want, cmp.Compare[string])
	var got []string
	for id, v := range s.routers[0].roster {
		got = append(got, id+"@"+v.Leg.MMR)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Sprintf("shown %s, there are %s", strings.Join(got, " "), strings.Join(want, " "))
	}
	return ""
}
