package meeting

import "causeway/protocol"

// everyLayer is what a client sends that was not told otherwise: a bit for each
// layer that there can be.
const everyLayer = ^uint32(0)

// tellLayers tells a publisher which layers of its camera are to be sent, if
// that has changed.
func (p *person) tellLayers() {
	camera := p.media.Sources[protocol.Camera]
	if camera == nil || p.channel == nil || !p.welcomed {
		return
	}
	every := uint32(1)<<camera.Layers() - 1
	requested := camera.Requested() & every
	if requested == p.layersTold&every && p.layersTold != 0 {
		return
	}
	p.layersTold = requested | everyLayer&^every // never 0
	active := make([]bool, camera.Layers())
	for i := range active {
		active[i] = requested>>i&1 != 0
	}
	p.channel.Send(protocol.Layers{Source: protocol.Camera, Active: active})
}

// meet has the camera of somebody who was alone sent whole again when another
// one comes, so that the first picture does not wait for it to be asked for.
func (m *Meeting) meet() {
	company := max(len(m.people), len(m.roster)) > 1
	if company && !m.company {
		for _, p := range m.order {
			if camera := p.media.Sources[protocol.Camera]; camera != nil {
				camera.Expect()
			}
		}
	}
	m.company = company
}
