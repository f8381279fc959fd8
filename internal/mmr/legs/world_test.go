package legs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

// Times of the routers in these tests, as those of package meeting.
const (
	lostAfter = 5 * time.Second  // a client that is gone is shown as lost
	lostFor   = 30 * time.Second // and removed
	linger    = 2 * time.Second  // a session that was taken over
)

// world is a meeting over several routers in virtual time.
type world struct {
	t       *testing.T
	rand    *rand.Rand
	now     time.Time
	routers []*router
	mail    []letter
	spare   []letter
	rest    []letter
	cut     map[[2]int]bool // pairs that do not hear each other
	trace   []string
	media   bool            // routers hear each other's media, whatever is cut
	near    map[[2]int]bool // pairs whose media come without another router in between
	deaf    map[[2]int]bool // those of them that do not hear each other's media
}

// router is one that has, had or will have a leg.
type router struct {
	*world
	n        int
	state    *State // nil while it is down
	frozen   bool
	thawedAt time.Time
	sessions map[string]*session // by participant; the one that is shown
	next     time.Time
	roster   map[string]View // as the meeting would show it
	chat     []string
	busy     map[int]time.Time // when the latest letter to each arrives
	stuck    []letter          // what came while it was frozen
	heard    map[int]time.Time // when media of each router near came last
}

// session is a participant on a router.
type session struct {
	protocol.LegPerson
	establishAt time.Time // zero: it is
	goneAt      time.Time // the client is gone
	endAt       time.Time // it was taken over
}

// letter is something on its way.
type letter struct {
	at       time.Time
	from, to int
	msg      any
}

func newWorld(t *testing.T, seed uint64, routers int) *world {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 0)), cut: map[[2]int]bool{}, near: map[[2]int]bool{}, deaf: map[[2]int]bool{},
		now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	for n := range routers {
		w.routers = append(w.routers, &router{world: w, n: n})
		w.routers[n].start()
	}
	return w
}

func (r *router) address() Address {
	return Address{fmt.Sprintf("z%d", r.n%3), fmt.Sprintf("r%d", r.n)}
}

func (r *router) start() {
	r.state = New(Config{Self: r.address(), Epoch: r.now.UnixMicro(), Fingerprint: "f"}, r.now)
	r.state.AskAll()
	r.sessions, r.roster, r.chat = map[string]*session{}, map[string]View{}, nil
	r.busy, r.frozen, r.next, r.stuck = map[int]time.Time{}, false, r.now, nil
	r.heard = map[int]time.Time{}
}

func (r *router) thaw() {
	if !r.frozen {
		return
	}
	r.frozen, r.thawedAt = false, r.now
	clear(r.heard) // what it did not ask, nobody failed to answer
	for _, l := range r.stuck {
		if r.now.Sub(l.at) < 4*time.Second {
			l.at = r.now
			r.mail = append(r.mail, l)
		}
	}
	r.stuck = nil
}

func (w *world) log(format string, v ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%7.3f ", float64(w.now.UnixMilli()%1e6)/1000)+fmt.Sprintf(format, v...))
}

