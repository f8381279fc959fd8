//go:build amd64 || arm64

package prefetch

import "unsafe"

// lines asks for the cache lines of n bytes, of 64 bytes each. Addresses where
// there is nothing do no harm.
//
//go:noescape
func lines(p unsafe.Pointer, n uintptr)
