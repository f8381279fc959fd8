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
	receive  func(fd uintptr)      // made once, as attempt is, so that reading does not allocate
	attempt  func(fd uintptr) bool // of the waker's descriptor
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
	r.receive = r.recvmmsg
}

// recvmmsg reads what is there. It never waits, so the scheduler need not be
// told of the system call: told, it would hand the processor to another thread
// in the middle of a long one.
func (r *receiver) recvmmsg(fd uintptr) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&r.messages[0])), uintptr(len(r.messages)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		r.n, r.errno = int(n), errno
		return
	}
}

func (k *kernelSocket) read() ([]datagram, error) {
	k.prepare()
	if err := k.wake.mute(false); err != nil {
		return nil, err
	}
	if err := k.wake.raw.Read(k.in.attempt); err != nil {
		return nil, err
	}
	return k.received()
}

func (k *kernelSocket) poll() []datagram {
	k.prepare()
	k.glance()
	in, _ := k.received()
	return in
}

func (k *kernelSocket) full() bool { return k.in.errno == 0 && k.in.n == len(k.in.messages) }

// rest waits until the deadline whatever comes, then reads what is there.
func (k *kernelSocket) rest() ([]datagram, bool) {
	if k.wake.mute(true) != nil {
		return nil, false
	}
	k.wake.until()
	return k.poll(), true
}

// glance reads what is there and reports whether that was something, or an
// error other than that it was not.
func (k *kernelSocket) glance() bool {
	r := &k.in
	if err := k.raw.Control(r.receive); err != nil {
		r.n, r.errno = 0, unix.EBADF
	}
	return r.errno != unix.EAGAIN
}

// prepare makes the messages ready to be filled: lengths are in and out.
func (k *kernelSocket) prepare() {
	r := &k.in
	for i := range r.messages {
		h := &r.messages[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSize)
	}
}

// received splits what was read.
func (k *kernelSocket) received() ([]datagram, error) {
	r := &k.in
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
