package vp8

// MaxTemporal is the highest temporal layer there can be.
const MaxTemporal = 3

// Temporal chooses the temporal layers of a stream that one receiver gets. A
// frame of a layer that is left out is left out with all of its packets; the
// zero value forwards only the base layer until Aim.
type Temporal struct {
	current, aim uint8
	frame        uint16 // decided over last
	begun        bool
	forward      bool
}

// Aim sets the highest layer to forward: a lower one with the next frame, a
// higher one where a frame depends on the base layer alone.
func (t *Temporal) Aim(layer int) { t.aim = uint8(max(0, min(layer, MaxTemporal))) }

// Begin begins with a key frame, on which all that follows depends: the highest
// layer aimed at is forwarded from there on.
func (t *Temporal) Begin(layer int) {
	t.Aim(layer)
	t.current, t.begun = t.aim, false
}

// All reports whether everything is forwarded, so that Take need not be asked.
func (t *Temporal) All() bool { return t.current == MaxTemporal && t.aim == MaxTemporal }

// Current is the highest layer that is forwarded.
func (t *Temporal) Current() int { return int(t.current) }

// Take decides over a packet, in the order in which they were sent. fresh tells
// that it is the first one of its frame, if that is not of the base layer. A
// stream without temporal layers is forwarded as it is.
func (t *Temporal) Take(d *Descriptor) (forward, fresh bool) {
	if !d.HasTID || d.TID == 0 {
		t.current = min(t.current, t.aim)
		return true, false
	}
	if d.HasPictureID() && t.begun && d.PictureID == t.frame {
		return t.forward, false
	}
	t.begun, t.frame = true, d.PictureID
	t.current = min(t.current, t.aim)
	// LayerSync: the frame depends on frames of the base layer only, so those
	// of its layer that were left out are not missed (RFC 7741 §4.2).
	if d.LayerSync && d.TID > t.current && d.TID <= t.aim {
		t.current = d.TID
	}
	t.forward = d.TID <= t.current
	return t.forward, true
}
