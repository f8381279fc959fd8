package forward

import (
	"slices"
	"testing"
	"time"

	"causeway/protocol"

	"github.com/pion/rtcp"
)

func TestParseTake(t *testing.T) {
	names := []uint32{0, 8, 0xfffffff8 | 2}
	for _, tt := range []struct {
		name string
		data []byte
		ok   bool
	}{
		{"good", appendTake(nil, 0xffff, 2, 3, 0, names), true},
		{"nothing is wanted", appendTake(nil, 1, 0, 1, 0, nil), true},
		{"too short", []byte{0, 1, 0}, false},
		{"half a name", append(appendTake(nil, 1, 0, 1, 0, names), 0), false},
		{"a part beyond the parts", appendTake(nil, 1, 1, 1, 0, names), false},
		{"too many", appendTake(nil, 1, 0, 1, 0, make([]uint32, takePart+1)), false},
	} {
		if _, ok := parseTake(tt.data); ok != tt.ok {
			t.Errorf("%s: %v", tt.name, ok)
		}
	}
}

func FuzzTrunkTold(f *testing.F) {
	f.Add(true, appendTake(nil, 1, 0, 2, 0, []uint32{0, 8, 9}))
	f.Add(false, make([]byte, layersSize))
	f.Fuzz(func(t *testing.T, take bool, data []byte) {
		w := newTwin(t, 1, protocol.Video)
		w.camera("ada")
		w.know()
		name := layersName
		if take {
			name = takeName
		}
		s := w.side[0]
		s.shards[0].Run(func() {
			w.trunks[0][protocol.Video].told(&rtcp.ApplicationDefined{Name: name, Data: data}, s.now)
		})
		w.pass(50 * time.Millisecond)
	})
}

// A list of more names than fit in one packet comes in parts, and what is
// left out of the next list ends, unless a part of that was lost.
func TestTakeParts(t *testing.T) {
	k := taken{until: map[uint32]taking{}}
	part := func(generation uint16, part, parts int, names ...uint32) {
		p, ok := parseTake(appendTake(nil, generation, part, parts, 0, names))
		if !ok {
			t.Fatal("refused")
		}
		k.take(p, epoch)
	}
	want := func(what string, names ...uint32) {
		t.Helper()
		for n := range uint32(5) {
			if got := k.wants(n, epoch.Add(time.Second)); got != slices.Contains(names, n) {
				t.Errorf("%s: %d %v", what, n, got)
			}
		}
	}
	part(0xffff, 0, 2, 1, 2)
	part(0xffff, 1, 2, 3)
	want("first", 1, 2, 3)
	part(0, 0, 2, 1)
	want("half", 1, 2, 3)
	part(1, 1, 2, 4) // the first half was lost
	want("other half", 1, 2, 3, 4)
	part(2, 0, 2, 1)
	part(2, 1, 2, 4)
	want("whole", 1, 4)
	if k.wants(1, epoch.Add(takenFor)) {
		t.Error("wanted for ever")
	}
}
