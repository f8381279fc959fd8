package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// remote is the first part of the addresses of a host that AddRemote adds; it
// has .2 at first, see Readdress.
const remote = "198.18.9"

// A Way is what happens to packets in one direction of a Line.
type Way struct {
	Delay  time.Duration
	Jitter time.Duration // more or less than Delay; packets keep their order
	Loss   float64       // share of the packets
	Burst  float64       // mean number of packets lost in a row; up to 1: each for itself
	Rate   float64       // bit/s; 0: no limit
	Queue  time.Duration // how much waits for Rate at most
	NoUDP  bool
}

// A Line joins a host to the internet, by ways that may change at any time.
type Line struct {
	out, in *direction
	world   *World
	host    string
	last    int // part of the host's address
}

// Set has packets go by other ways from now on.
func (l *Line) Set(out, in Way) { l.out.set(out); l.in.set(in) }

// AddRemote adds a host that is joined to the internet by a Line.
func (w *World) AddRemote(name string) *Line {
	w.t.Helper()
	w.ip("netns", "add", w.host(name))
	w.t.Cleanup(func() { w.removeHost(name) })
	w.etc(name)
	line := "path-" + name
	here, there := w.openTUN("gateway", line), w.openTUN(name, "line")
	l := &Line{out: newDirection(), in: newDirection(), world: w, host: name, last: 2}
	w.join(l, here, there)
	w.in("gateway", "ip", "link", "set", line, "up")
	w.in("gateway", "ip", "route", "add", remote+".0/24", "dev", line)
	w.in(name, "ip", "link", "set", "lo", "up")
	w.in(name, "ip", "link", "set", "line", "up")
	w.in(name, "ip", "addr", "add", remote+".2/32", "dev", "line")
	w.in(name, "ip", "route", "add", "default", "dev", "line", "src", remote+".2")
	for _, end := range []string{"iifname", "oifname"} { // Apply restricts the client's site alone
		w.in("gateway", "nft", "insert", "rule", "ip", "lab", "forward", end, line, "accept")
	}
	return l
}

// Readdress takes the host's address away and gives it another one, as a change
// of network does: .3, and then .2 again.
func (l *Line) Readdress() {
	w := l.world
	w.t.Helper()
	is := func(last int) string { return fmt.Sprintf("%s.%d", remote, last) }
	from := is(l.last)
	l.last = 5 - l.last
	w.in(l.host, "ip", "addr", "add", is(l.last)+"/32", "dev", "line")
	w.in(l.host, "ip", "route", "replace", "default", "dev", "line", "src", is(l.last))
	w.in(l.host, "ip", "addr", "del", from+"/32", "dev", "line")
}

// join carries packets between the gateway and a host until the test ends.
func (w *World) join(l *Line, gateway, host *os.File) {
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	for _, side := range []struct {
		d        *direction
		from, to *os.File
	}{{l.out, host, gateway}, {l.in, gateway, host}} {
		packets := make(chan delayed, lineQueue)
		tasks.Go(func() { side.d.takeIn(side.from, packets) })
		tasks.Go(func() { letOut(ctx, side.to, packets) })
	}
	w.t.Cleanup(func() {
		cancel()
		_, _ = gateway.Close(), host.Close() // ends those who read
		tasks.Wait()
	})
}

// direction is one direction of a Line.
type direction struct {
	mu   sync.Mutex
	way  Way
	rand *rand.Rand
	busy time.Time // with what was sent before
	last time.Time // when the packet before arrives
	bad  bool      // packets are being lost
	// The jitter goes from one random value to the next in a straight line.
	knot     time.Time
	from, to float64
}

// newDirection makes one that has the same chance in every run.
func newDirection() *direction { return &direction{rand: rand.New(rand.NewPCG(1, 2))} }

func (d *direction) set(way Way) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.way = way
}

// takeIn reads packets until the file is closed.
func (d *direction) takeIn(from *os.File, packets chan<- delayed) {
	defer close(packets)
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		const protocol, udp = 9, 17
		isUDP := n > protocol && buffer[0]>>4 == 4 && buffer[protocol] == udp
		due, ok := d.pass(time.Now(), n, isUDP)
		if !ok {
			continue
		}
		select {
		case packets <- delayed{due, append([]byte(nil), buffer[:n]...)}:
		default: // lost, as in any full queue
		}
	}
}

// pass says when a packet of n bytes arrives, false if it is lost.
func (d *direction) pass(now time.Time, n int, isUDP bool) (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.way.NoUDP && isUDP || d.loses() {
		return time.Time{}, false
	}
	due := now
	if d.way.Rate > 0 {
		if d.busy.Before(now) {
			d.busy = now
		}
		takes := time.Duration(float64(n) * 8 / d.way.Rate * float64(time.Second))
		if d.busy.Sub(now)+takes > d.way.Queue {
			return time.Time{}, false
		}
		d.busy = d.busy.Add(takes)
		due = d.busy
	}
	due = due.Add(d.way.Delay + d.jitter(due))
	if due.Before(d.last) {
		due = d.last
	}
	d.last = due
	return due, true
}

// loses throws the dice: the losses of Gilbert's model come in bursts.
func (d *direction) loses() bool {
	loss := d.way.Loss
	switch {
	case loss <= 0:
		return false
	case d.way.Burst <= 1:
		return d.rand.Float64() < loss
	case d.bad:
		d.bad = d.rand.Float64() >= 1/d.way.Burst
	default:
		d.bad = d.rand.Float64() < loss/(d.way.Burst*(1-loss))
	}
	return d.bad
}

func (d *direction) jitter(at time.Time) time.Duration {
	if d.way.Jitter <= 0 {
		return 0
	}
	step := 2 * d.way.Jitter
	if since := at.Sub(d.knot); since >= step {
		d.from = d.to
		d.knot = d.knot.Add(step)
		if since >= 2*step {
			d.knot = at
		}
		d.to = 2*d.rand.Float64() - 1
	}
	share := min(float64(at.Sub(d.knot))/float64(step), 1)
	return time.Duration((d.from + (d.to-d.from)*share) * float64(d.way.Jitter))
}
