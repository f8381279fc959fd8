package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lineQueue is how many packets are on their way in one direction of a line;
// more are lost.
const lineQueue = 4096

// AddSite adds a place of its own, a host that is joined to the others by a
// line with a round trip. Its addresses are first.2, first.20 and so on, where
// first is the first three numbers of its network.
func (w *World) AddSite(name, first string, roundTrip time.Duration) {
	w.t.Helper()
	w.ip("netns", "add", w.host(name))
	w.t.Cleanup(func() { w.removeHost(name) })
	w.etc(name)
	line := "line-" + name
	here, there := w.openTUN("gateway", line), w.openTUN(name, "line")
	w.carry(here, there, roundTrip/2)
	w.in("gateway", "ip", "link", "set", line, "up")
	w.in("gateway", "ip", "route", "add", first+".0/24", "dev", line)
	w.in(name, "ip", "link", "set", "lo", "up")
	w.in(name, "ip", "link", "set", "line", "up")
	for _, host := range []string{".2/32", ".20/32", ".30/32"} {
		w.in(name, "ip", "addr", "add", first+host, "dev", "line")
	}
	w.in(name, "ip", "route", "add", "default", "dev", "line", "src", first+".2")
	for _, end := range []string{"iifname", "oifname"} { // Apply restricts the client's site alone
		w.in("gateway", "nft", "insert", "rule", "ip", "lab", "forward", end, line, "accept")
	}
}

// openTUN makes a network interface in a host whose packets are read from and
// written to the file.
func (w *World) openTUN(host, name string) *os.File {
	w.t.Helper()
	var fd int
	err := w.inside(host, func() (err error) {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	})
	if err != nil {
		w.t.Fatalf("%s: make interface %s: %v", host, name, err)
	}
	return os.NewFile(uintptr(fd), name)
}

// inside calls f on a thread that is in a host's network.
func (w *World) inside(host string, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread() // only after the thread is back: processes die with the thread that started them
	home, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(home) }()
	there, err := unix.Open(filepath.Join("/run/netns", w.host(host)), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(there) }()
	if err := unix.Setns(there, unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = f()
	return errors.Join(err, unix.Setns(home, unix.CLONE_NEWNET))
}

// carry carries packets both ways between two interfaces, each delayed, until
// the test ends.
func (w *World) carry(a, b *os.File, delay time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	for _, way := range [][2]*os.File{{a, b}, {b, a}} {
		packets := make(chan delayed, lineQueue)
		tasks.Go(func() { takeIn(way[0], packets, delay) })
		tasks.Go(func() { letOut(ctx, way[1], packets) })
	}
	w.t.Cleanup(func() {
		cancel()
		_, _ = a.Close(), b.Close() // ends those who read
		tasks.Wait()
	})
}

// A delayed packet is due at a time.
type delayed struct {
	due  time.Time
	data []byte
}

// takeIn reads packets until the file is closed.
func takeIn(from *os.File, packets chan<- delayed, delay time.Duration) {
	defer close(packets)
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		select {
		case packets <- delayed{time.Now().Add(delay), append([]byte(nil), buffer[:n]...)}:
		default: // lost, as in any full queue
		}
	}
}

// letOut writes packets when they are due.
func letOut(ctx context.Context, to *os.File, packets <-chan delayed) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for p := range packets {
		timer.Reset(time.Until(p.due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		_, _ = to.Write(p.data) // fails while the other side is down
	}
}
