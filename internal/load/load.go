// Package load measures how loaded a server is, against its limits: what its
// process uses of processor and open files, and what it carries. Every server
// has a Meter, which it asks once a second for what it then tells others.
//
// Where a container has fewer processors than the machine, the share is of
// those (GOMAXPROCS follows the cgroup's limit). On other systems than Linux
// open files are not counted. The package owns no goroutine; a Meter is safe
// for concurrent use.
package load

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"causeway/internal/base/config"
	"causeway/protocol"
)

const (
	// smooth is the time constant of the processor's load: a second of much
	// work, as when many join at once, is no reason to send people elsewhere.
	smooth = 5 * time.Second
	// least is the time between measurements below which rates are kept.
	least = 100 * time.Millisecond
	// filesEvery is how often open files are counted, which takes longer the
	// more there are.
	filesEvery = 5 * time.Second
)

// Process limits what a server's process uses. It is part of every server's
// limits.
type Process struct {
	// CPU is the share of the cores, 0…1, at which the server is full; 0 is
	// never.
	CPU float64 `yaml:"cpu"`
	// OpenFiles is how many files and connections; 0 is what the system
	// allows.
	OpenFiles int `yaml:"open_files"`
}

// Check returns everything that is wrong.
func (p Process) Check() []config.Issue {
	var issues []config.Issue
	if !(p.CPU >= 0 && p.CPU <= 1) {
		issues = append(issues, config.Issue{Field: "cpu", Problem: fmt.Sprintf("%v is no share", p.CPU), Remedy: "use 0.1 to 1, or 0 for no limit"})
	}
	if p.OpenFiles < 0 {
		issues = append(issues, config.Issue{Field: "open_files", Problem: "is negative", Remedy: "use a positive limit, or 0 for what the system allows"})
	}
	return issues
}

// Of returns limits for NewMeter; the server adds its own.
func (p Process) Of() protocol.Load {
	return protocol.Load{MaxCPU: p.CPU, MaxOpenFiles: p.OpenFiles}
}

// Carried is what a server has carried so far, and how many participants are
// there now.
type Carried struct {
	Packets, BytesOut uint64
	Participants      int
}

// A Meter measures one server's load.
type Meter struct {
	process *process.Process
	limits  protocol.Load // its Max… fields

	mu      sync.Mutex
	at      time.Time
	filesAt time.Time
	cpu     float64 // seconds of processor time so far
	carried Carried
	load    protocol.Load
}

// NewMeter makes a meter; limits are the Max… fields of a Load, of which 0 is
// no limit (of open files: what the system allows).
func NewMeter(limits protocol.Load) (*Meter, error) {
	p, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("measure the load: %w", err)
	}
	if limits.MaxOpenFiles == 0 {
		limits.MaxOpenFiles = maxOpenFiles()
	}
	m := &Meter{process: p, limits: limits}
	m.load = m.limited(protocol.Load{})
	return m, nil
}

// Latest returns the load as last measured.
func (m *Meter) Latest() protocol.Load {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load
}

// Measure takes the load since the last measurement.
func (m *Meter) Measure(now time.Time, c Carried) protocol.Load {
	cpu := m.ProcessorSeconds()
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.load
	l.Participants = c.Participants
	first, passed := m.at.IsZero(), now.Sub(m.at)
	if !first && passed >= least {
		seconds := passed.Seconds()
		busy := min(1, max(0, (cpu-m.cpu)/seconds/float64(runtime.GOMAXPROCS(0))))
		l.CPU = smoothed(l.CPU, busy, seconds)
		l.PacketsPerSecond = float64(c.Packets-m.carried.Packets) / seconds
		l.EgressBPS = float64(c.BytesOut-m.carried.BytesOut) * 8 / seconds
	}
	if first || passed >= least {
		m.at, m.cpu, m.carried = now, cpu, c
	}
	if first || now.Sub(m.filesAt) >= filesEvery {
		m.filesAt, l.OpenFiles = now, m.openFiles()
	}
	m.load = m.limited(l)
	return m.load
}

// limited is a load with the limits.
func (m *Meter) limited(l protocol.Load) protocol.Load {
	l.MaxCPU, l.MaxOpenFiles = m.limits.MaxCPU, m.limits.MaxOpenFiles
	l.MaxPackets, l.MaxEgressBPS, l.MaxParticipants = m.limits.MaxPackets, m.limits.MaxEgressBPS, m.limits.MaxParticipants
	return l
}

// smoothed takes a sample over some seconds into the average.
func smoothed(average, sample, seconds float64) float64 {
	return average + (sample-average)*(1-math.Exp(-seconds/smooth.Seconds()))
}

// ProcessorSeconds is the processor time that this process has used; 0 where
// that cannot be told.
func (m *Meter) ProcessorSeconds() float64 {
	t, err := m.process.Times()
	if err != nil {
		return 0
	}
	return t.User + t.System
}

// openFiles counts the process's open files; 0 where that cannot be told.
func (m *Meter) openFiles() int {
	n, err := m.process.NumFDs()
	if err != nil {
		return 0
	}
	return int(n)
}