func pair(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

// publish sends a message to all, in order for each.
func (r *router) publish(msg any) {
	for _, o := range r.routers {
		if o == r {
			continue
		}
		at := r.now.Add(time.Duration(1+r.rand.IntN(80)) * time.Millisecond)
		if at.Before(r.busy[o.n]) {
			at = r.busy[o.n]
		}
		r.busy[o.n] = at
		r.mail = append(r.mail, letter{at, r.n, o.n, msg})
	}
}

// step lets time pass to the next thing that happens, until at most.
func (w *world) step(until time.Time) {
	next := until
	for _, l := range w.mail {
		if l.at.Before(next) {
			next = l.at
		}
	}
	for _, r := range w.routers {
		if r.state != nil && !r.frozen && r.next.Before(next) {
			next = r.next
		}
	}
	if next.After(w.now) {
		w.now = next
	}
	w.deliver()
	for _, r := range w.routers {
		if r.state != nil && !r.frozen && !r.next.After(w.now) {
			r.work()
		}
	}
}

// deliver hands over what has arrived. What arrives at a frozen router waits
// there for a while; what is older when it thaws is lost, as its connection to
// the bus is.
func (w *world) deliver() {
	mail := w.mail
	w.mail = w.spare[:0] // for what is published meanwhile
	rest := w.rest[:0]
	for _, l := range mail {
		to := w.routers[l.to]
		switch {
		case l.at.After(w.now):
			rest = append(rest, l)
		case to.state == nil || w.cut[pair(l.from, l.to)]:
		case to.frozen:
			to.stuck = append(to.stuck, l)
		default:
			to.take(l)
			to.work()
		}
	}
	w.spare, w.rest = w.mail, mail
	w.mail = append(rest, w.spare...)
}

func (r *router) take(l letter) {
	switch m := l.msg.(type) {
	case protocol.LegUpdate:
		r.state.Hear(r.routers[l.from].address(), &m, r.now)
	case protocol.LegAsk:
		r.state.Asked(m, r.now)
	case protocol.LegChat:
		r.state.HearChat(&m)
	}
}

// work does what a meeting does after each message and each second.
func (r *router) work() {
	for _, id := range slices.Sorted(maps.Keys(r.sessions)) {
		r.tend(id, r.sessions[id])
	}
	for _, o := range r.routers {
		if r.media && o.state != nil && !o.frozen {
			r.state.Alive(o.address(), r.now)
		}
	}
	for _, o := range r.routers {
		if o != r && r.near[pair(r.n, o.n)] {
			r.state.Near(o.address(), r.mediaOf(o), r.now)
		}
	}
	out := r.state.Poll(r.now)
	for _, m := range out.Asks {
		r.publish(m)
	}
	for _, m := range out.Updates {
		r.publish(m)
	}
	for _, m := range out.Chats {
		r.publish(m)
	}
	r.next = out.Next
	if tick := r.now.Add(25 * time.Millisecond); len(r.near) > 0 && tick.Before(r.next) {
		r.next = tick
	} else if tick := r.now.Add(200 * time.Millisecond); tick.Before(r.next) {
		r.next = tick
	}
	for id := range r.state.TakePeople() {
		if v, ok := r.state.Shown(id); ok {
			r.roster[id] = v
		} else {
			delete(r.roster, id)
		}
	}
	for _, c := range r.state.TakeChat() {
		r.chat = append(r.chat, c.ID)
	}
	for _, s := range r.state.TakeSettings() {
		if id, ok := strings.CutPrefix(s.Key, "removed/"); ok && r.sessions[id] != nil {
			r.drop(id, protocol.FarewellRemoved)
		}
	}
}

// Times in which package relay finds out about a router that is near.
const (
	doubtAfter = 500 * time.Millisecond
	deadAfter  = 700 * time.Millisecond
)

// mediaOf is what media tell of a router that is near.
func (r *router) mediaOf(o *router) Media {
	if _, known := r.heard[o.n]; !known || up(o) && !r.deaf[pair(r.n, o.n)] {
		r.heard[o.n] = r.now
	}
	switch silent := r.now.Sub(r.heard[o.n]); {
	case silent >= deadAfter:
		return MediaDead
	case silent >= doubtAfter:
		return MediaDoubtful
	}
	return MediaHeard
}

// tend does what time does to a session.
func (r *router) tend(id string, s *session) {
	switch {
	case !s.endAt.IsZero():
		if !r.now.Before(s.endAt) {
			r.drop(id, protocol.FarewellResumed)
		}
		return
	case r.state.Superseded(id, s.Admitted):
		s.endAt = r.now.Add(linger)
		return
	case !s.goneAt.IsZero() && r.now.Sub(s.goneAt) >= lostAfter+lostFor:
		r.drop(id, protocol.FarewellLost)
		return
	case !s.goneAt.IsZero() && r.now.Sub(s.goneAt) >= lostAfter:
		s.Participant.Path = protocol.PathLost
	case !s.establishAt.IsZero() && !r.now.Before(s.establishAt):
		s.establishAt, s.Established, s.Participant.Path = time.Time{}, true, protocol.PathOK
	}
	r.state.Put(s.LegPerson)
}

func (r *router) drop(id string, reason protocol.FarewellReason) {
	r.log("r%d drops %s: %s", r.n, id, reason)
	delete(r.sessions, id)
	r.state.Drop(id, reason, r.now)
}

// admit begins a session of a participant; resumed is when its last one
// began, 0 for none.
func (r *router) admit(id string, resumed int64, establish time.Duration) *session {
	s := &session{LegPerson: protocol.LegPerson{
		Participant: protocol.Participant{ID: id, Name: "Name of " + id, Path: protocol.PathConnecting, JoinedAt: r.now},
		Admitted:    r.state.After(id, resumed, r.now),
		Sources:     []protocol.LegSource{{Kind: protocol.Mic, Stream: r.rand.Uint32()}},
	}, establishAt: r.now.Add(establish)}
	if before, ok := r.state.Elsewhere(id); ok {
		s.Participant.JoinedAt, s.Participant.AudioMuted = before.Participant.JoinedAt, before.Participant.AudioMuted
	}
	r.sessions[id] = s
	r.state.Put(s.LegPerson)
	r.log("r%d admits %s", r.n, id)
	r.work()
	return s
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	for until := w.now.Add(d); w.now.Before(until); {
		w.step(until)
	}
}

// show describes a router's roster: "ann@r0 bob@r1(lost)".
func (r *router) show() string {
	var all []string
	for id, v := range r.roster {
		s := id + "@" + v.Leg.MMR
		if v.Participant.Path == protocol.PathLost {
			s += "(lost)"
		} else if v.Held {
			s += "(held)"
		} else if !v.Established {
			s += "(new)"
		}
		if v.Participant.AudioMuted {
			s += "m"
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// partition cuts the routers into those named and the rest.
func (w *world) partition(side ...int) {
	w.log("partition %v", side)
	for a := range w.routers {
		for b := range a {
			w.cut[pair(a, b)] = slices.Contains(side, a) != slices.Contains(side, b)
		}
	}
}

func (w *world) heal() {
	w.log("heal")
	clear(w.cut)
	clear(w.deaf)
}

// kill ends a router without a word, or with its last one.
func (r *router) kill(gracefully bool) {
	r.log("kill r%d %v", r.n, gracefully)
	if gracefully && !r.frozen {
		r.publish(r.state.Leave())
	}
	r.state = nil
}

// fail ends the test and tells what happened.
func (w *world) fail(format string, v ...any) {
	w.t.Helper()
	w.t.Logf("history:\n%s", strings.Join(w.trace, "\n"))
	w.t.Fatalf(format, v...)
}
