package peer

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sender holds what sendmmsg sends.
type sender struct {
	messages []mmsghdr
	iovecs   []unix.Iovec
	names    []unix.RawSockaddrInet6
	control  [][controlSize]byte
	v6       bool
	tos      uint8            // of the socket
	attempt  func(fd uintptr) // made once, so that sending does not allocate
	from, to int              // messages to send
	n        int
	errno    syscall.Errno
}

func (s *sender) init(batch int, v6 bool, tos uint8) {
	*s = sender{
		messages: make([]mmsghdr, batch),
		names:    make([]unix.RawSockaddrInet6, batch),
		control:  make([][controlSize]byte, batch),
		v6:       v6, tos: tos,
	}
	for i := range s.messages {
		s.messages[i].hdr.Name = (*byte)(unsafe.Pointer(&s.names[i]))
	}
	s.attempt = s.send
}

// send hands messages to the kernel. As in recvmmsg, the scheduler is not told.
func (s *sender) send(fd uintptr) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd,
			uintptr(unsafe.Pointer(&s.messages[s.from])), uintptr(s.to-s.from), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		s.n, s.errno = int(n), errno
		return // never wait for room: media that is late is of no use
	}
}

// write sends the groups, a batch of them at a time.
func (k *kernelSocket) write(o *outbox, failed func(*group, int, error)) {
	for at := 0; at < len(o.groups); at += len(k.out.messages) {
		k.writeBatch(o, o.groups[at:min(at+len(k.out.messages), len(o.groups))], failed)
	}
}

func (k *kernelSocket) writeBatch(o *outbox, groups []group, failed func(*group, int, error)) {
	s := &k.out
	vectors := 0
	for i := range groups {
		vectors += groups[i].count
	}
	if vectors > len(s.iovecs) { // before any is pointed to
		s.iovecs = make([]unix.Iovec, max(16, vectors+vectors/2))
	}
	vectors = 0
	for i := range groups {
		vectors = s.prepare(i, o, &groups[i], vectors)
	}
	for s.from, s.to = 0, len(groups); s.from < s.to; {
		err := k.send(s)
		if err == nil {
			continue
		}
		g := &groups[s.from]
		switch {
		case g.count > 1 && s.errno == unix.EIO: // this kind of route never offloads
			k.gso = false
			k.writeSingly(o, g, failed)
		case g.count > 1 && s.errno == unix.EINVAL: // too large for this path's MTU
			g.conn.lone = true
			k.writeSingly(o, g, failed)
		default:
			failed(g, g.count, err)
		}
		s.from++
		if isFull(s.errno) {
			for ; s.from < s.to; s.from++ {
				failed(&groups[s.from], groups[s.from].count, err)
			}
		}
	}
}

// send hands over what is prepared from s.from on, as much as the kernel
// takes; if it takes nothing, the error is about the first message.
func (k *kernelSocket) send(s *sender) error {
	if err := k.raw.Control(s.attempt); err != nil {
		return err
	}
	if s.errno != 0 {
		return s.errno
	}
	s.from += s.n // at least 1
	return nil
}

// isFull tells of an error that the next message would meet, too.
func isFull(errno syscall.Errno) bool { return errno == unix.EAGAIN || errno == unix.ENOBUFS }

// writeSingly sends the datagrams of a group without offload, fragmented if
// need be, when the kernel refuses to segment them.
func (k *kernelSocket) writeSingly(o *outbox, g *group, failed func(*group, int, error)) {
	s := &k.lone
	if s.messages == nil {
		s.init(1, k.v6, k.tos)
		s.iovecs = make([]unix.Iovec, 1)
	}
	one := *g
	one.count = 1
	for j := g.first; j >= 0; j = o.slots[j].next {
		one.first = j
		s.prepare(0, o, &one, 0)
		s.from, s.to = 0, 1
		if err := k.send(s); err != nil {
			failed(g, 1, err)
		}
	}
}

// prepare fills message i with a group, whose vectors begin at v, and returns
// where the next group's begin. Datagrams that lie one behind the other, as
// those of a picture do, need one vector.
func (s *sender) prepare(i int, o *outbox, g *group, v int) int {
	h := &s.messages[i].hdr
	h.Iov = &s.iovecs[v]
	first, end := v, -1
	for j, n := g.first, g.count; n > 0; j, n = o.slots[j].next, n-1 {
		if d := &o.slots[j]; d.at == end {
			s.iovecs[v-1].SetLen(int(s.iovecs[v-1].Len) + d.n)
		} else {
			s.iovecs[v].Base = &o.bytes[d.at]
			s.iovecs[v].SetLen(d.n)
			v++
		}
		end = o.slots[j].at + o.slots[j].n
	}
	h.SetIovlen(v - first)
	h.Namelen = putSockaddr(&s.names[i], g.to.remote, s.v6)
	control := putControl(s.control[i][:0], g, s.v6, s.tos)
	h.Control = nil
	if len(control) > 0 {
		h.Control = &s.control[i][0]
	}
	h.SetControllen(len(control))
	return v
}
