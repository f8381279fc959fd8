//go:build linux

package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"causeway/protocol"
)

var (
	faultsFor = flag.Duration("faults", 8*time.Second, "how long TestFaults does harm; 3m is the measurement")
	faultSeed = flag.Uint64("faultseed", 0, "which harm TestFaults does; 0 draws one and tells")
)

// oldestGhost is how long after a death somebody may be seen.
const oldestGhost = 45 * time.Second

// slowRoster is how long after harm a roster that is wrong is told of.
const slowRoster = 3 * time.Second

// speakers of a crowd are its first guests.
const speakers = 3

// addZone adds a zone of two controllers and two routers.
func (s *system) addZone(id string, controllers, routers [2]string) {
	s.t.Helper()
	common := func(kind, name string) string {
		return fmt.Sprintf("server: %s\nlisten: %s\nadmin: \"\"\nlog: {level: warn}\ntls: {cert: %s, key: %s}\ndata: %s\n",
			kind, s.address(name), s.file("servers.pem"), s.file("servers.key"), s.file("data-"+name))
	}
	s.atHome("zone", "add", id)
	for i, name := range controllers {
		s.write(name+".yaml", common("zone", name)+fmt.Sprintf(`bus: {ca: %s, hubs: [%q, %q], cluster: [%q]}
zone: {id: %s, zone: %s, url: %q, joins_per_minute: 6000, join_burst: 3000}
`, s.ca, s.address("web"), s.address("web2"), s.address(controllers[1-i]), name, id, s.url(name)))
		s.admitTo(id, name, "controller")
		s.start(name)
	}
	for _, name := range routers {
		s.write(name+".yaml", common("mmr", name)+fmt.Sprintf(`bus: {ca: %s, controllers: [%q, %q]}
mmr: {id: %s, zone: %s, control_url: "wss://%s%s", media_listen: "%s"}
`, s.ca, s.address(controllers[0]), s.address(controllers[1]), name, id, s.address(name), protocol.PathControl, s.address(name+"-media")))
		s.admitTo(id, name, "mmr")
		s.start(name)
	}
	for _, name := range slices.Concat(controllers[:], routers[:]) {
		s.ready(name)
	}
}

// A storm does harm to a system, with a meeting on it.
type storm struct {
	*crowd
	random  *rand.Rand
	bound   time.Duration // in which everybody must hear every speaker again
	victims []string
	took    map[string][]time.Duration // until everybody heard everybody, by kind of harm
	born    int                        // guests so far
	ghosts  map[string]time.Time       // who died without a word, and when
	meeting created
}

// TestFaults kills, freezes and drains servers at random, under a meeting over
// two zones with two controllers and two routers each: everybody hears every
// speaker again and again, all have one roster, nobody is in it twice or long
// after leaving.
func TestFaults(t *testing.T) {
	if *faultSeed == 0 {
		*faultSeed = rand.Uint64()
	}
	t.Logf("seed %d", *faultSeed)
	s := newSystem(t)
	s.secondWeb()
	s.addRouter("m2")
	s.addZone("osaka", [2]string{"zc3", "zc4"}, [2]string{"m3", "m4"})
	w := &storm{
		random: rand.New(rand.NewPCG(*faultSeed, 0)), bound: 10 * time.Second, meeting: s.create("--topic", "Storm"),
		victims: []string{"web", "web2", "zc1", "zc2", "zc3", "zc4", "mmr", "m2", "m3", "m4", "busiest", "busiest", "busiest", "busiest"},
		took:    map[string][]time.Duration{}, ghosts: map[string]time.Time{},
	}
	if *faultsFor < time.Minute {
		w.bound = 30 * time.Second // where it runs as one of many tests
	}
	w.crowd = newCrowd(s, w.meeting.JoinURL, 8, 0)
	w.born = len(w.guests)
	w.settled("at first", time.Now())
	w.t.Logf("all are there, by router: %s", w.spreadOut())
	began := time.Now()
	for time.Since(began) < *faultsFor {
		w.strike()
		if t.Failed() {
			t.FailNow()
		}
	}
	w.buried()
	for _, kind := range []string{"kill", "freeze", "drain"} {
		t.Logf("%s: all heard all speakers again after, of %s", kind, spread(w.took[kind]))
	}
}

