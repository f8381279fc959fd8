package mmr

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"

	"causeway/internal/bus"
	"causeway/internal/token"
	"causeway/protocol"
)

// BenchmarkJoin measures from the question for admission to the first packet
// of another's sound, on loopback: offers, DTLS, slot, media.
func BenchmarkJoin(b *testing.B) {
	w := newWorld(b, nil)
	ada := w.join("m1", "ada", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	k := ada.conns[protocol.Audio]
	w.pump(5*time.Millisecond, func(n int) { // often, so that waiting for the next one hardly counts
		k.send(rtpPacket(111, uint16(n), uint32(n)*240, micSSRC, 1, "\x94", []byte("sound of ada")))
	})
	w.until("ada is heard", func() bool { return w.server.router.Traffic().PacketsIn > 20 })
	n := 0
	for b.Loop() {
		n++
		c := w.enter("m1", fmt.Sprint("p", n), wish{kinds: []protocol.MediaKind{protocol.Audio, protocol.Video}})
		select {
		case <-c.conns[protocol.Audio].first:
		case <-time.After(patience):
			b.Fatal("no sound")
		}
		b.StopTimer()
		c.hangUp()
		b.StartTimer()
	}
}

// Environment of a test binary that is a process under measurement, or helps
// with one: the address of the bus makes it a router, those of sockets the
// floor, and anything what keeps a processor awake.
const (
	childEnv = "CAUSEWAY_MMR_CHILD"
	floorEnv = "CAUSEWAY_MMR_FLOOR"
	awakeEnv = "CAUSEWAY_MMR_AWAKE"
)

// child is the whole of such a process; false: this is none.
func child() (code int, is bool) {
	if at := os.Getenv(childEnv); at != "" {
		return routerMain(at), true
	}
	if to := os.Getenv(floorEnv); to != "" {
		return floorMain(strings.Fields(to)), true
	}
	if os.Getenv(awakeEnv) != "" {
		return awakeMain(), true
	}
	return 0, false
}

// Lines that a router reads beside the empty one: onlyCount asks for a
// footprint without a collection; beginLook and endLook do so, too, and
// profile what is between them if CAUSEWAY_MMR_PROFILE names a file.
const (
	onlyCount = "count"
	beginLook = "begin"
	endLook   = "end"
)

// footprint is what a router tells of itself, in bytes.
type footprint struct {
	Base       string // of its control channel
	Live       uint64 // heap after a collection
	Stack      uint64
	RSS        uint64
	Goroutines uint64
	CPU        time.Duration // so far
	Mallocs    uint64        // so far
	In, Out    uint64        // RTP packets so far
	Dropped    uint64        // that the kernel did not take
}

// routerMain is a router in a process of its own: it prints its footprint once
// when it runs, and again for every line that it reads.
func routerMain(busURL string) int {
	CollectEarly()
	conn, err := bus.DialOutside(bus.OutsideConfig{Name: "mmr", URLs: []string{busURL}, Log: quiet()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cfg := DefaultConfig()
	cfg.MediaListen, cfg.PublicAddresses, cfg.Limits.Participants = "127.0.0.1:0", []string{"127.0.0.1"}, 0
	s, err := New(cfg, Deps{Bus: conn, Log: quiet()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	server := httptest.NewServer(s.Handler())
	var looks profiles
	for lines := bufio.NewScanner(os.Stdin); ; {
		switch lines.Text() {
		case beginLook:
			looks.begin()
		case endLook:
			looks.end()
		case onlyCount:
		default:
			for range 4 { // a collection halves a stack at most
				runtime.GC()
			}
			debug.FreeOSMemory()
		}
		f := s.footprint()
		f.Base = strings.Replace(server.URL, "http", "ws", 1)
		_ = json.NewEncoder(os.Stdout).Encode(f)
		if !lines.Scan() {
			break
		}
	}
	cancel()
	<-done
	server.Close()
	conn.Close()
	return 0
}

// awakeMain keeps its processor from sleeping until it reads a line, by work
// that gives way to all others (SCHED_IDLE).
func awakeMain() int {
	const schedIdle = 5
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: schedIdle}, 0); err != nil {
		fmt.Fprintln(os.Stderr, "cannot give way to all others:", err)
		return 1
	}
	var over atomic.Bool
	go func() {
		bufio.NewScanner(os.Stdin).Scan()
		over.Store(true)
	}()
	for !over.Load() { // nothing: that is the point
	}
	return 0
}

func (s *Server) footprint() footprint {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t := s.router.Traffic()
	return footprint{
		Live: m.HeapAlloc, Stack: m.StackInuse, RSS: residentSet(), Goroutines: uint64(runtime.NumGoroutine()),
		CPU: processor(), Mallocs: m.Mallocs, In: t.PacketsIn, Out: t.PacketsOut, Dropped: s.port.Stats().SendDropped,
	}
}

// processor is the processor time that this process has used.
func processor() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentSet reads the process's resident set.
func residentSet() uint64 {
	data, _ := os.ReadFile("/proc/self/statm")
	var size, resident uint64
	_, _ = fmt.Sscan(string(data), &size, &resident)
	return resident * uint64(os.Getpagesize())
}

// pin makes the calling thread run on one core alone, or on all that it may
// for -1. Whom it starts does so, too.
func pin(tid, core int) error {
	var set unix.CPUSet
	set.Zero()
	set.Set(core)
	if core < 0 {
		for i := range runtime.NumCPU() {
			set.Set(i)
		}
	}
	return unix.SchedSetaffinity(tid, &set)
}

// pinAll makes this whole process run on one core alone.
func pinAll(b *testing.B, core int) {
	b.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range tasks {
		var tid int
		_, _ = fmt.Sscan(t.Name(), &tid)
		if err := pin(tid, core); err != nil {
			b.Fatalf("the load has to run on core %d: %v", core, err)
		}
	}
}

// start starts this binary once more, on the first core alone and with the
// load, which is this process, on the second.
func start(b *testing.B, env string) (lines func(string), answer func(any)) {
	b.Helper()
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), env, "GOMAXPROCS=1")
	process.Stderr = os.Stderr
	in, errIn := process.StdinPipe()
	out, errOut := process.StdoutPipe()
	if errIn != nil || errOut != nil {
		b.Fatal(errIn, errOut)
	}
	runtime.LockOSThread()
	err := pin(0, 0)
	if err == nil {
		err = process.Start()
	}
	_ = pin(0, 1)
	runtime.UnlockOSThread()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = process.Wait() })
	decoder := json.NewDecoder(out)
	return func(line string) { _, _ = in.Write([]byte(line + "\n")) }, func(to any) {
		if err := decoder.Decode(to); err != nil {
			b.Fatal(err)
		}
	}
}

