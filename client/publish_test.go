package client

import (
	"testing"

	"causeway/protocol"
)

// TestPausedLayers: a layer that nobody takes is not sent, and begins again
// with a key frame; each connection has its own router's word.
func TestPausedLayers(t *testing.T) {
	const source = protocol.Camera
	p := newPublisher(&fileFeed{tracks: []Track{
		{Source: protocol.Mic, Codec: Opus},
		{Source: source, Codec: VP8, Layer: "q"},
		{Source: source, Codec: VP8, Layer: "f"},
	}}, nil)
	now, next := &link{}, &link{}
	streams := map[*link][]*outgoing{now: {{}, {}}, next: {{}, {}}}
	for l, s := range streams {
		p.connect(l, []int{1, 2}, s)
	}
	flows := func(what string, l *link, key bool, want ...bool) {
		t.Helper()
		for i, o := range streams[l] {
			if got := o.flows(&Sample{Key: key}); got != want[i] {
				t.Errorf("%s: layer %d flows: %v", what, i, got)
			}
		}
	}
	request := func(resumed bool, active ...bool) {
		t.Helper()
		if got := p.request([]*link{now}, source, active); got != resumed {
			t.Errorf("%v: resumed: %v", active, got)
		}
	}
	flows("at first", now, false, true, true)
	request(false, true, false)
	flows("paused", now, true, true, false)
	flows("by the other router", next, false, true, true)
	request(true, true, true)
	flows("resumed", now, false, true, false)
	request(false, true, true)
	flows("asked for again", now, false, true, false)
	flows("its key frame", now, true, true, true)
	flows("from then on", now, false, true, true)
	request(false, false, false)
	request(true, false, true)
	request(false, false, false)
	flows("paused while it waits", now, true, false, false)
	request(true, true, true)
	flows("a key frame for both", now, true, true, true)
	request(false, true) // of one layer only nothing is said
	flows("not named", now, false, true, true)
}
