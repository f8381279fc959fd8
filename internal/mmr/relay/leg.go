package relay

import (
	"causeway/internal/media/offer"
	"causeway/protocol"
)

// MaxLegs bounds the other legs of a meeting.
const MaxLegs = 64

// A Leg is what another router carries of the meeting, as it tells on the
// bus.
type Leg struct {
	Zone, MMR string
	// Epoch tells a leg from an earlier one on the same router: when it
	// changes, all that was known of it is over.
	Epoch int64
	// OnPremises says that the router cannot be dialled, but dials.
	OnPremises bool
	// Fingerprint is that of the certificate with which the router dials, see
	// Relays.Fingerprint. "" if it has not told.
	Fingerprint string
	Streams     []Stream
}

// A Stream is a source that a participant of another leg publishes.
type Stream struct {
	ID     uint32 // as forward.Source.Stream on the leg itself
	Owner  string // participant id
	Kind   protocol.Source
	Codec  offer.Codec // payload types do not matter
	Layers int         // simulcast layers that it may have, at least 1
}
