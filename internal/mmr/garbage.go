package mmr

import (
	"os"
	"runtime/debug"
)

// collectAt is how much garbage there may be before it is collected, in percent
// of what is in use; Go's own choice is 100.
const collectAt = 50

// CollectEarly has the process collect its garbage early, unless GOGC says when.
// A router makes next to none while it forwards, so that hardly costs anything;
// but what joining leaves behind stays resident until it is collected.
func CollectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}
