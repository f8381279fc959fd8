package depdesc

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

// captured is a packet of Chromium's: its RTP timestamp, its marker and its
// descriptor.
type captured struct {
	timestamp uint32
	marker    bool
	content   []byte
}

// capture reads what Chromium 156 sent of a camera in L3T3_KEY: from the first
// packet on, then around the second key frame.
func capture(t testing.TB) (list []captured) {
	t.Helper()
	text, err := os.ReadFile("testdata/chromium156-l3t3-key.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var c captured
		var digits string
		if _, err := fmt.Sscan(line, &c.timestamp, &c.marker, &digits); err != nil {
			t.Fatal(err)
		}
		if c.content, err = hex.DecodeString(digits); err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

func TestChromium(t *testing.T) {
	var r Reader
	var first *Structure
	keys := 0
	for i, c := range capture(t) {
		var d Descriptor
		st := r.Parse(c.content, &d)
		if st == nil || first != nil && st != first {
			t.Fatalf("packet %d: not parsed, or another structure", i)
		}
		first = st
		switch {
		case !d.Key():
		case keys == 0 && d.Active != 0b000111111: // it does without the largest picture at first
			t.Errorf("%b active", d.Active)
		case keys > 0 && d.Active != 0b111111111:
			t.Errorf("%b active", d.Active)
		}
		if d.Key() {
			keys++
		}
	}
	if first.Targets != 9 || first.Chains != 3 || keys < 3 {
		t.Errorf("%d targets, %d chains, %d key frames", first.Targets, first.Chains, keys)
	}
	for i := range first.Targets {
		if x := first.Target[i]; int(x.Spatial) != i/3 || int(x.Temporal) != i%3 || int(x.chain) != i/3 {
			t.Errorf("target %d: %+v", i, x)
		}
	}
	if want := [maxSpatial]Size{{320, 180}, {640, 360}, {1280, 720}}; first.Sizes != want {
		t.Errorf("%v", first.Sizes)
	}
}

// TestChromiumLayers: whatever layers are aimed at, these go on and no others,
// and each picture ends once, with the last of its packets.
func TestChromiumLayers(t *testing.T) {
	list := capture(t)
	for spatial := range 3 {
		for temporal := range 3 {
			var r Reader
			s := NewSelector()
			s.Aim(spatial, temporal)
			ended := true
			var picture uint32
			for i, c := range list {
				var d Descriptor
				st := r.Parse(c.content, &d)
				forward, last := s.Take(st, &d, c.timestamp)
				if want := int(d.Spatial) <= spatial && int(d.Temporal) <= temporal; forward != want {
					t.Errorf("aiming at %d, %d: packet %d of %d, %d forwarded: %v", spatial, temporal, i, d.Spatial, d.Temporal, forward)
				}
				if !forward {
					continue
				}
				if ended != (c.timestamp != picture) {
					t.Errorf("aiming at %d, %d: packet %d begins a picture: %v, the one before has ended: %v", spatial, temporal, i, c.timestamp != picture, ended)
				}
				ended, picture = last || c.marker, c.timestamp
			}
		}
	}
}
