package client

import (
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/internal/media/twcc"
)

// arrivalsEvery is how often the router is told when its packets came.
const arrivalsEvery = 50 * time.Millisecond

// arrivals tells the router when each of a connection's packets came
// (transport-wide feedback), by which it knows what the network takes. The
// connection's shard is held.
type arrivals struct {
	id       uint8 // of the sequence numbers' header extension, 0 for none
	recorder *twcc.Recorder
	told     time.Time
}

// newArrivals looks which extension an answer has for it.
func newArrivals(ssrc uint32, answer *offer.Description) arrivals {
	a := arrivals{recorder: twcc.NewRecorder(ssrc)}
	for i := range answer.Lines {
		if id := answer.Lines[i].ExtensionID(offer.URITransportCC); id != 0 {
			a.id = id // the same on all lines of a bundle (RFC 8843 section 9.2)
		}
	}
	return a
}

// note takes a packet that came.
func (a *arrivals) note(h *header.Header, packet []byte, now time.Time) {
	if a.id == 0 {
		return
	}
	if n := h.Extension(packet, a.id); len(n) == 2 {
		a.recorder.Record(h.SSRC, uint16(n[0])<<8|uint16(n[1]), now)
	}
}

// tell sends what there is to tell, when it is due. It makes the feedback in
// buf.
func (a *arrivals) tell(buf []byte, now time.Time, send func(packet []byte) error) {
	if now.Sub(a.told) < arrivalsEvery {
		return
	}
	a.told = now
	for a.recorder.Pending() {
		_ = send(a.recorder.Append(buf[:0])) // not ready or not taken: the same as lost on the way
	}
}