// newChild starts a router in a process of its own and returns a world around
// it. measure asks for its footprint after a collection, count without.
func newChild(b *testing.B) (w *world, ask func(line string) footprint) {
	b.Helper()
	nats, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		b.Fatal(err)
	}
	nats.Start()
	b.Cleanup(func() {
		nats.Shutdown()
		nats.WaitForShutdown()
	})
	if !nats.ReadyForConnections(patience) {
		b.Fatal("NATS is not ready")
	}
	w = &world{t: b, cfg: DefaultConfig()}
	if w.bus, err = bus.DialOutside(bus.OutsideConfig{Name: "test", URLs: []string{nats.ClientURL()}, Log: quiet()}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.bus.Close)
	if w.signer, err = token.NewSigner(token.NewSeed()); err != nil {
		b.Fatal(err)
	}
	say, answer := start(b, childEnv+"="+nats.ClientURL())
	var first footprint
	answer(&first)
	w.base = first.Base
	w.until("admission", func() bool {
		_ = bus.Publish(w.bus, protocol.SubjectKeys, w.signer.Public())
		_, err := w.admit(protocol.AdmitRequest{Token: w.token("m0", "nobody", protocol.Guest), Offers: goodOffers(b)})
		return err == nil
	})
	return w, func(line string) (f footprint) {
		say(line)
		answer(&f)
		return f
	}
}
