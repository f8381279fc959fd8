// Package prefetch brings memory into the processor's cache before it is needed.
// A router that sends a packet to hundreds of receivers knows whose turn is next;
// what is kept of them has left the cache since their last packet, and waiting
// for it piece by piece takes longer than the work.
package prefetch

import "unsafe"

// First asks for the first n bytes of what p points to, and does not wait for
// them. p may be nil.
func First[T any](p *T, n uintptr) { lines(unsafe.Pointer(p), n) }

// All asks for all that p points to. p may be nil.
func All[T any](p *T) { lines(unsafe.Pointer(p), unsafe.Sizeof(*p)) }

// Bytes asks for n bytes from p on, whatever is there.
func Bytes(p unsafe.Pointer, n uintptr) { lines(p, n) }
