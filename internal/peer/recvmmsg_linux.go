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

// A receiver holds what recvmmsg fills.
type receiver struct {
	messages []mmsghdr
	iovecs   []unix.Iovec
	names    []unix.RawSockaddrInet6 // large enough for either family
	control  [][controlSize]byte
	buffers  [][maxDatagram]byte
	out      []datagram
	attempt  func(fd uintptr) bool // made once, so that reading does not allocate
	glance   func(fd uintptr) bool
	n        int
	errno    syscall.Errno
}

func (r *receiver) init(batch int) {
	*r = receiver{
		messages: make([]mmsghdr, batch),
		iovecs:   make([]unix.Iovec, batch),
		names:    make([]unix.RawSockaddrInet6, batch),
		control:  make([][controlSize]byte, batch),
		buffers:  make([][maxDatagram]byte, batch),
		out:      make([]datagram, 0, batch),
	}
	for i := range r.messages {
		r.iovecs[i].Base = &r.buffers[i][0]
		r.iovecs[i].SetLen(maxDatagram)
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
		m := &r.messages[i]
		if m.hdr.Flags&unix.MSG_TRUNC != 0 {
			continue
		}
		r.out = append(r.out, datagram{
			data:   r.buffers[i][:m.n],
			remote: sockaddr(&r.names[i]),
			local:  packetInfo(r.control[i][:m.hdr.Controllen]),
		})
	}
	return r.out, nil
}
