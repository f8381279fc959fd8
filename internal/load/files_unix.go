//go:build unix

package load

import (
	"math"

	"golang.org/x/sys/unix"
)

// maxOpenFiles is how many files the system lets this process open; 0 when it
// does not say or sets no limit.
func maxOpenFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur)
}
