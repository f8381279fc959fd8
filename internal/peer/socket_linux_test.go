package peer

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tosOf reads a datagram and the traffic class octet it carried.
func tosOf(t *testing.T, c *net.UDPConn) (payload []byte, tos int, from netip.AddrPort) {
	t.Helper()
	b, oob := make([]byte, 64<<10), make([]byte, 256)
	n, oobn, _, addr, err := c.ReadMsgUDPAddrPort(b, oob)
	must(t, err)
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	must(t, err)
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TOS:
			tos = int(m.Data[0])
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_TCLASS:
			tos = int(m.Data[0])
		}
	}
	return b[:n], tos, netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// Datagrams leave with the right octets, from the address that the remote
// spoke to, whole and in order, with offload and without, in both families,
// from sockets of one family and of both.
func TestKernelSocket(t *testing.T) {
	for _, test := range []struct{ listen, from, to string }{
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{":0", "127.0.0.5", "127.0.0.1"},
		{":0", "::1", "::1"},
		{"[::1]:0", "::1", "::1"},
		{"0.0.0.0:0", "127.0.0.7", "127.0.0.1"},
	} {
		for i, tos := range []uint8{34 << 2, 34 << 2, 46 << 2, 0} { // pictures', sound's, none
			offload := i != 1
			t.Run(fmt.Sprintf("%s to %s, offload %v, type of service %#x", test.listen, test.to, offload, tos), func(t *testing.T) {
				listen, _ := netip.ParseAddrPort(test.listen)
				s, _, err := openSocket(listen, batchSize, false)
				must(t, err)
				defer func() { must(t, s.close()) }()
				k := s.(*kernelSocket)
				k.gso = k.gso && offload
				checkSocket(t, k, netip.MustParseAddr(test.from), netip.MustParseAddr(test.to), tos)
			})
		}
	}
}

func checkSocket(t *testing.T, k *kernelSocket, local, remote netip.Addr, want uint8) {
	t.Helper()
	receiver, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, 0)))
	must(t, err)
	defer func() { must(t, receiver.Close()) }()
	raw, err := receiver.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
	}))
	o := newOutbox()
	o.segments = k.segments()
	c := &Conn{tos: want}
	to := path{remote: addrPort(receiver.LocalAddr()), local: local}
	sizes := []int{1000, 1000, 1000, 400, 1000, 1, 1500}
	for i, n := range sizes {
		copy(o.buffer(), bytes.Repeat([]byte{byte(i + 1)}, n))
		o.add(c, to, n)
	}
	k.write(&o, func(_ *group, n int, err error) { t.Errorf("%d datagrams failed: %v", n, err) })
	for i, n := range sizes {
		payload, tos, from := tosOf(t, receiver)
		if len(payload) != n || payload[0] != byte(i+1) || payload[n-1] != byte(i+1) {
			t.Errorf("datagram %d has %d bytes of %d, beginning with %d", i, len(payload), n, payload[0])
		}
		if tos != int(want) {
			t.Errorf("datagram %d has type of service %#x", i, tos)
		}
		if from.Addr() != local {
			t.Errorf("datagram %d is from %v", i, from)
		}
	}
	// And back: who sent it, and to which of our addresses.
	_, err = receiver.WriteToUDPAddrPort([]byte("hello"), netip.AddrPortFrom(local, k.addr().Port()))
	must(t, err)
	in, err := k.read()
	must(t, err)
	if len(in) != 1 || string(in[0].data) != "hello" || in[0].remote != to.remote || in[0].local != local {
		t.Errorf("read %+v", in)
	}
}

// Runs of datagrams that the kernel joined are told apart again, with offload
// and without, and what comes from others in between stays theirs.
func TestKernelSocketSplitsRuns(t *testing.T) {
	for _, gro := range []bool{true, false} {
		t.Run(fmt.Sprint("offload ", gro), func(t *testing.T) {
			in, out := openLoopback(t), openLoopback(t)
			if !gro {
				must(t, in.raw.Control(func(fd uintptr) {
					_ = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 0)
				}))
			}
			other := packetConn(t)
			o := newOutbox()
			o.segments = out.segments()
			to := path{remote: in.addr()}
			c, n := &Conn{}, 0
			for range 3 {
				for _, size := range []int{1000, 1000, 1000, 1000, 999, 1200, 1, 1400, 1400} {
					b := o.buffer()
					b[0], b[size-1] = byte(n), byte(n)
					o.add(c, to, size)
					n++
				}
				out.write(&o, func(_ *group, n int, err error) { t.Errorf("%d failed: %v", n, err) })
				o.reset()
				_, err := other.WriteTo([]byte("other"), net.UDPAddrFromAddrPort(in.addr()))
				must(t, err)
			}
			must(t, in.setReadDeadline(time.Now().Add(10*time.Second)))
			got, others := 0, 0
			for got < n || others < 3 {
				list, err := in.read()
				must(t, err)
				for _, d := range list {
					if d.remote == addrPort(other.LocalAddr()) {
						others++
						continue
					}
					if d.data[0] != byte(got) || d.data[len(d.data)-1] != byte(got) || d.remote != out.addr() || cap(d.data) != len(d.data) {
						t.Fatalf("datagram %d from %v has %d bytes and begins with %d", got, d.remote, len(d.data), d.data[0])
					}
					got++
				}
			}
			if list := in.poll(); len(list) != 0 {
				t.Errorf("%d datagrams more", len(list))
			}
		})
	}
}

