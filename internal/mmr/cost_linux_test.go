package mmr

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"causeway/protocol"
)

// measured is how long each state is looked at.
const measured = 5 * time.Second

// settled is how long the ends of handshakes, which are repeated for whoever
// lost them, are waited for.
const settled = 12 * time.Second

// How often those who receive tell when packets came: as pion's clients, with
// which others were measured, and as browsers do.
const (
	asPion     = 100 * time.Millisecond
	asBrowsers = 50 * time.Millisecond
)

var both = []protocol.MediaKind{protocol.Audio, protocol.Video}

// BenchmarkCost measures what a router costs, as a process of its own on the
// first core, with the load on the second, and prints a table, in which
// packets are told against the floor of the same run. One iteration says all:
// -benchtime 1x, as `make bench` does. It takes about five minutes.
func BenchmarkCost(b *testing.B) {
	if runtime.NumCPU() < 2 {
		b.Fatal("this takes two cores: one for the router, one for the load")
	}
	pinAll(b, 1)
	b.Cleanup(func() { pinAll(b, -1) })
	t := &table{floor: measureFloor(b)}
	t.row("the floor: encrypt, send to 100 in runs of 4", "%.2f µs/packet; %.2f of it encrypting; one by one %.2f",
		micro(t.floor.Send), micro(t.floor.Encrypt), micro(t.floor.Single))
	t.row("the same for one publisher's packets at their pace", "%.2f µs/packet", micro(t.floor.Paced))
	b.Run("idle", func(b *testing.B) { costIdle(b, t) })
	b.Run("fan-out", func(b *testing.B) { costFanOut(b, t) })
	b.Run("talk", func(b *testing.B) { costTalk(b, t) })
	t.print()
	for b.Loop() { // all is said
	}
}

// table is what is printed in the end.
type table struct {
	floor floorResult
	rows  [][2]string
}

func (t *table) row(what, format string, values ...any) {
	said := fmt.Sprintf(format, values...)
	fmt.Fprintf(os.Stderr, "%s: %s\n", what, said) // while it goes on
	t.rows = append(t.rows, [2]string{what, said})
}

func (t *table) print() {
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("\nCost of a router, on one core of %d (load average %.14s)\n", runtime.NumCPU(), load)
	w := tabwriter.NewWriter(os.Stdout, 0, 1, 2, ' ', 0)
	for _, r := range t.rows {
		fmt.Fprintf(w, "%s\t%s\n", r[0], r[1])
	}
	_ = w.Flush()
}

func micro(d time.Duration) float64 { return float64(d) / 1e3 }

// crowd is people who are in a meeting of a router under measurement.
type crowd struct {
	*world
	ask func(line string) footprint // of the router

	mu     sync.Mutex
	people []*client
}

// patient is how long people may take to join; a busy machine has fewer then.
const patient = 40 * time.Second

// grow lets people join, eight at a time, until there are so many or it has
// taken too long, and returns the router's processor time for each.
func (c *crowd) grow(to int, x wish, then func(*client)) time.Duration {
	const atOnce = 8
	from, began, before := len(c.people), time.Now(), c.ask(onlyCount).CPU
	next, come := make(chan int), make(chan *client, to)
	var joining sync.WaitGroup
	for range atOnce {
		joining.Go(func() {
			for i := range next {
				p := c.join("m1", fmt.Sprint("p", i), x)
				then(p)
				come <- p
			}
		})
	}
	for i := from; i < to && time.Since(began) < patient; i++ {
		next <- i
	}
	close(next)
	joining.Wait()
	close(come)
	used := c.ask(onlyCount).CPU - before
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range come {
		c.people = append(c.people, p)
	}
	return used / time.Duration(max(1, len(c.people)-from))
}

// pings keeps the people's control channels up, as clients do.
func (c *crowd) pings() {
	c.pump(3*time.Second, func(n int) {
		c.mu.Lock()
		people := c.people
		c.mu.Unlock()
		for _, p := range people {
			p.say(protocol.Ping{N: int64(n)})
		}
	})
}

