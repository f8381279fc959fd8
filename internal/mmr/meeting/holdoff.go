package meeting

import "time"

const (
	// holdAtLeast is how long nobody may have been there who lacks a codec
	// before it is gone back to, and holdAtMost how long that grows: twice as
	// long whenever it has to be given up within provedAfter.
	holdAtLeast = 5 * time.Second
	holdAtMost  = time.Minute
	provedAfter = time.Minute
)

// A holdoff keeps cameras from changing their codec all the time where somebody
// who lacks it comes and goes: it is given up at once, and gone back to later
// each time. The zero value is ready, and holds nothing off.
type holdoff struct {
	lacked bool
	hold   time.Duration
	until  time.Time // it is not gone back to before
}

// allows reports whether a codec is to be used, given whether all who are there
// decode it now.
func (h *holdoff) allows(decoded bool, now time.Time) bool {
	switch {
	case !decoded && !h.lacked: // somebody has come
		h.hold = min(2*h.hold, holdAtMost)
		if h.hold == 0 || now.Sub(h.until) > provedAfter {
			h.hold = holdAtLeast
		}
	case decoded && h.lacked: // the last one has left
		h.until = now.Add(h.hold)
	}
	h.lacked = !decoded
	return decoded && !now.Before(h.until)
}
