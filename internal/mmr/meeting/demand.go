package meeting

import "causeway/protocol"

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
