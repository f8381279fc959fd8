// Package porttest gives tests ports for servers that have to know theirs
// before they start.
//
// Several runs of tests may go on at once, so ports are taken in blocks: who
// listens on the first port of a block has the others, until the process ends.
// The web client's tests do the same (webclient/e2e/ports.ts). All are outside
// the range from which systems give others theirs.
package porttest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

const (
	lowest = 20_000
	blocks = 200
	size   = 50
	tries  = 10_000
)

// block is where this process has its ports.
type block struct {
	mu        sync.Mutex
	next, end int
	claims    []net.Listener // open as long as the process lives
}

var ours block

// Free finds a port of 127.0.0.1 that is free for TCP and UDP, and that no
// other run is given.
func Free(t testing.TB) int {
	t.Helper()
	return ours.free(t)
}

func (b *block) free(t testing.TB) int {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for range tries {
		if b.next == b.end {
			first := lowest + size*rand.IntN(blocks)
			ln, err := net.Listen("tcp", local(first))
			if err != nil {
				continue // somebody else's
			}
			b.claims = append(b.claims, ln)
			b.next, b.end = first+1, first+size
		}
		port := b.next
		b.next++
		ln, err := net.Listen("tcp", local(port))
		if err != nil {
			continue
		}
		_ = ln.Close()
		c, err := net.ListenPacket("udp", local(port))
		if err != nil {
			continue
		}
		_ = c.Close()
		return port
	}
	t.Fatal("no port is free")
	return 0
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