// between draws a duration.
func (w *storm) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.random.Int64N(int64(most-least)))
}

// strike does harm once, and checks what must hold.
func (w *storm) strike() {
	victim := w.victims[w.random.IntN(len(w.victims))]
	if victim == "busiest" {
		victim = w.router(w.crowd.busiest())
	}
	kind := []string{"kill", "freeze", "drain"}[w.random.IntN(3)]
	if kind == "drain" && strings.HasPrefix(victim, "web") {
		kind = "kill"
	}
	long := w.between(time.Second, 6*time.Second)
	what := kind + " " + victim
	began := time.Now()
	switch p := w.processes[victim]; kind {
	case "kill":
		p.kill()
		w.restored(kind, what, began)
		w.come(victim)
		w.start(victim)
		w.ready(victim)
	case "freeze":
		what += " for " + long.Round(time.Millisecond).String()
		w.signal(victim, syscall.SIGSTOP)
		w.t.Cleanup(func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }) // fails when it has ended
		over := time.NewTimer(long)
		defer over.Stop()
		w.restored(kind, what, began)
		w.come(victim)
		<-over.C
		w.signal(victim, syscall.SIGCONT)
	case "drain":
		w.signal(victim, syscall.SIGTERM)
		w.restored(kind, what, began)
		w.come(victim)
		if status := p.wait(); status != 0 {
			w.t.Errorf("%s: it ended with status %d: %s", what, status, p.said.String())
		}
		w.hearing(what, time.Now())
		w.start(victim)
		w.ready(victim)
	}
	w.settled(what, time.Now())
	w.t.Logf("%s: over after %v; by router: %s", what, time.Since(began).Round(time.Millisecond), w.spreadOut())
}

// spreadOut tells how many are at each router.
func (w *storm) spreadOut() string {
	n := map[string]int{}
	for mmr, there := range w.at() {
		n[mmr] = len(there)
	}
	return fmt.Sprint(n)
}

func (w *storm) signal(name string, s syscall.Signal) {
	w.t.Helper()
	if err := w.processes[name].cmd.Process.Signal(s); err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
}

// restored waits until everybody hears every speaker again, after harm.
func (w *storm) restored(kind, what string, since time.Time) {
	w.t.Helper()
	took := w.hearing(what, since)
	w.took[kind] = append(w.took[kind], took)
	w.t.Logf("%s: all %d hear again after %v", what, len(w.guests), took.Round(time.Millisecond))
}

// hearing waits until everybody hears every speaker since a moment, and tells
// how long after it that was.
func (w *storm) hearing(what string, since time.Time) time.Duration {
	w.t.Helper()
	w.eventually("all hear every speaker after "+what, func() bool {
		deaf := w.deaf(since)
		if late := time.Since(since); deaf != "" && late > w.bound {
			w.t.Fatalf("%s: %v later %s", what, late.Round(time.Millisecond), deaf)
		}
		return deaf == ""
	})
	return time.Since(since)
}

// deaf says who does not hear whom since a moment; "" is nobody.
func (w *storm) deaf(since time.Time) string {
	for _, g := range w.guests {
		for _, speaker := range w.guests[:speakers] {
			if g == speaker {
				continue
			}
			g.mu.Lock()
			last := g.last[stream{speaker.name, protocol.Mic}]
			g.mu.Unlock()
			if last.Sub(since) < flightTime {
				report := g.meeting.Report()
				return fmt.Sprintf("%s (at %s) has not heard %s (at %s) since %v ago; events %v", g.name, report.MMR, speaker.name,
					speaker.meeting.Report().MMR, time.Since(last).Round(time.Millisecond), tail(report.Events, 6))
			}
		}
	}
	return ""
}

func tail[T any](list []T, n int) []T { return list[max(0, len(list)-n):] }

