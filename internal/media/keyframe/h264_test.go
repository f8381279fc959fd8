package keyframe

import (
	"testing"

	"pgregory.net/rapid"
)

// bitWriter writes what bits reads.
type bitWriter struct {
	data []byte
	n    int // bits
}

func (w *bitWriter) u(n int, v uint32) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.data = append(w.data, 0)
		}
		w.data[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

func (w *bitWriter) ue(v uint32) {
	size := 0
	for x := v + 1; x > 1; x >>= 1 {
		size++
	}
	w.u(size, 0)
	w.u(size+1, v+1)
}

func (w *bitWriter) se(v int32) {
	if v > 0 {
		w.ue(uint32(2*v - 1))
		return
	}
	w.ue(uint32(-2 * v))
}

// escaped puts emulation prevention bytes in (H.264 §7.4.1).
func (w *bitWriter) escaped() (nal []byte) {
	zeros := 0
	for _, b := range w.data {
		if zeros >= 2 && b <= 3 {
			nal = append(nal, 3)
			zeros = 0
		}
		nal = append(nal, b)
		if zeros++; b != 0 {
			zeros = 0
		}
	}
	return nal
}

// TestSPSProperties writes parameter sets of every kind and reads their size.
func TestSPSProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := func(name string, least, most int) uint32 {
			return uint32(rapid.IntRange(least, most).Draw(t, name))
		}
		flag := func(name string) uint32 { return number(name, 0, 1) }
		var w bitWriter
		idc := rapid.SampledFrom([]uint32{66, 77, 88, 100, 110, 122, 244, 44}).Draw(t, "profile")
		w.u(8, idc)
		w.u(16, number("level", 0, 0xffff))
		w.ue(number("id", 0, 31))
		format := uint32(1)
		if idc >= 100 || idc == 44 {
			format = number("chroma", 0, 3)
			writeHigh(t, &w, format)
		}
		w.ue(number("frame_num", 0, 12))
		switch order := number("order", 0, 2); order {
		case 0:
			w.ue(0)
			w.ue(number("lsb", 0, 12))
		case 1:
			w.ue(1)
			w.u(1, flag("delta"))
			w.se(int32(number("offset", 0, 9)) - 5)
			w.se(int32(number("offset", 0, 9)) - 5)
			n := number("cycle", 0, 255)
			w.ue(n)
			for range n {
				w.se(int32(number("offset", 0, 9)) - 5)
			}
		default:
			w.ue(2)
		}
		w.ue(number("refs", 0, 16))
		w.u(1, flag("gaps"))
		width, height := number("width", 1, 256), number("height", 1, 256)
		w.ue(width - 1)
		w.ue(height - 1)
		progressive := flag("progressive")
		w.u(1, progressive)
		if progressive == 0 {
			w.u(1, flag("mbaff"))
		}
		w.u(1, flag("direct"))
		crop := number("crop", 0, 3)
		w.u(1, min(crop, 1))
		if crop > 0 {
			for range 4 {
				w.ue(crop)
			}
		}
		w.u(1, 1)
		unitX, unitY := 1, int(2-progressive)
		if format == 1 || format == 2 {
			unitX = 2
		}
		if format == 1 {
			unitY *= 2
		}
		wantX := int(width)*16 - 2*int(crop)*unitX
		wantY := int(height*16*(2-progressive)) - 2*int(crop)*unitY
		if wantX <= 0 || wantY <= 0 {
			wantX, wantY = 0, 0
		}
		nal := w.escaped()
		if x, y := spsSize(nal); x != wantX || y != wantY {
			t.Fatalf("% x: %d×%d, want %d×%d", nal, x, y, wantX, wantY)
		}
		cut := rapid.IntRange(0, len(nal)-1).Draw(t, "cut")
		if x, y := spsSize(nal[:cut]); (x == 0) != (y == 0) {
			t.Fatalf("cut: %d×%d", x, y)
		}
	})
}

func writeHigh(t *rapid.T, w *bitWriter, format uint32) {
	w.ue(format)
	lists := 8
	if format == 3 {
		lists = 12
		w.u(1, 0)
	}
	w.ue(0)
	w.ue(0)
	w.u(1, 0)
	if !rapid.Bool().Draw(t, "scaling") {
		w.u(1, 0)
		return
	}
	w.u(1, 1)
	for i := range lists {
		if !rapid.Bool().Draw(t, "list") {
			w.u(1, 0)
			continue
		}
		w.u(1, 1)
		size := 16
		if i >= 6 {
			size = 64
		}
		last := int32(8)
		stop := rapid.IntRange(0, size).Draw(t, "stop")
		for j := range size {
			next := int32(rapid.IntRange(1, 255).Draw(t, "scale"))
			if j == stop {
				next = 0
			}
			d := (next - last + 256) % 256
			if d > 127 {
				d -= 256
			}
			w.se(d)
			if next == 0 {
				break
			}
			last = next
		}
	}
}