// got counts the packets of media that have come to all.
func (c *crowd) got() (n uint64) {
	for _, p := range c.people {
		for _, k := range p.conns {
			k.mu.Lock()
			n += uint64(k.n)
			k.mu.Unlock()
		}
	}
	return n
}

// spent is what the router did while it was looked at.
type spent struct {
	cpu, took time.Duration
	in, out   uint64
	lost      int64
	mallocs   uint64
}

// look looks at the router while media is on, so that what was sent and what
// came can be told exactly; with its processor kept awake, or as it is.
func (c *crowd) look(b *testing.B, on *atomic.Bool, awake bool) spent {
	b.Helper()
	if awake {
		defer keepAwake(b)()
	}
	sent, got := c.ask(onlyCount), c.got()
	on.Store(true)
	<-time.After(2 * time.Second) // begun, and budgets have grown
	before, start := c.ask(beginLook), time.Now()
	<-time.After(measured)
	after := c.ask(endLook)
	s := spent{
		cpu: after.CPU - before.CPU, took: time.Since(start), in: after.In - before.In, out: after.Out - before.Out,
		mallocs: after.Mallocs - before.Mallocs,
	}
	on.Store(false)
	<-time.After(time.Second)
	s.lost = max(0, int64(c.ask(onlyCount).Out-sent.Out)-int64(c.got()-got)) // what comes late counts once more the next time
	return s
}

func (s spent) cores() float64 { return s.cpu.Seconds() / s.took.Seconds() }

func (s spent) perPacket() float64 { return micro(s.cpu) / float64(max(1, s.out)) }

// costIdle reports what people cost who say and show nothing.
func costIdle(b *testing.B, t *table) {
	const people, warm = 100, 10
	w, ask := newChild(b)
	c := &crowd{world: w, ask: ask}
	x := wish{kinds: both, videoSlots: 9, discardMedia: true}
	empty := c.spend()
	c.grow(warm, x, func(*client) {})
	c.pings()
	<-time.After(settled)
	first := ask("")
	cpu := c.grow(warm+people, x, func(*client) {})
	t.row("joins", "%.1f ms of processor each: %.0f joins a second and core", cpu.Seconds()*1e3, 1/cpu.Seconds())
	<-time.After(settled)
	last := ask("")
	per := func(of func(footprint) uint64) float64 { return float64(of(last)-of(first)) / people / 1024 }
	t.row("memory of an idle participant", "%.0f KiB resident, of it heap %.0f, stacks %.0f",
		per(func(f footprint) uint64 { return f.RSS }), per(func(f footprint) uint64 { return f.Live }), per(func(f footprint) uint64 { return f.Stack }))
	t.row("processor, 110 idle participants", "%.2f %% of a core; empty router %.2f %%", c.spend()*100, empty*100)
}

// spend returns how much of a core is used.
func (c *crowd) spend() float64 {
	before, start := c.ask(beginLook).CPU, time.Now()
	<-time.After(2 * measured)
	return (c.ask(endLook).CPU - before).Seconds() / time.Since(start).Seconds()
}

// costFanOut reports what a forwarded packet costs: one publisher (110
// pictures' and 50 sounds' packets a second) to many, and at last one with
// less to even more.
func costFanOut(b *testing.B, t *table) {
	w, ask := newChild(b)
	var on atomic.Bool
	var frame atomic.Int32 // packets of a picture
	ada := w.join("m1", "ada", wish{kinds: both})
	ada.speaks(&on, 20)
	ada.shows(&on, &frame)
	c := &crowd{world: w, ask: ask}
	var feedback atomic.Int64
	for _, s := range []struct {
		takers, packets int
		feedback        time.Duration
		awake           bool
	}{
		{100, 4, asPion, false},
		{100, 4, asBrowsers, false},
		{100, 4, asPion, true},
		{200, 4, asPion, false},
		{200, 4, asBrowsers, false},
		{200, 4, asPion, true},
		{300, 4, asPion, false},
		{1000, 1, asPion, false},
	} {
		feedback.Store(int64(s.feedback))
		c.grow(s.takers, wish{kinds: both, discardMedia: true, feedback: &feedback}, func(p *client) {
			p.say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ada", MaxHeight: 720}}})
		})
		if s.takers == 100 && s.feedback == asPion && !s.awake {
			c.pings()
			<-time.After(settled)
		}
		frame.Store(int32(s.packets))
		r := c.look(b, &on, s.awake)
		cost := r.perPacket()
		t.row(fmt.Sprintf("1 → %d%s", len(c.people), how(s.feedback, s.awake)), "%.2f µs/packet, %.1f times the floor; %.0f packets/s, %.2f core, %d of %d lost, %.2f allocations/packet",
			cost, cost/micro(t.floor.Send), float64(r.out)/r.took.Seconds(), r.cores(), r.lost, r.out, float64(r.mallocs)/float64(r.out))
	}
}

