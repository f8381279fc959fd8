package meeting

import (
	"slices"
	"strings"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/mmr/forward"
	"causeway/protocol"
)

// A camera may be published in two forms: in a codec that everybody decodes,
// and in a scalable one, which is better for the same bits. The second is asked
// for as long as all who are there decode it, and shown when it comes. Of the
// first nothing is taken then, so that it pauses; it is back as soon as somebody
// comes who needs it, for all, since to send both is more than most can.

// scalableCodecs are those that routers forward.
var scalableCodecs = slices.DeleteFunc(offer.ForwardedCodecs(offer.Video), func(c offer.Codec) bool { return !forward.Scalable(c) })

// scalableIn names the scalable codecs that all slots for cameras take.
func scalableIn(slots []*forward.Slot) (names []string) {
	for _, c := range scalableCodecs {
		if !slices.ContainsFunc(slots, func(s *forward.Slot) bool { return s.Kind() == protocol.Camera && !s.Decodes(c) }) {
			names = append(names, c.Name)
		}
	}
	return names
}

// cameraFor returns what a slot may show of somebody's camera, nil for nothing.
func (m *Meeting) cameraFor(slot *forward.Slot, e *entry) *forward.Source {
	if e.scalable {
		if s := m.sourceOf(e, protocol.CameraScalable); s != nil && slot.Takes(s) {
			return s
		}
	}
	return m.sourceOf(e, protocol.Camera)
}

// weighCameras works out in which form cameras are to be sent, and shown. Of
// each the leg that it is on decides, and tells the others.
func (m *Meeting) weighCameras(now time.Time) {
	allowed := make(map[string]bool, len(scalableCodecs)) // by name
	for i, c := range scalableCodecs {
		decoded := true
		for _, e := range m.roster {
			decoded = decoded && slices.Contains(e.decodes, c.Name)
		}
		allowed[c.Name] = m.holdoffs[i].allows(decoded, now)
	}
	for _, p := range m.order {
		source := p.media.Sources[protocol.CameraScalable]
		if source == nil {
			continue
		}
		if scales := allowed[strings.ToUpper(source.Codec().Name)]; scales != p.scales {
			p.scales = scales
			m.changed(p)
		}
		// Once it is not wanted any more it goes on until nobody takes it.
		p.sendsBoth = m.company && p.scales || p.sendsBoth && source.Requested()&1 != 0
		p.tellLayers()
	}
	m.takeIn(now)
	for _, e := range m.roster {
		source := m.sourceOf(e, protocol.CameraScalable)
		if shown := e.scales && source != nil && source.Comes(now); shown != e.scalable {
			e.scalable, m.slotsDirty = shown, true
		}
	}
}