// settled waits until everybody hears everybody and all have one roster.
func (w *storm) settled(what string, since time.Time) {
	w.t.Helper()
	w.hearing(what, since)
	present := map[string]bool{}
	for _, g := range w.guests {
		present[g.name] = true
	}
	for _, g := range w.guests {
		was := ""
		w.eventually(g.name+" has the right roster", func() bool {
			wrong := w.wrong(g, present)
			late := time.Since(since)
			if wrong != "" && late > oldestGhost+w.bound {
				w.t.Fatalf("%s: %v later %s (at %s) has the roster %s", what, late.Round(time.Second), g.name, g.meeting.Report().MMR, wrong)
			}
			if late > slowRoster && wrong != was {
				w.t.Logf("%s: %v later %s (at %s) has the roster %s", what, late.Round(time.Millisecond), g.name, g.meeting.Report().MMR, cmp.Or(wrong, "of all"))
				was = wrong
			}
			return wrong == ""
		})
		g.mu.Lock()
		for _, name := range g.went {
			if present[name] {
				w.t.Errorf("%s: %s was told that %s left", what, g.name, name)
			}
		}
		g.mu.Unlock()
	}
}

// wrong says what is wrong with somebody's roster. Those who died without a
// word may be in it for a while.
func (w *storm) wrong(g *guest, present map[string]bool) string {
	seen := map[string]int{}
	for _, p := range g.meeting.Participants() {
		seen[p.Name]++
		died, ghost := w.ghosts[p.Name]
		switch {
		case seen[p.Name] > 1:
			return p.Name + " twice"
		case ghost && time.Since(died) > oldestGhost+w.bound:
			w.t.Fatalf("%s sees %s, who died %v ago", g.name, p.Name, time.Since(died))
		case !ghost && !present[p.Name]:
			return "with " + p.Name
		}
	}
	for name := range present {
		if seen[name] == 0 {
			return "without " + name
		}
	}
	return ""
}

// come has somebody join while a server is missing, or, in a long run,
// somebody leave or die without a word: who has left may be seen again for up to
// 40 s, when a router wakes that knew them before they went to another.
func (w *storm) come(missing string) {
	w.t.Helper()
	link := w.meeting.JoinURL
	if missing == "web" {
		link = strings.Replace(link, w.url("web"), w.url("web2"), 1)
	}
	kinds := 4
	if *faultsFor < time.Minute {
		kinds = 2
	}
	switch last := w.guests[len(w.guests)-1]; w.random.IntN(kinds) {
	case 0, 1: // most often
		if len(w.guests) < 11 {
			w.guests = append(w.guests, attend(w.system, link, w.born, false))
			w.born++
		}
	case 2:
		if len(w.guests) > 8 {
			w.guests = w.guests[:len(w.guests)-1]
			w.t.Logf("%s leaves %s", last.name, last.meeting.Report().MMR)
			last.meeting.Leave()
		}
	case 3:
		if len(w.ghosts) < 3 {
			name := fmt.Sprint("Ghost ", len(w.ghosts)+1)
			p := start(w.t, name, "join", link, "--ca", w.ca, "--name", name, "--publish", "testcard", "--json")
			p.line(`"joined"`)
			p.kill()
			w.ghosts[name] = time.Now()
		}
	}
}

// buried waits until nobody sees those who died.
func (w *storm) buried() {
	w.t.Helper()
	for _, g := range w.guests {
		for name, died := range w.ghosts {
			gone := func() bool {
				return !slices.ContainsFunc(g.meeting.Participants(), func(p protocol.Participant) bool { return p.Name == name })
			}
			for !gone() {
				w.eventually(name+" is gone", func() bool { return gone() || time.Since(died) > oldestGhost+w.bound })
				if !gone() {
					w.t.Fatalf("%s still sees %s, %v after its death", g.name, name, time.Since(died))
				}
			}
		}
	}
	w.t.Logf("%d came in all, %d died without a word", w.born, len(w.ghosts))
}
