package mmr

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The floor is the least that sending costs here: packets of 1200 bytes are
// encrypted with AES-128-GCM and given to the kernel as sendmmsg takes them,
// four to each of a hundred sockets that are read, each four in one offload.
const (
	floorReceivers = 100
	floorRun       = 4
	floorPacket    = 1200
	floorTag       = 16
	floorBatch     = 64 // messages of a system call
	floorFor       = 2 * time.Second
	pacedFor       = 4 * time.Second
	soundPacket    = 120
)

// floorResult is what the floor's process tells.
type floorResult struct {
	Encrypt, Send, Single time.Duration // of processor time for each packet; Single is Send with runs of one
	// Paced is what a publisher's packets to all cost at their pace: 27 runs and
	// 50 sounds a second, the processor asleep in between.
	Paced time.Duration
}

// mmsg is struct mmsghdr of sendmmsg(2).
type mmsg struct {
	hdr unix.Msghdr
	n   uint32
}

// measureFloor measures in a process of its own, as routers are.
func measureFloor(b *testing.B) (r floorResult) {
	var to []string
	for range floorReceivers {
		sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		_ = sink.SetReadBuffer(1 << 20)
		done := make(chan struct{})
		go func() {
			defer close(done)
			var buf [2048]byte
			for {
				if _, _, err := sink.ReadFromUDPAddrPort(buf[:]); err != nil {
					return
				}
			}
		}()
		b.Cleanup(func() { _ = sink.Close(); <-done })
		to = append(to, sink.LocalAddr().String())
	}
	_, answer := start(b, floorEnv+"="+strings.Join(to, " "))
	answer(&r)
	return r
}

func floorMain(to []string) int {
	f, err := newFloor(to)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	run := floorRun
	per := func(work func() error) time.Duration {
		n, before := 0, processor()
		for used := time.Duration(0); used < floorFor && err == nil; used = processor() - before {
			for range 4 {
				err = work()
				n += floorReceivers * run
			}
		}
		return (processor() - before) / time.Duration(n)
	}
	r := floorResult{Encrypt: per(f.encrypt)}
	r.Send = per(f.both)
	run = 1
	f.shorten(floorPacket + floorTag)
	r.Single = per(f.both)
	if err == nil {
		r.Paced, err = f.paced()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		return 1
	}
	_ = json.NewEncoder(os.Stdout).Encode(r)
	return 0
}

// floor holds the packets of one frame to all receivers.
type floor struct {
	fd       int
	seal     cipher.AEAD
	nonce    [12]byte
	plain    [floorPacket]byte
	out      [][]byte // the run to each receiver
	names    []unix.RawSockaddrInet4
	iovecs   []unix.Iovec
	control  [][]byte
	messages []mmsg
}

func newFloor(to []string) (*floor, error) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		return nil, err
	}
	f := &floor{out: make([][]byte, len(to)), names: make([]unix.RawSockaddrInet4, len(to)), iovecs: make([]unix.Iovec, len(to)), messages: make([]mmsg, len(to))}
	if f.seal, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	if f.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); err != nil {
		return nil, err
	}
	_ = unix.SetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<20)
	for i, a := range to {
		at, err := netip.ParseAddrPort(a)
		if err != nil {
			return nil, err
		}
		f.prepare(i, at)
	}
	return f, nil
}

func (f *floor) prepare(i int, to netip.AddrPort) {
	const size = floorPacket + floorTag
	f.out[i] = make([]byte, floorRun*size)
	f.names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&f.names[i].Port))[:], to.Port())
	f.iovecs[i].Base = &f.out[i][0]
	f.iovecs[i].SetLen(len(f.out[i]))
	control := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], size)
	f.control = append(f.control, control)
	m := &f.messages[i].hdr
	m.Name, m.Namelen = (*byte)(unsafe.Pointer(&f.names[i])), unix.SizeofSockaddrInet4
	m.Iov, m.Control = &f.iovecs[i], &control[0]
	m.SetIovlen(1)
	m.SetControllen(len(control))
}

// encrypt makes the frame.
func (f *floor) encrypt() error {
	const header, size = 12, floorPacket + floorTag
	for _, run := range f.out {
		for at := 0; at < len(run); at += size {
			n := min(size, len(run)-at) - floorTag
			f.nonce[11]++
			copy(run[at:], f.plain[:header])
			f.seal.Seal(run[at+header:at+header], f.nonce[:], f.plain[header:n], f.plain[:header])
		}
	}
	return nil
}

// both makes a frame and sends it.
func (f *floor) both() error { _ = f.encrypt(); return f.send() }

// paced sends pictures and sounds as a publisher's packets come, and returns
// what a packet costs.
func (f *floor) paced() (time.Duration, error) {
	const picture, sound = time.Second / 27, time.Second / 50
	n, before, start := 0, processor(), time.Now()
	nextPicture, nextSound := start, start
	for time.Since(start) < pacedFor {
		size, run := floorRun*(floorPacket+floorTag), floorRun
		if nextSound.Before(nextPicture) {
			size, run = soundPacket, 1
			time.Sleep(time.Until(nextSound))
			nextSound = nextSound.Add(sound)
		} else {
			time.Sleep(time.Until(nextPicture))
			nextPicture = nextPicture.Add(picture)
		}
		f.shorten(size)
		if err := f.both(); err != nil {
			return 0, err
		}
		n += floorReceivers * run
	}
	return (processor() - before) / time.Duration(n), nil
}

// shorten makes all runs so long.
func (f *floor) shorten(size int) {
	for i := range f.out {
		f.out[i] = f.out[i][:size]
		f.iovecs[i].SetLen(size)
	}
}

// send sends the frame.
func (f *floor) send() error {
	for at := 0; at < len(f.messages); {
		n := min(floorBatch, len(f.messages)-at)
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&f.messages[at])), uintptr(n), 0, 0, 0)
		if errno != 0 {
			return fmt.Errorf("sendmmsg: %w", syscall.Errno(errno))
		}
		at += int(sent)
	}
	return nil
}

// profiles writes a processor profile for each time between begin and end, to
// files whose names begin as CAUSEWAY_MMR_PROFILE says, if it does.
type profiles struct {
	n    int
	file *os.File
}

func (p *profiles) begin() {
	name := os.Getenv("CAUSEWAY_MMR_PROFILE")
	if name == "" {
		return
	}
	p.n++
	f, err := os.Create(fmt.Sprintf("%s.%d.%d", name, os.Getpid(), p.n))
	if err == nil {
		p.file, err = f, pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func (p *profiles) end() {
	if p.file != nil {
		pprof.StopCPUProfile()
		_ = p.file.Close()
		p.file = nil
	}
}
