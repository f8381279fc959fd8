package peer

import "causeway/internal/prefetch"

// Prefetch brings what SendRTP needs into the processor's cache, in three steps
// from 0 on: each looks at what the one before has brought. The shard must be held.
func (c *Conn) Prefetch(step int) {
	if step == 0 {
		prefetch.All(c)
	} else if out, ok := c.keys.out.(prefetcher); ok {
		out.Prefetch(step - 1)
	}
}

type prefetcher interface{ Prefetch(step int) }
