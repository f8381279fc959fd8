package bwe

import "time"

const (
	probeSpan    = 60 * time.Millisecond
	probeJitter  = 8 * time.Millisecond // that a probe of this span bears
	probePackets = 6
	probePacket  = 1200 // bytes
	// probeArrives is the share of the probe's rate at which it must arrive
	// for the path to have carried it.
	probeArrives = 0.88
	probeSlack   = 300 * time.Millisecond // for feedback on the last packet
	probeSlow    = 600e3                  // bits per second, below which probes are rarer
	maxStep      = 30 * time.Millisecond
	probeSoon    = time.Second
	probeLate    = 2000 * time.Millisecond
)

// phase is where a probe is.
type phase uint8

const (
	idle    phase = iota
	sending       // its packets leave
	waiting       // for what became of them
)

// prober runs one probe at a time.
type prober struct {
	phase    phase
	id       uint16
	rate     float64
	goal     int // bytes
	begin    time.Duration
	end      time.Duration // of sending
	deadline time.Duration
	step     time.Duration // between two looks at what is due
	looked   time.Duration // the last one

	sentBytes, sent int
	left            line // bytes up to each packet, over when it left
	outcomes, came  int
	arrived         line // when they came, over when they left
	span            time.Duration

	next  time.Duration // when to probe again
	every time.Duration
	row   int // successes in a row
}

// start begins a probe.
func (p *prober) start(rate float64, span, now time.Duration) {
	id := p.id + 1
	if id == 0 {
		id = 1
	}
	goal := max(int(rate/8*span.Seconds()), probePackets*probePacket)
	*p = prober{phase: sending, id: id, rate: rate, goal: goal, begin: now, next: p.next, every: p.every, row: p.row, span: span, step: p.step, looked: p.looked}
}

// look notes that the sender asks what is due.
func (p *prober) look(now time.Duration) {
	if d := now - p.looked; d > time.Millisecond {
		p.step, p.looked = min(d, maxStep), now
	}
}

// due is how many bytes should leave now beyond those that did.
func (p *prober) due(now time.Duration) int {
	// As much ahead as leaves between two looks, so that all lumps are of a
	// size: a first one that is smaller would look like a growing queue.
	ahead := max(2*probePacket, int(p.rate/8*p.step.Seconds()))
	should := int(p.rate/8*(now-p.begin).Seconds()) + ahead
	return max(0, min(should, p.goal)-p.sentBytes)
}

// note takes a packet that leaves, and returns the mark it is to carry.
func (p *prober) note(size int, now, rtt time.Duration) uint16 {
	if p.phase != sending {
		return 0
	}
	p.left.add((now - p.begin).Seconds(), float64(p.sentBytes))
	p.sent++
	if p.sentBytes += size; p.sentBytes >= p.goal {
		p.stop(now, rtt)
	}
	return p.id
}

// stop ends the sending.
func (p *prober) stop(now, rtt time.Duration) {
	p.phase, p.end = waiting, now
	p.deadline = now + rtt + probeSlack
}

// heard takes what became of one of the probe's packets.
func (p *prober) heard(lost bool, left, arrived time.Duration) {
	p.outcomes++
	if lost {
		return
	}
	p.came++
	p.arrived.add((left - p.begin).Seconds(), (arrived - p.begin).Seconds())
}

// verdict is what a probe has shown.
type verdict struct {
	carried bool
	rate    float64 // at which it arrived, at most that at which it left
}

// result ends the probe, once enough is known of it. inherent is the share of
// packets that the path loses at any rate.
func (p *prober) result(now time.Duration, inherent float64) (v verdict, done bool) {
	if p.phase != waiting || p.outcomes < p.sent && now < p.deadline {
		return v, false
	}
	p.phase = idle
	if p.came < probePackets-2 || float64(p.came) < (0.8-inherent)*float64(p.sent) {
		return v, true
	}
	// Where a packet comes by so much later than the one before as it left
	// later, the slope is 1; where the bottleneck takes longer for each,
	// it is by how much its capacity is exceeded.
	slope, _ := p.arrived.slope()
	sent, _ := p.left.slope()
	sent *= 8
	// What is lost beyond the path's own losses, and one by chance, had no room
	// in the queue.
	came := min(1, float64(p.came+1)/float64(p.sent)/(1-inherent))
	v.rate = sent / max(1, slope) * came
	v.carried = sent > 0 && v.rate >= probeArrives*sent
	return v, true
}
