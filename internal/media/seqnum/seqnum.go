// Package seqnum compares and extends numbers that wrap around: the 16-bit
// sequence numbers and 32-bit timestamps of RTP (RFC 3550 §5.1, §A.1).
//
// The other packages of media use it wherever such numbers meet. It has no
// limits beyond arithmetic's: two numbers half a cycle apart cannot be
// ordered, and are taken as the second being the later one.
package seqnum

// Number is a number of the wire that wraps around.
type Number interface{ ~uint16 | ~uint32 }

// Diff returns how far a is ahead of b, negative if it is behind; half a
// cycle apart it is negative.
func Diff[T Number](a, b T) int32 {
	d := a - b
	if ^T(0) == T(0xffff) {
		return int32(int16(uint16(d)))
	}
	return int32(uint32(d))
}

// Less reports whether a comes before b.
func Less[T Number](a, b T) bool { return Diff(a, b) < 0 }

// Unwrapper extends numbers of one stream to 64 bits, so that they only grow.
// The zero value is ready; the first number is put one cycle up, so that what
// arrives late behind it does not fall below zero. The low bits of an
// extended number are the number itself.
type Unwrapper[T Number] struct {
	highest uint64
	started bool
}

// Unwrap extends a number and remembers it if it is the highest yet. A jump
// of half a cycle or more ahead is taken as a step back.
func (u *Unwrapper[T]) Unwrap(v T) uint64 {
	e := u.Peek(v)
	if !u.started || e > u.highest {
		u.highest, u.started = e, true
	}
	return e
}

// Peek extends a number without remembering it.
func (u *Unwrapper[T]) Peek(v T) uint64 {
	if !u.started {
		return uint64(v) + uint64(^T(0)) + 1
	}
	return uint64(int64(u.highest) + int64(Diff(v, T(u.highest))))
}

// Highest returns the highest number yet, extended; false before the first.
func (u *Unwrapper[T]) Highest() (uint64, bool) { return u.highest, u.started }

// Reset forgets everything.
func (u *Unwrapper[T]) Reset() { *u = Unwrapper[T]{} }
