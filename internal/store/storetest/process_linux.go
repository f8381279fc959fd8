package storetest

import "syscall"

// processAttributes makes a process run as an account and end with the thread
// that started it, so that tests that crash leave nothing behind.
func processAttributes(as *account) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	if as != nil {
		a.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid}
	}
	return a
}
