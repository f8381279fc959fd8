package vp9

// Selector chooses layers for one receiver. Make it with NewSelector.
type Selector struct {
	spatial, temporal  int // forwarded; -1 nothing yet
	toSpatial          int
	toTemporal         int
	allowed            int // spatial layers of the current picture, -1 none
	picture            uint16
	started, inPicture bool
	raiseTo            int // temporal layer from the next picture on
}

// NewSelector makes a selector that forwards nothing before a key picture.
func NewSelector() Selector { return Selector{spatial: -1, temporal: -1, allowed: -1} }

// Aim sets the layers to go over to. Lower ones are taken with the next
// picture; higher ones where that is possible.
func (s *Selector) Aim(spatial, temporal int) { s.toSpatial, s.toTemporal = spatial, temporal }

// Current returns the layers that are forwarded, -1 if none are.
func (s *Selector) Current() (spatial, temporal int) { return s.spatial, s.temporal }

// WantsKey reports whether a key picture would bring a spatial layer that is
// aimed at.
func (s *Selector) WantsKey() bool { return s.spatial < s.toSpatial }

// Take decides over a packet, in the order in which they were sent. last
// tells that the packet ends the picture for this receiver: its marker has to
// be set (§4.1).
func (s *Selector) Take(d *Descriptor) (forward, last bool) {
	if !s.inPicture || d.PictureID != s.picture || !d.HasPictureID() && d.Start && d.SID == 0 {
		s.begin(d)
	}
	if s.allowed < 0 || int(d.SID) > s.allowed {
		return false, false
	}
	return true, d.End && int(d.SID) == s.allowed
}

// begin decides over a picture with its first packet.
func (s *Selector) begin(d *Descriptor) {
	s.inPicture, s.picture, s.allowed = true, d.PictureID, -1
	switch {
	case d.Key():
		s.spatial, s.temporal, s.started = s.toSpatial, s.toTemporal, true
	case !s.started:
		return
	default:
		s.spatial = min(s.spatial, s.toSpatial)
		s.temporal = max(s.temporal, min(s.raiseTo, s.toTemporal))
		s.temporal = min(s.temporal, s.toTemporal)
	}
	s.raiseTo = 0
	if int(d.TID) > s.temporal {
		return
	}
	s.allowed = s.spatial
	if d.SwitchUp {
		s.raiseTo = s.toTemporal
	}
}
