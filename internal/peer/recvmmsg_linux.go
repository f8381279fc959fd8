package peer

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// controlSize holds any control messages that we read or write: packet info
// of either family, type of service, segment size.
const controlSize = 96

// maxCoalesced is the most that the kernel joins into one message (UDP_GRO).
const maxCoalesced = 64 << 10

// A receiver holds what recvmmsg fills.
type receiver struct {
	messages []mmsghdr
	iovecs   []unix.Iovec
	names    []unix.RawSockaddrInet6 // large enough for either family
	control  [][controlSize]byte
	buffers  [][]byte
	out      []datagram
	attempt  func(fd uintptr) bool // made once, so that reading does not allocate
	glance   func(fd uintptr) bool
	n        int
	errno    syscall.Errno
}

// init makes room for a batch of messages, each of up to so many bytes.
func (r *receiver) init(batch, size int) {
	*r = receiver{
		messages: make([]mmsghdr, batch),
		iovecs:   make([]unix.Iovec, batch),
		names:    make([]unix.RawSockaddrInet6, batch),
		control:  make([][controlSize]byte, batch),
		buffers:  make([][]byte, batch),
		out:      make([]datagram, 0, batch),
	}
	for i := range r.messages {
		r.buffers[i] = make([]byte, size)
		r.iovecs[i].Base = &r.buffers[i][0]
		r.iovecs[i].SetLen(size)
		h := &r.messages[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.iovecs[i]
		h.SetIovlen(1)
		h.Control = &r.control[i][0]
	}
	r.attempt = r.receive
	r.glance = func(fd uintptr) bool { r.receive(fd); return true }
}

func (r *receiver) receive(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&r.messages[0])), uintptr(len(r.messages)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		r.n, r.errno = int(n), errno
		return errno != unix.EAGAIN
	}
}

func (k *kernelSocket) read() ([]datagram, error) { return k.readWith(k.in.attempt) }

func (k *kernelSocket) poll() []datagram {
	in, err := k.readWith(k.in.glance)
	if err != nil {
		return nil
	}
	return in
}

func (k *kernelSocket) readWith(attempt func(fd uintptr) bool) ([]datagram, error) {
	r := &k.in
	for i := range r.messages { // lengths are in and out
		h := &r.messages[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSize)
	}
	if err := k.raw.Read(attempt); err != nil {
		return nil, err
	}
	if r.errno != 0 {
		return nil, r.errno
	}
	r.out = r.out[:0]
	for i := range r.n {
		r.split(i)
	}
	return r.out, nil
}

// split appends the datagrams of message i: all are of the size that the
// kernel tells, but for the last.
func (r *receiver) split(i int) {
	m := &r.messages[i]
	if m.hdr.Flags&unix.MSG_TRUNC != 0 {
		return
	}
	d := datagram{remote: sockaddr(&r.names[i])}
	var size int
	d.local, size = parseControl(r.control[i][:m.hdr.Controllen])
	all := r.buffers[i][:m.n]
	if size <= 0 {
		size = len(all)
	}
	if size > maxDatagram {
		return
	}
	for {
		n := min(size, len(all))
		d.data, all = all[:n:n], all[n:]
		r.out = append(r.out, d)
		if len(all) == 0 {
			return
		}
	}
}
