package loadtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"causeway/client"
	"causeway/protocol"
)

// Progress is a second of a test.
type Progress struct {
	Second   float64 `json:"second"` // since the beginning
	Joined   int     `json:"joined"` // participants in the meeting now
	Failed   int     `json:"failed"` // joins that failed so far
	Packets  float64 `json:"packets_per_s"`
	BPS      float64 `json:"bits_per_s"`      // received by all
	SentBPS  float64 `json:"sent_bits_per_s"` // sent by all
	Lost     float64 `json:"lost_per_s"`      // packets
	Sound    Delays  `json:"sound"`
	Pictures Delays  `json:"pictures"`
	Cores    float64 `json:"server_cores,omitempty"` // in use by the server
}

// test is a test that runs.
type test struct {
	cfg      Config
	clock    clock
	server   *process // nil: not looked at
	progress func(Progress)

	joined, failed atomic.Int64
	sound, picture histogram // of the present second
	whole          struct{ sound, picture, joins histogram }

	mu       sync.Mutex
	people   []participant
	failures map[string]int
	seconds  []Progress
	ended    int // participations that were over before the test was
}

// Run puts the participants into the meeting, lets them be there for the
// duration, and reports. progress, which may be nil, is told each second. When
// ctx ends the test ends early, with a report of what was until then. Failed
// joins are in the report; an error says that there could be no test.
func Run(ctx context.Context, c Config, progress func(Progress)) (Report, error) {
	if err := c.Check(); err != nil {
		return Report{}, err
	}
	t := &test{cfg: c, clock: clock(time.Now()), progress: progress, failures: map[string]int{}}
	if c.ServerPID != 0 {
		var err error
		if t.server, err = findProcess(c.ServerPID); err != nil {
			return Report{}, err
		}
	}
	idle := waits()
	life, end := context.WithCancel(ctx)
	defer end()
	var watching, people sync.WaitGroup
	watching.Go(func() { t.watch(life) })

	t.ramp(ctx, life, &people)
	before := t.begin()
	pause(ctx, c.Duration)
	after, seen := t.totals(), t.look()
	end()
	watching.Wait()
	people.Wait()
	r := t.report(before, after, seen)
	r.Waited = waits().since(idle)
	if t.joined.Load() == 0 && t.failed.Load() > 0 && len(t.people) == 0 {
		return r, fmt.Errorf("nobody could join: %s", t.commonest())
	}
	return r, nil
}

// ramp lets one after the other join, each at its time, however long those
// before it take to begin; and waits until all have joined or failed.
func (t *test) ramp(ctx, life context.Context, people *sync.WaitGroup) {
	var joining sync.WaitGroup
	defer joining.Wait()
	start, gap := time.Now(), time.Duration(float64(time.Second)/t.cfg.Ramp)
	for i := range t.cfg.Participants {
		if ctx.Err() != nil {
			return
		}
		joining.Add(1)
		people.Go(func() { t.attend(life, i, joining.Done) })
		if i < t.cfg.Participants-1 && !pause(ctx, time.Until(start.Add(time.Duration(i+1)*gap))) {
			return
		}
	}
}

// pause waits; false: ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// joinLimit bounds one join.
const joinLimit = time.Minute

// attend is the life of the i-th participant.
func (t *test) attend(life context.Context, i int, arrived func()) {
	p, o := t.cfg.part(i), t.cfg.Options
	o.NoReport = true // the test's own tells more
	o.Name, o.Feed = fmt.Sprintf("Load %d", i+1), newFeed(t.cfg, p, t.clock)
	voices := newEar()
	o.VideoSlots, o.Receive = p.slots, func(f client.Frame) { t.receive(f, voices) }
	if p.slots == 0 {
		o.VideoSlots = -1
	}
	ctx, cancel := context.WithTimeout(life, joinLimit)
	began := time.Now()
	m, err := client.Join(ctx, t.cfg.link(i), o)
	cancel()
	if err != nil {
		if life.Err() == nil {
			t.fail(err)
		}
		arrived()
		return
	}
	t.whole.joins.add(time.Since(began))
	t.joined.Add(1)
	t.mu.Lock()
	t.people = append(t.people, participant{m, voices})
	t.mu.Unlock()
	arrived()
	select {
	case <-m.Done():
		t.mu.Lock()
		t.ended++
		t.mu.Unlock()
	case <-life.Done():
		m.Leave()
		<-m.Done()
	}
	t.joined.Add(-1)
}

// receive takes a frame of anybody.
func (t *test) receive(f client.Frame, voices *ear) {
	age, ok := t.clock.age(f.Data)
	if !ok {
		return
	}
	if f.Source == protocol.Mic {
		voices.hear(f.Participant)
		t.sound.add(age)
		t.whole.sound.add(age)
		return
	}
	t.picture.add(age)
	t.whole.picture.add(age)
}

// fail counts a join that failed, by what is said of it.
func (t *test) fail(err error) {
	t.failed.Add(1)
	what := err.Error()
	var p *protocol.Problem
	if errors.As(err, &p) {
		what = string(p.Code)
	}
	t.mu.Lock()
	t.failures[what]++
	t.mu.Unlock()
}

// commonest is what most failed joins say.
func (t *test) commonest() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	what, most := "", 0
	for w, n := range t.failures {
		if n > most {
			what, most = w, n
		}
	}
	return what
}

// totals are sums over all participants since the beginning.
type totals struct {
	at                              time.Time
	received, sent, lost            uint64 // packets
	bytesReceived, bytesSent        uint64
	serverSeconds, serverResidentMB float64
}

func (t *test) totals() totals {
	t.mu.Lock()
	people := t.people
	t.mu.Unlock()
	s := totals{at: time.Now()}
	for _, p := range people {
		for _, tr := range p.meeting.Traffic() {
			s.received += tr.PacketsReceived
			s.sent += tr.PacketsSent
			s.lost += tr.PacketsLost
			s.bytesReceived += tr.BytesReceived
			s.bytesSent += tr.BytesSent
		}
	}
	if t.server != nil {
		s.serverSeconds, s.serverResidentMB = t.server.look()
	}
	return s
}

// watch tells the progress each second.
func (t *test) watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := t.totals()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := t.totals()
		p := t.second(last, now)
		last = now
		t.mu.Lock()
		t.seconds = append(t.seconds, p)
		t.mu.Unlock()
		if t.progress != nil {
			t.progress(p)
		}
	}
}

// second is what happened between two looks.
func (t *test) second(last, now totals) Progress {
	s := now.at.Sub(last.at).Seconds()
	rate := func(a, b uint64) float64 { return max(0, float64(b)-float64(a)) / s }
	return Progress{
		Second: now.at.Sub(time.Time(t.clock)).Seconds(), Joined: int(t.joined.Load()), Failed: int(t.failed.Load()),
		Packets: rate(last.received, now.received), Lost: rate(last.lost, now.lost),
		BPS: 8 * rate(last.bytesReceived, now.bytesReceived), SentBPS: 8 * rate(last.bytesSent, now.bytesSent),
		Sound: t.sound.take(), Pictures: t.picture.take(),
		Cores: max(0, now.serverSeconds-last.serverSeconds) / s,
	}
}
