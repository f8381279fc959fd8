package mmr

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"time"

	"causeway/internal/mmr/forward"
	"causeway/protocol"

	"github.com/shirou/gopsutil/v4/process"
)

// smooth is the time constant of the processor's load: a second of much work,
// as when many join at once, is no reason to send people elsewhere.
const smooth = 5 * time.Second

// meter measures the router's load from one second to the next.
type meter struct {
	limits  Limits
	process *process.Process

	mu      sync.Mutex
	at      time.Time
	cpu     float64 // seconds of processor time so far
	traffic forward.Traffic
	load    protocol.Load
}

func newMeter(limits Limits) (*meter, error) {
	p, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("measure the load: %w", err)
	}
	m := &meter{limits: limits, process: p}
	m.load = m.withLimits(protocol.Load{})
	return m, nil
}

// latest returns the load as last measured.
func (m *meter) latest() protocol.Load {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load
}

// measure takes the load since the last measurement.
func (m *meter) measure(now time.Time, traffic forward.Traffic, participants int) protocol.Load {
	cpu := m.processorSeconds()
	m.mu.Lock()
	defer m.mu.Unlock()
	seconds := now.Sub(m.at).Seconds()
	load := m.load
	load.Participants = participants
	if !m.at.IsZero() && seconds >= 0.1 { // asked twice at once: keep the rates
		packets := traffic.PacketsIn + traffic.PacketsOut - m.traffic.PacketsIn - m.traffic.PacketsOut
		busy := min(1, max(0, (cpu-m.cpu)/seconds/float64(runtime.GOMAXPROCS(0))))
		load.CPU = smoothed(load.CPU, busy, seconds)
		load.PacketsPerSecond = float64(packets) / seconds
		load.EgressBPS = float64(traffic.BytesOut-m.traffic.BytesOut) * 8 / seconds
	}
	if m.at.IsZero() || seconds >= 0.1 {
		m.at, m.cpu, m.traffic = now, cpu, traffic
	}
	m.load = m.withLimits(load)
	return m.load
}

// smoothed takes a sample over some seconds into the average.
func smoothed(average, sample, seconds float64) float64 {
	return average + (sample-average)*(1-math.Exp(-seconds/smooth.Seconds()))
}

func (m *meter) withLimits(l protocol.Load) protocol.Load {
	l.MaxParticipants = m.limits.Participants
	l.MaxPackets = m.limits.PacketsPerSecond
	l.MaxEgressBPS = m.limits.EgressBPS
	return l
}

// processorSeconds is the processor time that this process has used; 0 where
// that cannot be told.
func (m *meter) processorSeconds() float64 {
	t, err := m.process.Times()
	if err != nil {
		return 0
	}
	return t.User + t.System
}
