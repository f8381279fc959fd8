package relay

import (
	"causeway/internal/mmr/forward"
)

// A Mesh is the relays of one meeting. Its methods may be called from any
// goroutine and do not block.
type Mesh struct{}

// Meeting makes the relays of a meeting. loudest is where its microphones
// compete, own ones and those of other legs. wake is called, possibly with a
// shard held, when a relay's state has changed; it must not block. Close must
// be called when the leg is over.
func (r *Relays) Meeting(id string, loudest *forward.Loudest, wake func()) *Mesh {
	return &Mesh{}
}

// Set says what there is: the sources of this leg's own participants, and the
// other legs with theirs. Sources that the mesh makes for streams are there
// when Set returns, and start out muted, as all do: the roster says who is
// heard and seen (forward.Source.SetMuted). Those of streams that are not
// listed any more are retired.
func (m *Mesh) Set(own []*forward.Source, legs []Leg) {}

// Source returns what a stream of another leg brings, for slots to take; nil
// if Set has not listed it.
func (m *Mesh) Source(zone, mmr string, stream uint32) *forward.Source { return nil }

// Up reports whether media of a leg can flow now.
func (m *Mesh) Up(zone, mmr string) bool { return false }

// Close ends the meeting's relays. It does not wait; Relays.Close does.
func (m *Mesh) Close() {}
