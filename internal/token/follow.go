package token

import (
	"context"
	"fmt"
	"time"

	"causeway/internal/bus"
	"causeway/protocol"
)

// askEvery is how often keys are asked for while none is known; after that,
// web's own repetition brings new ones.
const askEvery = 500 * time.Millisecond

// Follow teaches v the keys that web repeats on the bus, until ctx ends. It
// returns early only when it cannot subscribe.
func Follow(ctx context.Context, conn *bus.Conn, v *Verifier) error {
	sub, err := bus.Subscribe(conn, protocol.SubjectKeys, func(_ string, set protocol.KeySet) { v.Learn(set) })
	if err != nil {
		return fmt.Errorf("follow keys: %w", err)
	}
	defer sub.Stop()
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	// Once in any case: the keys may be those of before a restart.
	for asked := false; !asked || !v.Knows(); asked = true {
		// It fails while the bus is away; the next round asks again.
		_ = bus.Publish(conn, protocol.SubjectKeysAsk, protocol.Empty{})
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
	<-ctx.Done()
	return nil
}
