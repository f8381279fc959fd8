package meeting

import (
	"time"

	"causeway/protocol"
)

// cameras are the forms in which a camera may be sent.
var cameras = [...]protocol.Source{protocol.Camera, protocol.CameraScalable}

// everyLayer is all layers that there can be, a bit each.
const everyLayer = ^uint32(0)

// unsaid is what a client sends of its camera's forms that was not told
// otherwise: of layers that there are, none of the second.
var unsaid = [len(cameras)]uint32{everyLayer, 1 << 31}

// tellLayers tells a publisher which layers of its camera are to be sent, if
// that has changed.
func (p *person) tellLayers() {
	if p.channel == nil || !p.welcomed {
		return
	}
	for i, kind := range cameras {
		camera := p.media.Sources[kind]
		if camera == nil {
			continue
		}
		every := uint32(1)<<camera.Layers() - 1
		requested := camera.Requested() & every
		if kind == protocol.CameraScalable && !p.sendsBoth {
			requested = 0
		}
		told := &p.layersTold[i]
		if requested == *told&every && *told != 0 {
			continue
		}
		*told = requested | everyLayer&^every // never 0
		active := make([]bool, camera.Layers())
		for i := range active {
			active[i] = requested>>i&1 != 0
		}
		p.channel.Send(protocol.Layers{Source: kind, Active: active})
	}
}

// Expect says that somebody is about to come. Any goroutine may call it; it
// never blocks.
func (m *Meeting) Expect() {
	m.expecting.Store(true)
	m.Wake()
}

// Soon says that somebody seems to come within the second. Any goroutine may
// call it; it never blocks.
func (m *Meeting) Soon() {
	m.soon.Store(true)
	m.Wake()
}

// readied is when a first picture was last made ready, and how often that was
// in vain since somebody last came.
type readied struct {
	at   time.Time
	vain int
}

const (
	// readyEvery is the least time between two pictures that are made ready, and
	// readyInVain how often that may be in vain before it is twice as long each
	// time, up to readySeldom: others pay for it with a key frame.
	readyEvery  = time.Second
	readyInVain = 4
	readySeldom = 32 * time.Second
)

// due reports whether to make one ready, and if so notes that.
func (r *readied) due(now time.Time) bool {
	wait := min(readyEvery<<max(0, r.vain-readyInVain), readySeldom)
	if now.Sub(r.at) < wait {
		return false
	}
	r.at, r.vain = now, min(r.vain+1, readyInVain+5)
	return true
}

// ready makes the picture ready that somebody sees first who comes now, so that
// it does not wait for a key frame.
func (m *Meeting) ready(now time.Time) {
	if !m.soon.Swap(false) || !m.readied.due(now) {
		return
	}
	seen := m.cameras(nil)
	if len(seen) == 0 {
		return
	}
	kind := protocol.Camera
	if seen[0].scalable {
		kind = protocol.CameraScalable
	}
	if camera := m.sourceOf(seen[0], kind); camera != nil {
		camera.Expect() // with layers that nobody takes now
		camera.Refresh(now)
	}
}

// meet has the camera of somebody who is alone sent whole when another one
// comes, or is about to, so that the first picture does not wait for it to be
// asked for and to begin: that takes a third of a second.
func (m *Meeting) meet() {
	company := max(len(m.people), len(m.roster)) > 1
	expecting := m.expecting.Swap(false)
	if company && !m.company || expecting && m.alone() {
		for _, p := range m.order {
			if camera := p.media.Sources[protocol.Camera]; camera != nil {
				camera.Expect()
			}
		}
	}
	m.company = company
}

// alone reports whether at most one is heard of.
func (m *Meeting) alone() bool {
	heard := 0
	for _, e := range m.roster {
		if e.Path == protocol.PathOK {
			heard++
		}
	}
	return heard < 2
}
