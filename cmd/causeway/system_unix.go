//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// Errors of listening, as this system numbers them.
const (
	errInUse     = unix.EADDRINUSE
	errNotOurs   = unix.EADDRNOTAVAIL
	errForbidden = unix.EACCES
)

// lockFile locks a file for as long as it is open, or fails at once.
func lockFile(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
