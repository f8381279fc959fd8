//go:build linux

package e2e

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"causeway/client"
	"causeway/internal/base/pki"
	"causeway/protocol"
)

const (
	soundTime  = 20 * time.Millisecond
	loudest    = 10  // dB below full scale: one of the speakers
	quietest   = 120 // dB below full scale: nobody's
	flightTime = 150 * time.Millisecond
)

// A voice is a feed of numbered sound, by which a receiver knows what is
// missing and what came twice. With a card it has the test card's pictures.
type voice struct {
	level  uint8
	card   client.Feed // nil: sound only
	tracks []client.Track
	of     map[int]int // tracks of the card → ours
	n      uint32
}

func newVoice(level uint8, pictures bool) *voice {
	v := &voice{level: level, tracks: []client.Track{{Source: protocol.Mic, Codec: client.Opus}}, of: map[int]int{}}
	if !pictures {
		return v
	}
	v.card = client.TestCard()
	for i, t := range v.card.Tracks() {
		if t.Source == protocol.Camera {
			v.of[i] = len(v.tracks)
			v.tracks = append(v.tracks, t)
		}
	}
	return v
}

// Tracks implements client.Feed.
func (v *voice) Tracks() []client.Track { return v.tracks }

// Next implements client.Feed.
func (v *voice) Next() (client.Sample, error) {
	s := client.Sample{At: time.Duration(v.n) * soundTime}
	if v.card != nil {
		var err error
		if s, err = v.card.Next(); err != nil {
			return s, err
		}
		if track, ok := v.of[s.Track]; ok {
			s.Track = track
			return s, nil
		}
	}
	s.Track, s.Key, s.Level = 0, true, v.level
	s.Data = binary.BigEndian.AppendUint32([]byte{0xF8, 0xFF, 0xFE}, v.n) // a CELT packet of 20 ms
	v.n++
	return s, nil
}

// Close implements client.Feed.
func (v *voice) Close() error {
	if v.card != nil {
		return v.card.Close()
	}
	return nil
}

// stream names what somebody publishes.
type stream struct {
	name   string
	source protocol.Source
}

// A guest takes part and keeps account of what it receives.
type guest struct {
	*person
	name string

	mu      sync.Mutex
	mark    time.Time // the account is of what came since
	last    map[stream]time.Time
	next    map[string]uint32 // number of sound
	gap     map[protocol.Source]time.Duration
	sounds  int                           // pieces of sound: received,
	missing int                           // not received,
	doubled int                           // and received twice
	missed  map[string]int                // not received, of each speaker
	back    map[protocol.Source]time.Time // the first that came after the mark and what was on the way then
	heard   map[string]time.Time          // the same of each speaker's sound
	went    []string                      // who was said to have left
	said    []string                      // in the chat
	events  []string                      // what happened to its session
}

// attend joins until the test ends.
func attend(s *system, link string, i int, pictures bool) *guest {
	s.t.Helper()
	roots, err := pki.Pool(s.ca)
	if err != nil {
		s.t.Fatal(err)
	}
	level := uint8(quietest)
	if i < speakers {
		level = uint8(loudest + 4*i)
	}
	g := &guest{
		person: &person{t: s.t}, name: fmt.Sprintf("G%02d", i),
		last: map[stream]time.Time{}, next: map[string]uint32{}, gap: map[protocol.Source]time.Duration{}, back: map[protocol.Source]time.Time{},
		heard: map[string]time.Time{}, missed: map[string]int{},
	}
	o := client.Options{Name: g.name, Roots: roots, Version: "e2e", Receive: g.receive, VideoSlots: -1, Feed: newVoice(level, pictures && i < 2)}
	if pictures {
		o.VideoSlots = 2
	}
	g.meeting, err = client.Join(s.t.Context(), link, o)
	if err != nil {
		s.t.Fatalf("%s cannot join: %v", g.name, err)
	}
	s.t.Cleanup(func() {
		g.meeting.Leave()
		if s.t.Failed() {
			g.mu.Lock()
			defer g.mu.Unlock()
			s.t.Logf("%s:\n%s", g.name, strings.Join(g.events, "\n"))
		}
	})
	go g.follow()
	return g
}

