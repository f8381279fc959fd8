package loadtest

import (
	"fmt"

	gopsutil "github.com/shirou/gopsutil/v4/process"
)

// process is the server's, as this machine shows it.
type process struct{ p *gopsutil.Process }

func findProcess(pid int) (*process, error) {
	p, err := gopsutil.NewProcess(int32(pid))
	if err == nil {
		_, err = p.Times()
	}
	if err != nil {
		return nil, fmt.Errorf("look at process %d: %w; it must run on this machine, and belong to you", pid, err)
	}
	return &process{p}, nil
}

// look gives the processor time used so far, in seconds, and the resident
// memory in MB; zero where they cannot be read any more.
func (p *process) look() (seconds, residentMB float64) {
	if t, err := p.p.Times(); err == nil {
		seconds = t.User + t.System
	}
	if m, err := p.p.MemoryInfo(); err == nil {
		residentMB = float64(m.RSS) / 1e6
	}
	return seconds, residentMB
}
