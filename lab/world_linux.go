package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Addresses of the hosts of every World.
var addresses = map[string]string{
	"web": "203.0.113.10", "zone": "203.0.113.20", "mmr": "203.0.113.30", "tunnel": "203.0.113.40", "tunnel2": "203.0.113.41",
	"client": "10.77.0.2", "proxy": "10.77.0.3",
}

// Hosts that a World has only when it is asked for them.
var extras = map[string]string{"office": "10.77.0.20"}

// Servers of the sites, see AddSite, and of the office.
var elsewhere = map[string]string{
	"zone.europe.test": "198.18.2.20", "mmr.europe.test": "198.18.2.30",
	"zone.asia.test": "198.18.3.20", "mmr.asia.test": "198.18.3.30",
	"zone.office.test": "10.77.0.20", "mmr.office.test": "10.77.0.30",
}

// names resolve the same in every host.
var names = map[string]string{
	"web": "web.causeway.test", "zone": "zone.causeway.test", "mmr": "mmr.causeway.test", "tunnel": "tunnel.causeway.test",
	"tunnel2": "tunnel2.causeway.test",
	"proxy":   "proxy.corp.test",
}

// A World is one small internet of network namespaces.
type World struct {
	t      *testing.T
	prefix string
	dir    string // logs and files of the processes
}

// NewWorld sets up the namespaces; the test's end takes them down.
func NewWorld(t *testing.T) *World {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the lab sets up network namespaces: run it as root")
	}
	w := &World{t: t, prefix: fmt.Sprintf("cw%d-", os.Getpid()), dir: t.TempDir()}
	// squid leaves root behind and must still read its files.
	w.must(os.Chmod(filepath.Dir(w.dir), 0o755))
	t.Cleanup(w.down)
	w.up()
	return w
}

// host is the namespace of a host.
func (w *World) host(name string) string { return w.prefix + name }

func (w *World) up() {
	w.t.Helper()
	w.ip("netns", "add", w.host("gateway"))
	w.in("gateway", "sysctl", "-qw", "net.ipv4.ip_forward=1")
	for _, site := range []struct{ bridge, address string }{{"internet", "203.0.113.1/24"}, {"site", "10.77.0.1/24"}} {
		w.in("gateway", "ip", "link", "add", site.bridge, "type", "bridge")
		w.in("gateway", "ip", "addr", "add", site.address, "dev", site.bridge)
		w.in("gateway", "ip", "link", "set", site.bridge, "up")
	}
	w.in("gateway", "ip", "link", "set", "lo", "up")
	for name, address := range addresses {
		w.addHost(name, address)
	}
	w.Apply(Open)
}

// AddHost adds one of the extras.
func (w *World) AddHost(name string) {
	w.t.Helper()
	w.t.Cleanup(func() { w.removeHost(name) })
	w.addHost(name, extras[name])
}

// etc gives a host names to resolve.
func (w *World) etc(name string) {
	w.t.Helper()
	dir := filepath.Join("/etc/netns", w.host(name))
	w.must(os.MkdirAll(dir, 0o755))
	w.must(os.WriteFile(filepath.Join(dir, "hosts"), []byte(w.hostsFile()), 0o644))
	w.must(os.WriteFile(filepath.Join(dir, "resolv.conf"), nil, 0o644))
}

func (w *World) addHost(name, address string) {
	w.t.Helper()
	bridge, gateway := "internet", "203.0.113.1"
	if strings.HasPrefix(address, "10.77.") {
		bridge, gateway = "site", "10.77.0.1"
	}
	w.ip("netns", "add", w.host(name))
	w.in("gateway", "ip", "link", "add", "to-"+name, "type", "veth", "peer", "name", "eth0", "netns", w.host(name))
	w.in("gateway", "ip", "link", "set", "to-"+name, "master", bridge, "up")
	w.in(name, "ip", "link", "set", "lo", "up")
	w.in(name, "ip", "addr", "add", address+"/24", "dev", "eth0")
	w.in(name, "ip", "link", "set", "eth0", "up")
	w.in(name, "ip", "route", "add", "default", "via", gateway)
	w.etc(name)
}

func (w *World) hostsFile() string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n")
	for host, name := range names {
		fmt.Fprintf(&b, "%s %s\n", addresses[host], name)
	}
	for name, address := range elsewhere {
		fmt.Fprintf(&b, "%s %s\n", address, name)
	}
	return b.String()
}

// down removes the namespaces; the processes in them were ended before.
func (w *World) down() {
	for _, name := range append([]string{"gateway"}, hostNames()...) {
		w.removeHost(name)
	}
}

func (w *World) removeHost(name string) {
	_ = exec.Command("ip", "netns", "del", w.host(name)).Run()
	_ = os.RemoveAll(filepath.Join("/etc/netns", w.host(name)))
}

func hostNames() []string {
	var out []string
	for name := range addresses {
		out = append(out, name)
	}
	return out
}

func (w *World) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *World) ip(args ...string) {
	w.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		w.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// in runs a command in a host and fails the test if it fails.
func (w *World) in(host string, args ...string) string {
	w.t.Helper()
	out, err := w.command(context.Background(), host, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %s: %v: %s", host, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (w *World) command(ctx context.Context, host string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", w.host(host)}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// A Process runs in a host until the test ends or it is killed.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	log  *logBuffer
}

// Start starts a process; what it prints is shown when the test fails.
func (w *World) Start(host string, args ...string) *Process {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &Process{cmd: w.command(ctx, host, args...), done: make(chan struct{}), log: &logBuffer{grown: make(chan struct{})}}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT) } // with SIGTERM servers drain first
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	w.must(p.cmd.Start())
	go func() { defer close(p.done); _ = p.cmd.Wait(); p.log.end() }()
	w.t.Cleanup(func() {
		cancel()
		<-p.done
		if w.t.Failed() {
			w.t.Logf("%s: %s printed:\n%s", host, strings.Join(args, " "), p.log.String())
		}
	})
	return p
}

// Kill kills a process without warning and waits for its end.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// Until waits until the process has printed text, and reports whether it did
// before it ended or the time was over.
func (p *Process) Until(text string, limit time.Duration) bool {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		found, grown := p.log.find(text)
		if found {
			return true
		}
		select {
		case <-grown:
		case <-timeout.C:
			return false
		case <-p.done:
			found, _ = p.log.find(text)
			return found
		}
	}
}

// logBuffer keeps what a process printed.
type logBuffer struct {
	mu    sync.Mutex
	b     bytes.Buffer
	grown chan struct{} // closed and replaced when b grows
}

// Write keeps p.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Write(p)
	close(l.grown)
	l.grown = make(chan struct{})
	return len(p), nil
}

func (l *logBuffer) end() { _, _ = l.Write(nil) }

// String is all that was printed.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) find(text string) (bool, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.b.Bytes(), []byte(text)), l.grown
}
