package peer

import (
	"sync/atomic"
	"unsafe"

	"causeway/internal/prefetch"
)

// sending is how many bytes of a Conn are touched for each packet that leaves.
const sending = unsafe.Offsetof(Conn{}.counters) + 2*unsafe.Sizeof(atomic.Uint64{})

// Prefetch brings what SendRTP needs into the processor's cache, in three steps
// from 0 on: each looks at what the one before has brought. The shard must be held.
func (c *Conn) Prefetch(step int) {
	if step == 0 {
		prefetch.First(c, sending)
	} else if out, ok := c.keys.out.(prefetcher); ok {
		out.Prefetch(step - 1)
	}
}

type prefetcher interface{ Prefetch(step int) }
