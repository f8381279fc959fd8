package depdesc

import "causeway/internal/media/seqnum"

// seenFrames is how many frames back a Selector knows what it forwarded; a
// chain reaches no further (8 bits).
const seenFrames = 256

// Selector chooses, for one receiver, the frames of a decode target. Make it
// with NewSelector.
type Selector struct {
	spatial, temporal uint8 // aimed at
	target            int   // forwarded, -1 none
	aim               int
	broken            bool // the target's chain: a key frame is needed

	frame   uint16 // decided over last
	begun   bool
	forward bool
	last    bool // the frame ends the picture
	sent    [seenFrames / 64]uint64
}

// NewSelector makes a selector that forwards nothing before a key frame.
func NewSelector() Selector { return Selector{target: -1, aim: -1} }

// Aim sets the layers to go over to, as soon as a frame allows it.
func (s *Selector) Aim(spatial, temporal uint8) { s.spatial, s.temporal = spatial, temporal }

// Current returns the layers that are forwarded; false if none are.
func (s *Selector) Current(st *Structure) (Target, bool) {
	if s.target < 0 || s.target >= st.Targets {
		return Target{}, false
	}
	return st.Target[s.target], true
}

// WantsKey reports whether a key frame is needed: to begin, or because frames
// were lost on which what follows depends.
func (s *Selector) WantsKey() bool { return s.target < 0 || s.broken }

// Take decides over a packet, in the order in which frames were sent; late
// packets are as their frame was. last tells that the packet ends the picture
// for this receiver, so that its marker has to be set.
func (s *Selector) Take(st *Structure, d *Descriptor) (forward, last bool) {
	if !s.begun || d.Structured && d.Start || seqnum.Less(s.frame, d.Frame) {
		s.decide(st, d)
	} else if d.Frame != s.frame {
		return s.has(d.Frame), false
	}
	return s.forward, s.forward && s.last && d.End
}

// decide decides over a frame with the first of its packets that comes.
func (s *Selector) decide(st *Structure, d *Descriptor) {
	if d.Structured {
		s.sent = [seenFrames / 64]uint64{}
		s.target, s.broken = -1, false
	} else {
		// Frames in between have not come; they were not sent on.
		for f := s.frame + 1; f != d.Frame && f-s.frame < seenFrames; f++ {
			s.set(f, false)
		}
	}
	s.begun, s.frame = true, d.Frame
	s.aim = st.best(s.spatial, s.temporal, d)
	if s.aim >= 0 && s.aim != s.target && d.Indications[s.aim] == Switch && s.intact(st, d, s.aim) {
		s.target, s.broken = s.aim, false
	}
	s.forward = s.target >= 0 && d.Indications[s.target] != NotPresent
	s.last = s.forward && d.Spatial == st.Target[s.target].Spatial
	if s.forward && !s.intact(st, d, s.target) {
		s.broken = true
	}
	s.set(d.Frame, s.forward)
}

// intact reports whether the frame before this one in the target's chain was
// forwarded.
func (s *Selector) intact(st *Structure, d *Descriptor, target int) bool {
	if st.Chains == 0 || d.Structured {
		return true
	}
	back := d.Chains[st.Target[target].chain]
	return back == 0 || s.has(d.Frame-uint16(back))
}

func (s *Selector) set(frame uint16, sent bool) {
	i := frame % seenFrames
	if sent {
		s.sent[i/64] |= 1 << (i % 64)
	} else {
		s.sent[i/64] &^= 1 << (i % 64)
	}
}

func (s *Selector) has(frame uint16) bool {
	if s.frame-frame >= seenFrames {
		return false
	}
	i := frame % seenFrames
	return s.sent[i/64]>>(i%64)&1 != 0
}

// best returns the highest decode target within the layers, among the active
// ones if the frame tells; the lowest if none is within.
func (st *Structure) best(spatial, temporal uint8, d *Descriptor) int {
	best := -1
	for i := range st.Targets {
		t := st.Target[i]
		if d.Activates && d.Active>>i&1 == 0 || t.Spatial > spatial || t.Temporal > temporal {
			continue
		}
		if best < 0 || t.Spatial > st.Target[best].Spatial ||
			t.Spatial == st.Target[best].Spatial && t.Temporal > st.Target[best].Temporal {
			best = i
		}
	}
	return best
}
