package peer

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A waker is an epoll set that holds one socket. The runtime's poller watches
// the set, so that whether the socket's arrivals wake anybody can be changed
// without the poller's doing (epoll(7): a set within a set).
type waker struct {
	file   *os.File // the set
	raw    syscall.RawConn
	socket int
	muted  bool
	never  func(uintptr) bool
}

func newWaker(socket int) (*waker, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	_ = unix.SetNonblock(fd, true) // which tells package os to let the poller watch it
	w := &waker{file: os.NewFile(uintptr(fd), "media socket's arrivals"), socket: socket, never: func(uintptr) bool { return false }}
	if w.raw, err = w.file.SyscallConn(); err == nil {
		err = w.control(unix.EPOLL_CTL_ADD, unix.EPOLLIN)
	}
	if err == nil { // fails where the poller does not watch it
		err = w.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = w.file.Close()
		return nil, err
	}
	return w, nil
}

func (w *waker) control(op int, events uint32) (err error) {
	cerr := w.raw.Control(func(fd uintptr) {
		if err = unix.EpollCtl(int(fd), op, w.socket, &unix.EpollEvent{Events: events}); err != nil {
			err = fmt.Errorf("epoll_ctl: %w", err)
		}
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// mute has arrivals wake nobody from now on, or again.
func (w *waker) mute(muted bool) error {
	if muted == w.muted {
		return nil
	}
	events := uint32(unix.EPOLLIN)
	if muted {
		events = 0
	}
	err := w.control(unix.EPOLL_CTL_MOD, events)
	if err == nil {
		w.muted = muted
	}
	return err
}

// until waits for the deadline, or until the set is closed.
func (w *waker) until() { _ = w.raw.Read(w.never) }
