// Package depdesc reads the dependency descriptor (RTP payload format for AV1,
// appendix A): a header extension that tells, for whatever codec, which frame
// a packet belongs to and for which of the stream's decode targets (its
// combinations of spatial and temporal layers) that frame is needed.
//
// What frames have in common, the template structure, comes with key frames.
// The router has a Reader for each stream that arrives, which keeps it, and a
// Selector for each slot that takes the stream. Packets are parsed once where
// they arrive and again, with the structure that was current there, for each
// slot. Nothing is allocated but when the structure changes; no type but
// Structure is safe for concurrent use. Which earlier frames a frame refers to
// is passed over: targets and chains tell all that forwarding needs.
package depdesc

const (
	maxTemplates = 64
	maxTargets   = 32
	maxSpatial   = 4
)

// Indication is what a frame is to a decode target (§A.6, Table A.1).
type Indication uint8

// The indications.
const (
	NotPresent  Indication = iota
	Discardable            // no other frame of the target depends on it
	Switch                 // one may begin with the target here
	Required
)

// Target is a decode target.
type Target struct {
	Spatial, Temporal uint8
	chain             uint8 // that protects it
}

// Structure is what the frames of a coded video sequence have in common. It is
// not changed once a Reader has returned it.
type Structure struct {
	Targets int // decode targets
	Chains  int
	Target  [maxTargets]Target
	// Sizes of the spatial layers in pixels, 0 if they are not told.
	Sizes [maxSpatial]Size

	length    int   // in bits
	offset    uint8 // id of the first template
	templates int
	template  [maxTemplates]template
}

// Size is in pixels.
type Size struct{ Width, Height int }

type template struct {
	spatial, temporal uint8
	dti               [maxTargets]Indication
	chains            [maxTargets]uint8 // frames back to the one before in the chain
}

// Descriptor is a packet's descriptor.
type Descriptor struct {
	Start, End        bool // of the frame
	Frame             uint16
	Spatial, Temporal uint8
	Structured        bool // it carries a structure: a key frame
	Indications       [maxTargets]Indication
	Chains            [maxTargets]uint8 // frames back to the one before in each chain, 0 begins it
	// Active is the decode targets that are sent from here on, a bit each, if
	// Activates.
	Active    uint32
	Activates bool
}

// Key reports whether a key frame begins with the packet.
func (d *Descriptor) Key() bool { return d.Start && d.Structured }

// Reader reads the descriptors of one stream. The zero value is ready.
type Reader struct {
	current *Structure // nil before the first
	next    Structure  // scratch
}

// Parse reads the content of the header extension into d and returns the
// structure by which it did, nil if that has not come yet or the content is
// broken. The structure is the same one until its content changes.
func (r *Reader) Parse(content []byte, d *Descriptor) *Structure {
	if structured(content) {
		b := bits{b: content, at: 8*short + flags}
		if !r.next.learn(&b) {
			return nil
		}
		if r.current == nil || *r.current != r.next {
			s := r.next
			r.current = &s
		}
	}
	if r.current == nil || !r.current.Parse(content, d) {
		return nil
	}
	return r.current
}

// Known reports whether a structure has come.
func (r *Reader) Known() bool { return r.current != nil }

const (
	short = 3 // bytes of a descriptor that is as its template says
	flags = 5 // bits that follow in a longer one
)

// structured reports whether a descriptor carries a structure.
func structured(content []byte) bool { return len(content) > short && content[short]&0x80 != 0 }

// Parse reads the content of the header extension into d. It reports false if
// it is cut, or not of this structure. What it carries of a structure itself
// is passed over: it must be this one.
func (s *Structure) Parse(content []byte, d *Descriptor) bool {
	if len(content) < short {
		return false
	}
	b := bits{b: content}
	*d = Descriptor{Start: b.flag(), End: b.flag()}
	id := uint8(b.f(6))
	d.Frame = uint16(b.f(16))
	var dtis, fdiffs, chains bool
	if len(content) > short {
		d.Structured, d.Activates = b.flag(), b.flag()
		dtis, fdiffs, chains = b.flag(), b.flag(), b.flag()
		if d.Structured {
			b.at += s.length
			d.Active = 1<<s.Targets - 1
		}
		if d.Activates {
			d.Active = b.f(s.Targets)
		}
		d.Activates = d.Activates || d.Structured
	}
	return s.define(&b, d, id, dtis, fdiffs, chains) && !b.short
}

// define works out what the frame's template and what departs from it say
// (§A.4, frame_dependency_definition).
func (s *Structure) define(b *bits, d *Descriptor, id uint8, dtis, fdiffs, chains bool) bool {
	index := int(id+maxTemplates-s.offset) % maxTemplates
	if index >= s.templates {
		return false
	}
	t := &s.template[index]
	d.Spatial, d.Temporal, d.Indications, d.Chains = t.spatial, t.temporal, t.dti, t.chains
	if dtis {
		for i := range s.Targets {
			d.Indications[i] = Indication(b.f(2))
		}
	}
	if fdiffs {
		for size := b.f(2); size != 0 && !b.short; size = b.f(2) {
			b.f(4 * int(size))
		}
	}
	if chains {
		for i := range s.Chains {
			d.Chains[i] = uint8(b.f(8))
		}
	}
	return true
}

// learn reads a template structure (§A.4).
func (s *Structure) learn(b *bits) bool {
	begin := b.at
	*s = Structure{offset: uint8(b.f(6)), Targets: int(b.f(5)) + 1}
	if !s.parseLayers(b) {
		return false
	}
	for i := range s.templates {
		for k := range s.Targets {
			s.template[i].dti[k] = Indication(b.f(2))
		}
	}
	for range s.templates {
		for b.flag() && !b.short {
			b.f(4)
		}
	}
	s.parseChains(b)
	s.layTargets()
	if b.flag() {
		for i := range int(s.template[s.templates-1].spatial) + 1 {
			s.Sizes[i] = Size{Width: int(b.f(16)) + 1, Height: int(b.f(16)) + 1}
		}
	}
	s.length = b.at - begin
	return !b.short
}

func (s *Structure) parseLayers(b *bits) bool {
	var spatial, temporal uint8
	for {
		if s.templates == maxTemplates || spatial >= maxSpatial {
			return false
		}
		t := &s.template[s.templates]
		t.spatial, t.temporal = spatial, temporal
		s.templates++
		switch b.f(2) {
		case 1:
			temporal++
		case 2:
			temporal = 0
			spatial++
		case 3:
			return true
		}
		if b.short {
			return false
		}
	}
}

func (s *Structure) parseChains(b *bits) {
	if s.Chains = int(b.ns(uint32(s.Targets) + 1)); s.Chains == 0 {
		return
	}
	for i := range s.Targets {
		s.Target[i].chain = uint8(b.ns(uint32(s.Chains)))
	}
	for i := range s.templates {
		for k := range s.Chains {
			s.template[i].chains[k] = uint8(b.f(4))
		}
	}
}

// layTargets works out the highest layers of each decode target (§A.4,
// decode_target_layers).
func (s *Structure) layTargets() {
	for k := range s.Targets {
		t := &s.Target[k]
		for i := range s.templates {
			if m := &s.template[i]; m.dti[k] != NotPresent {
				t.Spatial, t.Temporal = max(t.Spatial, m.spatial), max(t.Temporal, m.temporal)
			}
		}
	}
}
