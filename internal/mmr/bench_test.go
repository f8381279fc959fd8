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
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

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

// childEnv holds the bus address for a test binary that is to be a router of
// its own, so that its memory is the router's alone.
const childEnv = "CAUSEWAY_MMR_CHILD"

// onlyCount is the line that asks for a footprint without a collection.
const onlyCount = "count"

// footprint is what such a router tells of itself, in bytes.
type footprint struct {
	Base       string // of its control channel
	Live       uint64 // heap after a collection
	Stack      uint64
	RSS        uint64
	Goroutines uint64
	CPU        float64 // seconds so far
	Mallocs    uint64  // so far
	Out        uint64  // RTP packets sent so far
}

// childMain is a router in a process of its own: it prints its footprint once
// when it runs, and again for every line that it reads.
func childMain(busURL string) int {
	conn, err := bus.DialOutside(bus.OutsideConfig{Name: "mmr", URLs: []string{busURL}, Log: quiet()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cfg := DefaultConfig()
	cfg.MediaListen, cfg.PublicAddresses = "127.0.0.1:0", []string{"127.0.0.1"}
	s, err := New(cfg, Deps{Bus: conn, Log: quiet()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	server := httptest.NewServer(s.Handler())
	for lines := bufio.NewScanner(os.Stdin); ; {
		if lines.Text() != onlyCount {
			for range 4 { // a collection halves a stack at most
				runtime.GC()
			}
			debug.FreeOSMemory()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		_ = json.NewEncoder(os.Stdout).Encode(footprint{
			Base: strings.Replace(server.URL, "http", "ws", 1),
			Live: m.HeapAlloc, Stack: m.StackInuse, RSS: residentSet(), Goroutines: uint64(runtime.NumGoroutine()),
			CPU: s.load.ProcessorSeconds(), Mallocs: m.Mallocs, Out: s.router.Traffic().PacketsOut,
		})
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

// residentSet reads the process's resident set; 0 where that cannot be told.
func residentSet() uint64 {
	data, _ := os.ReadFile("/proc/self/statm")
	var size, resident uint64
	_, _ = fmt.Sscan(string(data), &size, &resident)
	return resident * uint64(os.Getpagesize())
}

// BenchmarkIdleParticipants reports what 100 idle participants with audio and
// video connections, with and without a control channel, cost a router, each:
// over a router that runs, and over one on which some are already. One
// iteration says all: -benchtime 1x.
func BenchmarkIdleParticipants(b *testing.B) {
	for _, control := range []bool{false, true} {
		b.Run(fmt.Sprintf("control=%v", control), func(b *testing.B) { benchmarkIdle(b, control) })
	}
}

func benchmarkIdle(b *testing.B, control bool) {
	const people, warm = 100, 10
	for b.Loop() {
		w, measure, count := newChild(b)
		join := func(from, to int) footprint {
			for i := from; i < to; i++ {
				x := wish{kinds: []protocol.MediaKind{protocol.Audio, protocol.Video}, videoSlots: 9}
				if !control {
					w.enter("m1", fmt.Sprint("p", i), x).waitReady()
					continue
				}
				c := w.join("m1", fmt.Sprint("p", i), x)
				w.pump(3*time.Second, func(n int) { c.say(protocol.Ping{N: int64(n)}) })
			}
			// A handshake's state is kept some seconds for lost last flights.
			<-time.After(12 * time.Second)
			return measure()
		}
		empty := measure()
		first := join(0, warm)
		last := join(warm, warm+people)
		per := func(name string, from footprint, n uint64, value func(footprint) uint64) {
			b.ReportMetric(float64(value(last)-value(from))/float64(n), name)
		}
		rss := func(f footprint) uint64 { return f.RSS >> 10 }
		per("KiB-RSS/participant", first, people, rss)
		per("KiB-RSS-over-empty/participant", empty, warm+people, rss)
		per("KiB-live-heap/participant", first, people, func(f footprint) uint64 { return f.Live >> 10 })
		per("KiB-stack/participant", first, people, func(f footprint) uint64 { return f.Stack >> 10 })
		before, start := count(), time.Now()
		<-time.After(10 * time.Second)
		b.ReportMetric((count().CPU-before.CPU)/time.Since(start).Seconds()*100, "%-of-a-core")
		per("goroutines/participant", first, people, func(f footprint) uint64 { return f.Goroutines })
	}
}

// BenchmarkFanOut reports what a forwarded packet costs a router, encryption
// and sending included: one publisher (110 pictures' and 50 sounds' packets a
// second) to many subscribers on real connections over loopback.
func BenchmarkFanOut(b *testing.B) {
	for _, takers := range []int{10, 100} {
		b.Run(fmt.Sprintf("takers=%d", takers), func(b *testing.B) { benchmarkFanOut(b, takers) })
	}
}

func benchmarkFanOut(b *testing.B, takers int) {
	const measured = 6 * time.Second
	both := []protocol.MediaKind{protocol.Audio, protocol.Video}
	for b.Loop() {
		w, _, count := newChild(b)
		ada := w.join("m1", "ada", wish{kinds: both})
		for i := range takers {
			c := w.join("m1", fmt.Sprint("p", i), wish{kinds: both, discardMedia: true})
			c.say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: "ada", MaxHeight: 720}}})
			w.pump(3*time.Second, func(n int) { c.say(protocol.Ping{N: int64(n)}) })
		}
		ada.talk(20)
		k, seq := ada.conns[protocol.Video], uint16(0)
		w.pump(time.Second/27, func(n int) { // 27 frames of four packets
			for i := range 4 {
				payload := vp8Frame(n, n%27 == 0 && i == 0, 720, 1000)
				if i > 0 {
					payload[0] &^= 0x10 // not the start of the frame
				}
				seq++
				k.send(rtpPacket(96, seq, uint32(n)*3333, cameraSSRC, 9, "0", payload))
			}
		})
		<-time.After(4 * time.Second) // for the handshakes' ends
		before, start := count(), time.Now()
		<-time.After(measured)
		after := count()
		packets := float64(after.Out - before.Out)
		b.ReportMetric((after.CPU-before.CPU)*1e6/packets, "µs-CPU/packet")
		b.ReportMetric(float64(after.Mallocs-before.Mallocs)/packets, "mallocs/packet")
		b.ReportMetric(packets/time.Since(start).Seconds(), "packets/s")
	}
}

// newChild starts a router in a process of its own and returns a world around
// it.
func newChild(b *testing.B) (w *world, measure, count func() footprint) {
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
	if !nats.ReadyForConnections(10 * time.Second) {
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
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+nats.ClientURL())
	child.Stderr = os.Stderr
	in, errIn := child.StdinPipe()
	out, errOut := child.StdoutPipe()
	if errIn != nil || errOut != nil {
		b.Fatal(errIn, errOut)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = child.Wait() })
	decoder := json.NewDecoder(out)
	read := func() footprint {
		var f footprint
		if err := decoder.Decode(&f); err != nil {
			b.Fatal(err)
		}
		return f
	}
	w.base = read().Base
	w.until("admission", func() bool {
		_ = bus.Publish(w.bus, protocol.SubjectKeys, w.signer.Public())
		_, err := w.admit(protocol.AdmitRequest{Token: w.token("m0", "nobody", protocol.Guest), Offers: goodOffers(b)})
		return err == nil
	})
	ask := func(line string) func() footprint {
		return func() footprint {
			_, _ = in.Write([]byte(line + "\n"))
			return read()
		}
	}
	return w, ask(""), ask(onlyCount)
}
