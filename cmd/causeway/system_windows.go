package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// Errors of listening, as this system numbers them.
const (
	errInUse     = windows.WSAEADDRINUSE
	errNotOurs   = windows.WSAEADDRNOTAVAIL
	errForbidden = windows.WSAEACCES
)

// lockFile locks a file for as long as it is open, or fails at once.
func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
}
