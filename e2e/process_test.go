//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// maxSaid bounds what is kept of a process's standard error.
const maxSaid = 256 << 10

// A process is a running causeway.
type process struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	lines  chan string // of standard output, as it comes
	mu     sync.Mutex
	log    []string // all lines of standard output so far
	said   words    // standard error
	ended  chan struct{}
	status int // exit status, -1 after a signal; read it once ended is closed
}

// words keeps the end of what is written to it.
type words struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if over := w.text.Len() + len(p) - maxSaid; over > 0 {
		w.text.Next(over)
	}
	return w.text.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// start runs causeway with args until the test ends.
func start(t testing.TB, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(program, args...), lines: make(chan string, 10_000), ended: make(chan struct{})}
	p.cmd.Stderr = &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	go func() {
		// Pdeathsig is about the thread that started the process, so that has
		// to live as long as this.
		runtime.LockOSThread()
		defer close(p.ended)
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		for scan := bufio.NewScanner(out); scan.Scan(); {
			p.mu.Lock()
			p.log = append(p.log, scan.Text())
			p.mu.Unlock()
			p.lines <- scan.Text()
		}
		close(p.lines)
		_ = p.cmd.Wait() // the status tells
		p.status = p.cmd.ProcessState.ExitCode()
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.finish)
	return p
}

// finish ends the process with the test and shows what it said if that failed.
func (p *process) finish() {
	_ = p.cmd.Process.Signal(os.Interrupt) // fails when it has ended
	select {
	case <-p.ended:
	case <-time.After(15 * time.Second):
		p.t.Errorf("%s does not end", p.name)
		_ = p.cmd.Process.Signal(syscall.SIGABRT) // shows its goroutines
		<-p.ended
	}
	if p.t.Failed() {
		p.t.Logf("%s said:\n%s", p.name, p.said.String())
	}
}

// interrupt ends the process as Ctrl-C does and returns its exit status.
func (p *process) interrupt() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	return p.wait()
}

// terminate ends the process as a service manager does, and returns its exit
// status.
func (p *process) terminate() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	return p.wait()
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	<-p.ended
}

// wait waits for the end and returns the exit status.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.status
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.name)
		return -1
	}
}

// line waits for a line of standard output that holds all of parts.
func (p *process) line(parts ...string) string {
	p.t.Helper()
	enough := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				<-p.ended
				p.t.Fatalf("%s ended with status %d before it printed %q: %s", p.name, p.status, parts, p.said.String())
			}
			if holdsAll(line, parts) {
				return line
			}
		case <-enough:
			p.t.Fatalf("%s never printed %q", p.name, parts)
		}
	}
}

func holdsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// all are the lines of standard output so far.
func (p *process) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

// memory reads a line of /proc/PID/status, such as VmRSS or VmHWM, in bytes.
func (p *process) memory(field string) int64 {
	p.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kib << 10
		}
	}
	p.t.Fatalf("%s has no %s", p.name, field)
	return 0
}

// command runs causeway with args to its end.
func command(t testing.TB, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	p := start(t, args[0], args...)
	var out strings.Builder
	enough := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return p.wait(), out.String(), p.said.String()
			}
			out.WriteString(line + "\n")
		case <-enough:
			t.Fatalf("causeway %s does not end", strings.Join(args, " "))
		}
	}
}

// decode reads JSON.
func decode[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return v
}