// how says what is special about a row.
func how(feedback time.Duration, awake bool) (special string) {
	if feedback != asPion {
		special = fmt.Sprintf(", told every %v", feedback)
	}
	if awake {
		special += ", processor kept awake"
	}
	return special
}

// keepAwake keeps the router's processor from sleeping between packets, until
// sleep is called.
func keepAwake(b *testing.B) (sleep func()) {
	lines, _ := start(b, awakeEnv+"=1")
	return func() { lines("") }
}

// speaks sends sound while it is on, 50 packets a second.
func (c *client) speaks(on *atomic.Bool, level byte) {
	k, n, sound := c.conns[protocol.Audio], uint16(0), make([]byte, 100)
	c.pump(20*time.Millisecond, func(int) {
		if on.Load() {
			n++
			k.send(rtpPacket(111, n, uint32(n)*960, micSSRC, 1, string([]byte{0x80 | level}), sound))
		}
	})
}

// shows sends a camera's picture while it is on, 27 frames a second of so many
// packets, each frame at once.
func (c *client) shows(on *atomic.Bool, packets *atomic.Int32) {
	k, seq, n := c.conns[protocol.Video], uint16(0), 0
	c.pump(time.Second/27, func(int) {
		if !on.Load() {
			return
		}
		k.peer.Shard().Run(func() {
			for i := range packets.Load() {
				payload := vp8Frame(n, n%27 == 0 && i == 0, 720, 1000)
				if i > 0 {
					payload[0] &^= 0x10 // not the start of the frame
				}
				seq++
				_ = k.peer.SendRTP(rtpPacket(96, seq, uint32(n)*3333, cameraSSRC, 9, "0", payload))
			}
		})
		n++
	})
}

// costTalk reports what it costs when all talk at once.
func costTalk(b *testing.B, t *table) {
	w, ask := newChild(b)
	c := &crowd{world: w, ask: ask}
	var on atomic.Bool
	var feedback atomic.Int64
	for _, s := range []struct {
		people   int
		feedback time.Duration
		awake    bool
	}{{40, asPion, false}, {40, asBrowsers, false}, {40, asPion, true}, {100, asPion, false}, {200, asPion, false}, {400, asPion, false}} {
		feedback.Store(int64(s.feedback))
		c.grow(s.people, wish{kinds: both[:1], discardMedia: true, feedback: &feedback}, func(p *client) {
			<-time.After(rand.N(20 * time.Millisecond)) // not all at the same moment
			p.speaks(&on, byte(20+rand.IntN(20)))
		})
		if s.people == 40 && s.feedback == asPion && !s.awake {
			c.pings()
			<-time.After(settled)
		}
		r := c.look(b, &on, s.awake)
		t.row(fmt.Sprintf("%d all talking%s", len(c.people), how(s.feedback, s.awake)), "%.3f core: %.3f for each 40; %.0f packets/s in, %.0f out, %d of %d lost",
			r.cores(), r.cores()*40/float64(len(c.people)), float64(r.in)/r.took.Seconds(), float64(r.out)/r.took.Seconds(), r.lost, r.out)
	}
}
