package seqnum

import (
	"testing"

	"pgregory.net/rapid"
)

func TestDiff16(t *testing.T) {
	tests := []struct {
		a, b uint16
		want int32
	}{
		{0, 0, 0},
		{1, 0, 1},
		{0, 1, -1},
		{0, 0xffff, 1},
		{0xffff, 0, -1},
		{0x7fff, 0, 0x7fff},
		{0x8000, 0, -0x8000},
		{0, 0x8000, -0x8000},
		{0x8001, 0, -0x7fff},
		{5, 0xfffb, 10},
	}
	for _, tt := range tests {
		if got := Diff(tt.a, tt.b); got != tt.want {
			t.Errorf("Diff(%#x, %#x) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := Less(tt.a, tt.b); got != (tt.want < 0) {
			t.Errorf("Less(%#x, %#x) = %v", tt.a, tt.b, got)
		}
	}
}

func TestDiff32(t *testing.T) {
	tests := []struct {
		a, b uint32
		want int32
	}{
		{0, 0xffffffff, 1},
		{0xffffffff, 0, -1},
		{0x7fffffff, 0, 0x7fffffff},
		{0x80000000, 0, -0x80000000},
		{0xffff, 0, 0xffff},
	}
	for _, tt := range tests {
		if got := Diff(tt.a, tt.b); got != tt.want {
			t.Errorf("Diff(%#x, %#x) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestUnwrapFromEveryBoundary walks over the wraparound from starts around it.
func TestUnwrapFromEveryBoundary(t *testing.T) {
	for _, start := range []uint16{0, 1, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffd, 0xfffe, 0xffff} {
		var u Unwrapper[uint16]
		if _, ok := u.Highest(); ok {
			t.Error("highest before the first")
		}
		first := u.Unwrap(start)
		for i := range uint64(200000) {
			if got := u.Unwrap(start + uint16(i)); got != first+i {
				t.Fatalf("from %#x: step %d is %d, want %d", start, i, got, first+i)
			}
			if late := u.Unwrap(start + uint16(i) - 100); late != first+i-100 {
				t.Fatalf("from %#x: late at %d is %d", start, i, late)
			}
		}
		if h, ok := u.Highest(); !ok || h != first+199999 {
			t.Errorf("highest %d", h)
		}
		u.Reset()
		if _, ok := u.Highest(); ok {
			t.Error("highest after Reset")
		}
	}
}

func TestUnwrapProperties(t *testing.T) {
	t.Run("16", func(t *testing.T) { rapid.Check(t, properties[uint16]) })
	t.Run("32", func(t *testing.T) { rapid.Check(t, properties[uint32]) })
}

// properties: steps of less than half a cycle either way are followed exactly.
func properties[T Number](t *rapid.T) {
	half := int64(^T(0)>>1) + 1
	var u Unwrapper[T]
	at := rapid.Uint64Range(uint64(half)*2, uint64(half)*8).Draw(t, "start")
	offset := u.Unwrap(T(at)) - at
	highest := at
	for range rapid.IntRange(1, 50).Draw(t, "steps") {
		at = uint64(int64(highest) + rapid.Int64Range(-half, half-1).Draw(t, "step"))
		if got := u.Unwrap(T(at)); got != at+offset || T(got) != T(at) {
			t.Fatalf("%d is %d, offset %d", at, got, offset)
		}
		highest = max(highest, at)
	}
}

func TestNoAllocation(t *testing.T) {
	var u Unwrapper[uint16]
	var v uint16
	if n := testing.AllocsPerRun(1000, func() { v++; u.Unwrap(v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUnwrap(b *testing.B) {
	b.ReportAllocs()
	var u Unwrapper[uint16]
	var v uint16
	for b.Loop() {
		v++
		u.Unwrap(v)
	}
}