// follow notes who is said to have left, what is said, and what happens to the
// guest's own session.
func (g *guest) follow() {
	for e := range g.meeting.Events() {
		g.mu.Lock()
		switch e.Kind {
		case client.Disappeared:
			g.went = append(g.went, e.Participant.Name)
		case client.Said:
			g.said = append(g.said, e.Chat.Text)
		case client.Joined, client.Reconnecting, client.Reconnected, client.Moving, client.Moved, client.MediaChanged:
			g.events = append(g.events, e.At.UTC().Format("15:04:05.000 ")+e.String())
		}
		g.mu.Unlock()
	}
}

func (g *guest) receive(f client.Frame) {
	now := time.Now()
	key := stream{f.Name, f.Source}
	g.mu.Lock()
	defer g.mu.Unlock()
	if last, ok := g.last[key]; ok {
		g.gap[f.Source] = max(g.gap[f.Source], now.Sub(last))
	}
	g.last[key] = now
	if _, ok := g.back[f.Source]; !ok && now.Sub(g.mark) > flightTime {
		g.back[f.Source] = now
	}
	if f.Source != protocol.Mic || len(f.Data) != 7 {
		return
	}
	if _, ok := g.heard[f.Name]; !ok && now.Sub(g.mark) > flightTime {
		g.heard[f.Name] = now
	}
	g.sounds++
	n := binary.BigEndian.Uint32(f.Data[3:])
	next, known := g.next[f.Name]
	switch {
	case known && n < next:
		g.doubled++
		return
	case known:
		g.missing += int(n - next)
		g.missed[f.Name] += int(n - next)
	}
	g.next[f.Name] = n + 1
}

// reset begins the account anew.
func (g *guest) reset(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mark, g.sounds, g.missing, g.doubled = now, 0, 0, 0
	clear(g.gap)
	clear(g.back)
	clear(g.heard)
	clear(g.missed)
	for key := range g.last { // a stream that has ended makes no gap
		if now.Sub(g.last[key]) > time.Second {
			delete(g.last, key)
		}
	}
}

// A crowd is the guests of a meeting.
type crowd struct {
	*system
	guests []*guest
	since  map[string]time.Time // when each has joined, by name
}

// newCrowd has people join, the first three of whom speak; as many as watch
// receive pictures, and the first two of them send some.
func newCrowd(s *system, link string, people, watch int) *crowd {
	s.t.Helper()
	c := &crowd{system: s, guests: make([]*guest, people), since: map[string]time.Time{}}
	var tasks sync.WaitGroup
	for i := range people {
		tasks.Go(func() { c.guests[i] = attend(s, link, i, i < watch) })
	}
	tasks.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
	return c
}

// reset begins everybody's account anew and returns when that was.
func (c *crowd) reset() time.Time {
	now := time.Now()
	for _, g := range c.guests {
		g.reset(now)
	}
	return now
}

// sources are what a guest is to receive.
func (g *guest) sources() []protocol.Source {
	g.mu.Lock()
	_, watches := g.gap[protocol.Camera]
	g.mu.Unlock()
	if watches || g.pictures() {
		return []protocol.Source{protocol.Mic, protocol.Camera}
	}
	return []protocol.Source{protocol.Mic}
}

func (g *guest) pictures() bool { _, ok := g.meeting.Traffic()[protocol.Video]; return ok }

// allBack waits until everybody receives everything again, and tells how long
// after the mark each did.
func (c *crowd) allBack(who []*guest) map[protocol.Source][]time.Duration {
	c.t.Helper()
	took := map[protocol.Source][]time.Duration{}
	for _, g := range who {
		for _, source := range g.sources() {
			c.eventually(fmt.Sprintf("%s receives %s again", g.name, source), func() bool {
				g.mu.Lock()
				defer g.mu.Unlock()
				_, ok := g.back[source]
				return ok
			})
			g.mu.Lock()
			took[source] = append(took[source], g.back[source].Sub(g.mark))
			g.mu.Unlock()
		}
	}
	return took
}

