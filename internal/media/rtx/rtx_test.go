package rtx

import (
	"bytes"
	"testing"

	"github.com/pion/rtp"

	"causeway/internal/media/header"
)

func packet(t testing.TB, payload string) []byte {
	t.Helper()
	p := &rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: 0xffff, Timestamp: 77, SSRC: 5, Marker: true, CSRC: []uint32{9}},
		Payload: []byte(payload),
	}
	if err := p.SetExtension(3, []byte("mid")); err != nil {
		t.Fatal(err)
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return append(make([]byte, 0, 1500), b...)
}

func TestRoundTrip(t *testing.T) {
	original := packet(t, "a frame")
	wrapped, ok := Wrap(packet(t, "a frame"), 97, 6, 1)
	h, parsed := header.Parse(wrapped)
	if !ok || !parsed || h.PayloadType != 97 || h.SSRC != 6 || h.Sequence != 1 || h.Timestamp != 77 || !h.Marker {
		t.Errorf("%v %+v", ok, h)
	}
	if got := string(h.Payload(wrapped)); got != "\xff\xffa frame" {
		t.Errorf("payload %q", got)
	}
	if got := string(h.Extension(wrapped, 3)); got != "mid" {
		t.Errorf("extension %q", got)
	}
	if got, ok := Unwrap(wrapped, 96, 5); !ok || !bytes.Equal(got, original) {
		t.Errorf("%v % x, want % x", ok, got, original)
	}
}

func TestRefuses(t *testing.T) {
	full := packet(t, "x")
	if _, ok := Wrap(full[:len(full):len(full)+1], 97, 6, 1); ok {
		t.Error("wrapped without room")
	}
	if _, ok := Wrap(full[:5], 97, 6, 1); ok {
		t.Error("wrapped a fragment")
	}
	for _, payload := range []string{"", "x", "xy"} {
		if _, ok := Unwrap(packet(t, payload), 96, 5); ok {
			t.Errorf("unwrapped %q", payload)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add(packet(f, "a frame"))
	f.Add(packet(f, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, ok := Unwrap(bytes.Clone(b), 96, 5)
		if !ok {
			return
		}
		h, parsed := header.Parse(out)
		if !parsed || h.SSRC != 5 || h.PayloadType != 96 || len(out) != len(b)-Overhead {
			t.Fatalf("%+v", h)
		}
		w, _ := header.Parse(b)
		again, ok := Wrap(append(make([]byte, 0, len(b)), out...), w.PayloadType, w.SSRC, w.Sequence)
		if !ok || !bytes.Equal(again, b) {
			t.Fatalf("% x became % x", b, again)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	b := packet(t, "a frame")
	n := testing.AllocsPerRun(1000, func() {
		w, _ := Wrap(b, 97, 6, 1)
		u, _ := Unwrap(w, 96, 5)
		b = append(b[:0], u...)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWrap(b *testing.B) {
	b.ReportAllocs()
	p := packet(b, "a frame")
	for b.Loop() {
		Wrap(p, 97, 6, 1)
	}
}
