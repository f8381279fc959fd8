//go:build !linux && !windows

package storetest

import "syscall"

// processAttributes makes a process run as an account.
func processAttributes(as *account) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if as != nil {
		a.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid}
	}
	return a
}
