package prefetch

import (
	"testing"
	"unsafe"
)

// Nothing is read or changed, wherever it is, and nothing is allocated.
func TestHarmless(t *testing.T) {
	type large struct{ b [1000]byte }
	v := new(large)
	for i := range v.b {
		v.b[i] = byte(i)
	}
	if n := testing.AllocsPerRun(100, func() {
		All(v)
		First(v, 1)
		First(v, 0)
		First((*large)(nil), 128)
		All((*large)(nil))
		for i := range v.b { // beyond the end, too
			Bytes(unsafe.Pointer(&v.b[i]), 100)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for i := range v.b {
		if v.b[i] != byte(i) {
			t.Fatalf("byte %d has changed", i)
		}
	}
}
