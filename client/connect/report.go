package connect

import (
	"maps"
	"slices"
	"sync"
	"time"

	"causeway/protocol"
)

// Limits of a report, so that a participant that resumes for days does not
// grow one without end. What is beyond them is left out.
const (
	maxPhases   = 64
	maxAttempts = 256 // per phase
	maxEvents   = 512
)

// A Recorder builds the report of one join. It is safe for concurrent use;
// it reads no clock: every call that needs the time is given it.
type Recorder struct {
	start time.Time

	mu     sync.Mutex
	report protocol.Report
	open   map[protocol.PhaseName]int // phases under way, as indexes
}

// NewRecorder begins a report at start.
func NewRecorder(start time.Time) *Recorder {
	return &Recorder{
		start: start,
		open:  map[protocol.PhaseName]int{},
		report: protocol.Report{
			Route:  "direct",
			Proxy:  protocol.ProxyReport{Kind: "none"},
			Phases: []protocol.PhaseReport{},
			Media:  map[protocol.MediaKind]protocol.MediaReport{},
			Events: []protocol.ReportEvent{},
		},
	}
}

// Begin says that a phase begins. A phase that runs again, because the
// participant resumes, has an entry of its own.
func (r *Recorder) Begin(phase protocol.PhaseName, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Phases) >= maxPhases {
		delete(r.open, phase)
		return
	}
	r.open[phase] = len(r.report.Phases)
	r.report.Phases = append(r.report.Phases, protocol.PhaseReport{
		Name: phase, StartedMS: r.ms(now), Attempts: []protocol.Attempt{},
	})
}

// Attempt adds an attempt to a phase under way.
func (r *Recorder) Attempt(phase protocol.PhaseName, a protocol.Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.open[phase]
	if !ok || len(r.report.Phases[i].Attempts) >= maxAttempts {
		return
	}
	r.report.Phases[i].Attempts = append(r.report.Phases[i].Attempts, a)
}

// End says how a phase under way ended; err is nil when it went well.
func (r *Recorder) End(phase protocol.PhaseName, err error, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.open[phase]
	if !ok {
		return
	}
	delete(r.open, phase)
	p := &r.report.Phases[i]
	p.DurationMS = round(r.ms(now) - p.StartedMS)
	p.OK = err == nil
	if err != nil {
		p.Error = protocol.ProblemOf(err)
	}
}

// Event notes that something happened after the join began.
func (r *Recorder) Event(what string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Events) < maxEvents {
		r.report.Events = append(r.report.Events, protocol.ReportEvent{AtMS: r.ms(now), What: what})
	}
}

// FirstMedia notes when the first media packet came; only the first call counts.
func (r *Recorder) FirstMedia(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.report.FirstMediaMS == 0 {
		r.report.FirstMediaMS = r.ms(now)
	}
}

// Media sets what is known of a media connection.
func (r *Recorder) Media(kind protocol.MediaKind, m protocol.MediaReport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Media[kind] = m
}

// Set changes the report's other fields: who, where, whether it went well. f
// must not keep what it is given.
func (r *Recorder) Set(f func(*protocol.Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.report)
}

// Since is the time since the join began, in the report's milliseconds.
func (r *Recorder) Since(now time.Time) float64 { return r.ms(now) }

// Report returns a copy of the report as it stands.
func (r *Recorder) Report() protocol.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.report
	c.Media = maps.Clone(c.Media)
	c.Events = slices.Clone(c.Events)
	c.Phases = slices.Clone(c.Phases)
	for i := range c.Phases {
		c.Phases[i].Attempts = slices.Clone(c.Phases[i].Attempts)
	}
	return c
}

func (r *Recorder) ms(now time.Time) float64 { return millis(now.Sub(r.start)) }

// millis is a duration in milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// round takes a difference of two such numbers back to the microsecond.
func round(ms float64) float64 { return millis(time.Duration(ms*float64(time.Millisecond) + 0.5)) }
