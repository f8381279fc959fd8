package relay

import (
	"slices"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/mmr/cascade"
	"causeway/internal/mmr/forward"
	"causeway/protocol"
)

// Limits of a meeting.
const (
	MaxLegs    = 64   // other legs
	maxStreams = 8192 // of a leg
)

// A Leg is what another router carries of the meeting, as it tells on the
// bus.
type Leg struct {
	Zone, MMR string
	// OnPremises says that the router cannot be dialled, but dials.
	OnPremises bool
	// Fingerprint is that of the certificate with which the router dials, see
	// Relays.Fingerprint: who else claims to be this router is refused.
	Fingerprint string
	Epoch       int64 // when the leg began
	// Silent says that the router may be dead, or is about to go: media should
	// not depend on it.
	Silent  bool
	Streams []Stream
}

// A Stream is a source that a participant of another leg publishes.
type Stream struct {
	ID    uint32 // as forward.Source.Stream on the leg itself
	Owner string // participant id
	Kind  protocol.Source
	Codec offer.Codec // payload types do not matter
}

// name tells routers apart.
type name = cascade.Name

func less(n, o name) bool { return n.Zone < o.Zone || n.Zone == o.Zone && n.MMR < o.MMR }

// connectionOf says on which connection a source travels; false for what is
// no source.
func connectionOf(kind protocol.Source) (protocol.MediaKind, bool) {
	switch kind {
	case protocol.Mic:
		return protocol.Audio, true
	case protocol.Camera:
		return protocol.Video, true
	case protocol.Screen, protocol.ScreenAudio:
		return protocol.Content, true
	}
	return "", false
}

// leg is another leg as the mesh knows it.
type leg struct {
	name
	onPremises  bool
	silent      bool
	gone        bool // it is over, but others' media still come by it
	epoch       int64
	fingerprint string
	near        *forward.Neighbour         // that router, for trunks
	loud        *forward.Selection         // what it hears from here; nil while it is no neighbour
	until       time.Time                  // what it has dialled is kept, though it is no neighbour
	sources     map[uint32]*forward.Source // by stream
	sides       [3]side                    // by kind, in the order of protocol.MediaKinds
	asking      bool                       // the router is being asked to be dialled
	failing     time.Time                  // since when it was not to be had; zero: it was
	heldUp      bool                       // and that was told
}

// side is one kind of media with another leg.
type side struct {
	conn    *connection // nil while there is none
	retry   time.Time   // not dialled before
	backoff time.Duration
}

// update takes what the leg says of itself, and reports whether its sources
// have changed. What is over is added to gone.
func (m *Mesh) update(l *leg, told *Leg, gone []*forward.Source) []*forward.Source {
	if l.near == nil || l.fingerprint != told.Fingerprint {
		// Another process: its connections are over, its clock is another.
		for i := range l.sides {
			m.hangUp(&l.sides[i])
		}
		l.near = m.relays.cfg.Router.NewNeighbour(m.relays.budget(l.name))
	}
	l.onPremises, l.fingerprint, l.epoch, l.silent = told.OnPremises, told.Fingerprint, told.Epoch, told.Silent
	l.gone = false
	before := l.sources
	l.sources = make(map[uint32]*forward.Source, len(told.Streams))
	for i := range told.Streams[:min(len(told.Streams), maxStreams)] {
		s := &told.Streams[i]
		if !s.valid() || l.sources[s.ID] != nil {
			continue
		}
		if old := before[s.ID]; old != nil && old.Kind() == s.Kind && offer.Same(old.Codec(), s.Codec) {
			l.sources[s.ID] = old
			delete(before, s.ID)
			continue
		}
		l.sources[s.ID] = m.source(s)
	}
	for _, s := range before {
		gone = append(gone, s)
	}
	return gone
}

func (s *Stream) valid() bool {
	_, known := connectionOf(s.Kind)
	return known && forward.ValidStream(s.ID) && s.Codec.ClockRate > 0
}

// source makes what a stream of another leg brings.
func (m *Mesh) source(s *Stream) *forward.Source {
	cfg := forward.SourceConfig{Owner: s.Owner, Kind: s.Kind, Codec: s.Codec, Stream: s.ID, Far: true}
	if s.Kind == protocol.Mic {
		cfg.Loudest = m.loudest
	}
	return m.relays.cfg.Router.NewSource(cfg)
}

// ofKind picks the sources that travel on a connection.
func ofKind(kind protocol.MediaKind, sources []*forward.Source) []*forward.Source {
	var list []*forward.Source
	for _, s := range sources {
		if k, _ := connectionOf(s.Kind()); k == kind {
			list = append(list, s)
		}
	}
	return list
}

// dials reports whether it is this router that dials the leg's.
func (m *Mesh) dials(l *leg) bool {
	cfg := &m.relays.cfg
	if cfg.OnPremises != l.onPremises {
		return cfg.OnPremises
	}
	return less(m.relays.self(), l.name)
}

// kindIndex is the place of a kind in leg.sides; -1 for none.
func kindIndex(kind protocol.MediaKind) int { return slices.Index(protocol.MediaKinds, kind) }