func TestKernelSocketReadsWithoutAllocation(t *testing.T) {
	in, out := openLoopback(t), openLoopback(t)
	must(t, in.setReadDeadline(time.Now().Add(30*time.Second)))
	o := newOutbox()
	o.segments = out.segments()
	c, to := &Conn{}, path{remote: in.addr()}
	failed := func(_ *group, n int, err error) { t.Errorf("%d failed: %v", n, err) }
	once := func() {
		for range 16 {
			o.buffer()
			o.add(c, to, 1200)
		}
		out.write(&o, failed)
		o.reset()
		for n := 0; n < 16; {
			list, err := in.read()
			if err != nil {
				t.Fatal(err)
			}
			n += len(list)
		}
	}
	once()
	if n := testing.AllocsPerRun(100, once); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func openLoopback(t *testing.T) *kernelSocket {
	t.Helper()
	s, _, err := openSocket(netip.MustParseAddrPort("127.0.0.1:0"), batchSize, false)
	must(t, err)
	t.Cleanup(func() { _ = s.close() })
	return s.(*kernelSocket)
}

// A kernel that refuses to segment gets the datagrams one by one, marked as
// they should be: for all destinations, or for the one whose path is too
// narrow.
func TestKernelSocketWithoutSegmentation(t *testing.T) {
	for _, test := range []struct {
		errno syscall.Errno
		gso   bool // afterwards
	}{{unix.EIO, false}, {unix.EINVAL, true}} {
		t.Run(test.errno.Error(), func(t *testing.T) {
			k := openLoopback(t)
			k.gso = true
			refused := 0
			send := k.out.attempt
			k.out.attempt = func(fd uintptr) {
				h := &k.out.messages[k.out.from].hdr
				if h.Iovlen > 1 { // a run
					refused++
					k.out.n, k.out.errno = 0, test.errno
					return
				}
				to := k.out.to
				k.out.to = k.out.from + 1 // as the kernel stops before the run that follows
				defer func() { k.out.to = to }()
				send(fd)
			}
			receiver := packetConn(t)
			raw, err := receiver.SyscallConn()
			must(t, err)
			must(t, raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1) }))
			a, b := &Conn{tos: 46 << 2}, &Conn{tos: 46 << 2}
			to := path{remote: addrPort(receiver.LocalAddr())}
			o := newOutbox()
			for round := range 2 {
				o.segments = k.segments()
				for i := range 9 {
					o.buffer()[0] = byte(i)
					c := a
					if i == 4 {
						c = b
					}
					o.add(c, to, 100)
				}
				k.write(&o, func(_ *group, n int, err error) { t.Errorf("%d failed: %v", n, err) })
				o.reset()
				seen := map[byte]bool{}
				for range 9 {
					p, tos, _ := tosOf(t, receiver)
					if len(p) != 100 || tos != 46<<2 {
						t.Errorf("round %d: %d bytes, type of service %#x", round, len(p), tos)
					}
					seen[p[0]] = true
				}
				if len(seen) != 9 || refused != 1 {
					t.Errorf("round %d: %d arrived, %d refused", round, len(seen), refused)
				}
			}
			if k.gso != test.gso || a.lone == b.lone && test.gso {
				t.Errorf("offload %v, alone %v and %v", k.gso, a.lone, b.lone)
			}
		})
	}
}

func TestKernelSocketDropsLongDatagrams(t *testing.T) {
	s, _, err := openSocket(netip.MustParseAddrPort("127.0.0.1:0"), batchSize, false)
	must(t, err)
	defer func() { must(t, s.close()) }()
	from := packetConn(t)
	to := net.UDPAddrFromAddrPort(s.addr())
	for _, n := range []int{maxDatagram + 1, maxDatagram, 0} {
		_, err := from.WriteTo(make([]byte, n), to)
		must(t, err)
	}
	must(t, s.setReadDeadline(time.Now().Add(10*time.Second)))
	var sizes []int
	for len(sizes) < 2 {
		in, err := s.read()
		must(t, err)
		for _, d := range in {
			sizes = append(sizes, len(d.data))
		}
	}
	if sizes[0] != maxDatagram || sizes[1] != 0 {
		t.Errorf("read datagrams of %v bytes", sizes)
	}
	must(t, s.setReadDeadline(time.Now()))
	if _, err := s.read(); !isTimeout(err) {
		t.Errorf("after the deadline: %v", err)
	}
}

