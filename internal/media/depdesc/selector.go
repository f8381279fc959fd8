package depdesc

import "causeway/internal/media/seqnum"

// seenFrames is how many frames back a Selector knows what became of them; a
// chain reaches no further (8 bits).
const seenFrames = 256

// frames is a set of the latest frames.
type frames [seenFrames / 64]uint64

func (f *frames) add(frame uint16)      { f[frame%seenFrames/64] |= 1 << (frame % 64) }
func (f *frames) remove(frame uint16)   { f[frame%seenFrames/64] &^= 1 << (frame % 64) }
func (f *frames) has(frame uint16) bool { return f[frame%seenFrames/64]>>(frame%64)&1 != 0 }

// Selector chooses layers for one receiver: a decode target and all that are
// below it, so that there is a way down at any picture. Make it with
// NewSelector.
type Selector struct {
	spatial, temporal uint8      // aimed at
	structure         *Structure // nil before the first packet
	active            uint32     // decode targets that are sent
	target            int        // forwarded, -1 none
	comprised         uint32     // decode targets whose frames that takes

	picture uint32 // timestamp of the frame that was decided over last
	frame   uint16 // its number
	seen    int    // frames since the first one, up to seenFrames
	forward bool   // that frame
	sent    frames
	left    frames // out
}

// NewSelector makes a selector that forwards nothing before a key frame.
func NewSelector() Selector { return Selector{target: -1} }

// Aim sets the layers to go over to: to lower ones with the next picture, to
// higher ones as soon as a frame allows it.
func (s *Selector) Aim(spatial, temporal int) {
	s.spatial, s.temporal = uint8(spatial), uint8(temporal)
}

// Current returns the layers that are forwarded, -1 if none are.
func (s *Selector) Current() (spatial, temporal int) {
	if s.target < 0 {
		return -1, -1
	}
	t := s.structure.Target[s.target]
	return int(t.Spatial), int(t.Temporal)
}

// WantsKey reports whether a key frame would bring a spatial layer that is
// aimed at.
func (s *Selector) WantsKey() bool {
	if s.target < 0 {
		return true
	}
	best := s.best(s.spatial, s.temporal)
	return best >= 0 && s.structure.Target[best].Spatial > s.structure.Target[s.target].Spatial
}

// Take decides over a packet of the picture with an RTP timestamp. Frames are
// decided over in their order; over one that comes late, since it was lost
// before, as things are then. last tells that the packet ends the
// picture for this receiver: its marker has to be set.
func (s *Selector) Take(st *Structure, d *Descriptor, timestamp uint32) (forward, last bool) {
	switch {
	case s.structure != st && (s.structure == nil || *s.structure != *st):
		*s = Selector{spatial: s.spatial, temporal: s.temporal, structure: st, target: -1, active: 1<<st.Targets - 1, frame: d.Frame}
		s.decide(d, timestamp, true)
		forward = s.forward
	case seqnum.Less(s.frame, d.Frame):
		s.goOn(d.Frame)
		s.decide(d, timestamp, timestamp != s.picture)
		forward = s.forward
	case s.frame == d.Frame:
		forward = s.forward
	case int(s.frame-d.Frame) > s.seen || s.frame-d.Frame >= seenFrames || s.left.has(d.Frame):
		return false, false
	default:
		forward = s.note(d)
	}
	return forward, forward && d.End && d.Spatial == s.structure.Target[s.target].Spatial
}

// goOn goes on to a frame. What is in between may still come.
func (s *Selector) goOn(frame uint16) {
	s.seen = min(s.seen+int(frame-s.frame), seenFrames)
	for range min(frame-s.frame, seenFrames) {
		s.frame++
		s.sent.remove(s.frame)
		s.left.remove(s.frame)
	}
	s.frame = frame
}

// decide decides over a frame with the first of its packets that comes. fresh
// tells that a picture begins with it.
func (s *Selector) decide(d *Descriptor, timestamp uint32, fresh bool) {
	s.picture = timestamp
	if d.Activates {
		s.active = d.Active
	}
	if fresh && s.target >= 0 {
		t := s.structure.Target[s.target]
		if t.Spatial > s.spatial || t.Temporal > s.temporal || s.active>>s.target&1 == 0 {
			s.set(s.best(min(t.Spatial, s.spatial), min(t.Temporal, s.temporal)))
		}
	}
	s.raise(d, fresh)
	s.forward = s.note(d)
}

// note notes whether a frame is forwarded, which it returns.
func (s *Selector) note(d *Descriptor) bool {
	forward := s.takes(d)
	if forward {
		s.sent.add(d.Frame)
	} else {
		s.left.add(d.Frame)
	}
	return forward
}

// raise goes over to the highest target aimed at that the frame allows. The
// size of a picture changes where it begins, or with a frame of that size.
func (s *Selector) raise(d *Descriptor, fresh bool) {
	st, found := s.structure, s.target
	for i := range st.Targets {
		t := &st.Target[i]
		switch {
		case d.Indications[i] != Switch || s.active>>i&1 == 0 || t.Spatial > s.spatial || t.Temporal > s.temporal:
		case found >= 0 && !t.comprises(&st.Target[found]):
		case !fresh && s.target >= 0 && t.Spatial != st.Target[s.target].Spatial && t.Spatial != d.Spatial:
		case s.intact(d, i):
			found = i
		}
	}
	if found != s.target {
		s.set(found)
	}
}

// comprises reports whether a target has all the layers of another.
func (t *Target) comprises(u *Target) bool { return t.Spatial >= u.Spatial && t.Temporal >= u.Temporal }

// intact reports whether the frame before this one in the target's chain was
// forwarded.
func (s *Selector) intact(d *Descriptor, target int) bool {
	if s.structure.Chains == 0 {
		return true
	}
	back := int(d.Chains[s.structure.Target[target].chain])
	return back == 0 || back <= s.seen && s.sent.has(d.Frame-uint16(back))
}

// takes reports whether a frame is needed for what is forwarded.
func (s *Selector) takes(d *Descriptor) bool {
	if s.target < 0 {
		return false
	}
	for i := range s.structure.Targets {
		if s.comprised>>i&1 != 0 && d.Indications[i] != NotPresent {
			return true
		}
	}
	return false
}

// set makes a target, or -1, the one that is forwarded.
func (s *Selector) set(target int) {
	s.target, s.comprised = target, 0
	if target < 0 {
		return
	}
	for i := range s.structure.Targets {
		if s.structure.Target[target].comprises(&s.structure.Target[i]) {
			s.comprised |= 1 << i
		}
	}
}

// best returns the highest decode target within the layers, of those that are
// sent if there is one; -1 if none is within.
func (s *Selector) best(spatial, temporal uint8) int {
	best, sent := -1, false
	for i := range s.structure.Targets {
		t, active := &s.structure.Target[i], s.active>>i&1 != 0
		if t.Spatial > spatial || t.Temporal > temporal {
			continue
		}
		if best < 0 || active && !sent || active == sent && t.higher(&s.structure.Target[best]) {
			best, sent = i, active
		}
	}
	return best
}

// higher compares spatial layers, then temporal ones.
func (t *Target) higher(u *Target) bool {
	return t.Spatial > u.Spatial || t.Spatial == u.Spatial && t.Temporal > u.Temporal
}