// allHeard waits until everybody hears all who speak again, and tells how long
// after the mark each did.
func (c *crowd) allHeard() (took []time.Duration) {
	c.t.Helper()
	for _, g := range c.guests {
		for _, speaker := range c.guests[:speakers] {
			if g == speaker {
				continue
			}
			var at time.Duration
			c.eventually(g.name+" hears "+speaker.name+" again", func() bool {
				g.mu.Lock()
				defer g.mu.Unlock()
				heard, ok := g.heard[speaker.name]
				at = heard.Sub(g.mark)
				return ok
			})
			took = append(took, at)
		}
	}
	return took
}

// spread is the least, the median and the largest of durations, in words.
func spread(list []time.Duration) string {
	if len(list) == 0 {
		return "none"
	}
	slices.Sort(list)
	ms := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
	return fmt.Sprintf("%d: least %s, median %s, most %s", len(list), ms(list[0]), ms(list[len(list)/2]), ms(list[len(list)-1]))
}

// at tells which router each guest is at.
func (c *crowd) at() map[string][]*guest {
	list := map[string][]*guest{}
	for _, g := range c.guests {
		mmr := g.meeting.Report().MMR
		list[mmr] = append(list[mmr], g)
	}
	return list
}

// busiest is the router with the most guests.
func (c *crowd) busiest() string {
	at := c.at()
	return slices.MaxFunc(slices.Collect(maps.Keys(at)), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(at[a]), len(at[b])), cmp.Compare(a, b))
	})
}

// whole waits until everybody sees everybody in the place where they were, and
// checks that nobody was said to have left.
func (c *crowd) whole() {
	c.t.Helper()
	for _, g := range c.guests {
		c.eventually(g.name+" sees everybody", func() bool { return len(g.meeting.Participants()) == len(c.guests) })
		for _, p := range g.meeting.Participants() {
			if since, ok := c.since[p.Name]; ok && !since.Equal(p.JoinedAt) {
				c.t.Errorf("%s sees that %s has joined at %v, which was %v", g.name, p.Name, p.JoinedAt, since)
			}
			if g == c.guests[0] {
				c.since[p.Name] = p.JoinedAt
			}
		}
		g.mu.Lock()
		if len(g.went) > 0 {
			c.t.Errorf("%s was told that %v left", g.name, g.went)
		}
		g.mu.Unlock()
	}
}

// missing counts the pieces that anybody has not received of the sound of those
// who are where they were before, and the pieces of sound received.
func (c *crowd) missing(before map[string][]*guest) (missing, received int) {
	stayed := map[string]bool{}
	for router, guests := range c.at() {
		for _, g := range guests {
			stayed[g.name] = slices.Contains(before[router], g)
		}
	}
	for _, g := range c.guests {
		g.mu.Lock()
		received += g.sounds
		for speaker, n := range g.missed {
			if stayed[speaker] {
				missing += n
			}
		}
		g.mu.Unlock()
	}
	return missing, received
}

// account logs what has happened to what everybody receives, and returns the
// largest gaps.
func (c *crowd) account(what string) map[protocol.Source]time.Duration {
	gaps := map[protocol.Source][]time.Duration{}
	worst := map[protocol.Source]time.Duration{}
	missing, doubled := 0, 0
	for _, g := range c.guests {
		g.mu.Lock()
		for source, gap := range g.gap {
			gaps[source] = append(gaps[source], gap)
			worst[source] = max(worst[source], gap)
		}
		missing, doubled = missing+g.missing, doubled+g.doubled
		g.mu.Unlock()
	}
	var words []string
	for _, source := range slices.Sorted(maps.Keys(gaps)) {
		words = append(words, fmt.Sprintf("%s gaps of %s", source, spread(gaps[source])))
	}
	c.t.Logf("%s: %s; %d pieces of sound missing, %d twice", what, strings.Join(words, "; "), missing, doubled)
	return worst
}