// A datagram that cannot be sent does not keep others from being sent.
func TestKernelSocketSkipsFailures(t *testing.T) {
	s, _, err := openSocket(netip.MustParseAddrPort("127.0.0.1:0"), batchSize, false)
	must(t, err)
	defer func() { must(t, s.close()) }()
	receiver := packetConn(t)
	good := path{remote: addrPort(receiver.LocalAddr())}
	bad := path{remote: netip.MustParseAddrPort("[2001:db8::1]:9")} // not for an IPv4 socket
	o := newOutbox()
	o.segments = s.segments()
	for i := range 200 {
		c, to := &Conn{}, good
		if i%3 == 1 {
			to = bad
		}
		o.buffer()[0] = byte(i)
		o.add(c, to, 1)
	}
	failures := 0
	s.write(&o, func(g *group, n int, err error) {
		failures += n
		if g.to != bad || !isErrno(err) {
			t.Errorf("to %v: %v", g.to, err)
		}
	})
	if failures != 67 {
		t.Errorf("%d failures", failures)
	}
	for i := range 200 {
		if i%3 != 1 {
			payload, _, _ := tosOf(t, receiver)
			if payload[0] != byte(i) {
				t.Fatalf("got datagram %d, want %d", payload[0], i)
			}
		}
	}
}

func isErrno(err error) bool {
	_, ok := err.(syscall.Errno)
	return ok
}

// A client's address changes so often that its packets reach every socket of
// the port; the connection stays on its shard and goes on.
func TestAddressChangeAcrossShards(t *testing.T) {
	p := listenLoopback(t, 4, nil)
	c, atServer, atClient := connectReady(t, p)
	home := c.server.Shard()
	for i := range 20 {
		before := c.server.Stats().Remote
		c.client.Shard().Run(func() { c.client.dialled.rebind(c.client, time.Now()) })
		// The new socket's first check moves the connection; until then its
		// packets come from an unknown address.
		for c.server.Stats().Remote == before {
			runtime.Gosched()
		}
		send(t, c.client, rtpPacket(uint16(i), 7, 10))
		atServer.until(func() bool { return len(atServer.rtp) == i+1 })
		send(t, c.server, rtpPacket(uint16(i), 7, 10))
		atClient.until(func() bool { return len(atClient.rtp) == i+1 })
	}
	if c.server.Shard() != home {
		t.Error("the connection has left its shard")
	}
}

// A socket that rests is not woken by what comes, and has it afterwards; then
// what comes wakes it again.
func TestKernelSocketRests(t *testing.T) {
	k, other := openLoopback(t), packetConn(t)
	say := func(word string) {
		_, err := other.WriteTo([]byte(word), net.UDPAddrFromAddrPort(k.addr()))
		must(t, err)
	}
	for range 3 {
		say("before")
		until := time.Now().Add(20 * time.Millisecond)
		must(t, k.setReadDeadline(until))
		in, ok := k.rest()
		if !ok || time.Now().Before(until) {
			t.Fatalf("rested: %v, until %v before the deadline", ok, time.Until(until))
		}
		if len(in) != 1 || string(in[0].data) != "before" || k.full() {
			t.Fatalf("came: %v", in)
		}
		must(t, k.setReadDeadline(time.Now().Add(20*time.Second)))
		later := time.AfterFunc(5*time.Millisecond, func() { say("after") })
		in, err := k.read()
		must(t, err)
		if later.Stop() || len(in) != 1 || string(in[0].data) != "after" {
			t.Fatalf("read: %v", in)
		}
	}
}

// What lies one behind the other in the outbox is given to the kernel as one
// piece, and every group as what was queued for it.
func TestVectors(t *testing.T) {
	o := newOutbox()
	o.segments = maxSegments
	a, b := new(Conn), new(Conn)
	const size = 100
	for i, c := range []*Conn{a, a, a, b, a, b, b} {
		buf := o.buffer()[:size]
		for j := range buf {
			buf[j] = byte(i)
		}
		o.add(c, path{remote: sink}, size)
	}
	var s sender
	s.init(2, false, 0)
	s.iovecs = make([]unix.Iovec, len(o.slots))
	at := 0
	for i, want := range []struct {
		vectors int
		marks   []byte
	}{{2, []byte{0, 1, 2, 4}}, {2, []byte{3, 5, 6}}} {
		from := at
		at = s.prepare(i, &o, &o.groups[i], at)
		var sent []byte
		for _, v := range s.iovecs[from:at] {
			sent = append(sent, unsafe.Slice(v.Base, v.Len)...)
		}
		var marks []byte
		for ; len(sent) >= size; sent = sent[size:] {
			marks = append(marks, sent[0])
		}
		if at-from != want.vectors || int(s.messages[i].hdr.Iovlen) != want.vectors || !bytes.Equal(marks, want.marks) || len(sent) > 0 {
			t.Errorf("group %d: %d vectors with datagrams %v", i, at-from, marks)
		}
	}
}
