package vp8

import "testing"

func TestTemporal(t *testing.T) {
	var s Temporal
	id := uint16(0x7ffe)
	step := func(what string, aim int, tid uint8, sync, want bool, current int) {
		t.Helper()
		s.Aim(aim)
		for range 2 { // packets
			d := Descriptor{HasTID: true, TID: tid, LayerSync: sync, PictureID: id, pictureAt: 1, pictureLen: 2}
			if got, _ := s.Take(&d); got != want || s.Current() != current {
				t.Errorf("%s: %v, layer %d", what, got, s.Current())
			}
		}
		id = (id + 1) & 0x7fff
	}
	step("the base", 0, 0, false, true, 0)
	step("nothing above it", 0, 2, true, false, 0)
	step("not without a sync", 2, 2, false, false, 0)
	step("a step up", 2, 1, true, true, 1)
	step("not further without a sync", 2, 2, false, false, 1)
	step("further", 2, 2, true, true, 2)
	step("the base", 2, 0, false, true, 2)
	step("all", 2, 2, false, true, 2)
	step("down at once", 1, 2, false, false, 1)
	step("the layer below", 1, 1, false, true, 1)
	if all, _ := s.Take(&Descriptor{}); !all {
		t.Error("leaves out a stream without layers")
	}
	s.Begin(MaxTemporal)
	if !s.All() {
		t.Error("leaves out something")
	}
	s.Begin(1)
	if s.All() {
		t.Error("leaves nothing out")
	}
	step("after a key frame", 1, 1, false, true, 1)
}
