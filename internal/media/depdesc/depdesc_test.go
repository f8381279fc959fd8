package depdesc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writer writes a bit string.
type writer struct {
	b []byte
	n int
}

func (w *writer) f(n int, v uint32) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

// shape is a template: its layers, what it is to the targets (in the letters
// of the specification), and how far back it looks in the chains.
type shape struct {
	s, t   uint32
	dti    string
	fdiffs []uint32
	chains []uint32
}

// l2t2 is two spatial and two temporal layers; the targets are S0T0, S0T1,
// S1T0, S1T1. Frames come in the order S0, S1 of T0, then of T1.
var l2t2 = []shape{
	{0, 0, "SSSS", nil, []uint32{0, 0}},            // key
	{0, 0, "SSRR", []uint32{4}, []uint32{4, 3}},    // base
	{0, 1, "-D-R", []uint32{2}, []uint32{2, 1}},    //
	{1, 0, "--SS", []uint32{1}, []uint32{1, 1}},    // key
	{1, 0, "--SS", []uint32{4, 1}, []uint32{1, 1}}, //
	{1, 1, "---D", []uint32{2, 1}, []uint32{3, 2}}, //
}

const offset = 60 // of template ids: they wrap

// structure writes l2t2's.
func (w *writer) structure(sizes bool) {
	w.f(6, offset)
	w.f(5, 3) // four targets
	for i, m := range l2t2 {
		switch {
		case i+1 == len(l2t2):
			w.f(2, 3)
		case l2t2[i+1].s > m.s:
			w.f(2, 2)
		case l2t2[i+1].t > m.t:
			w.f(2, 1)
		default:
			w.f(2, 0)
		}
	}
	for _, m := range l2t2 {
		for _, c := range m.dti {
			w.f(2, uint32(strings.IndexRune("-DSR", c)))
		}
	}
	for _, m := range l2t2 {
		for _, d := range m.fdiffs {
			w.f(1, 1)
			w.f(4, d-1)
		}
		w.f(1, 0)
	}
	// Two chains, ns(5): 2 is 10. Each target's, ns(2): one bit.
	w.f(2, 2)
	for _, c := range []uint32{0, 0, 1, 1} {
		w.f(1, c)
	}
	for _, m := range l2t2 {
		w.f(4, m.chains[0])
		w.f(4, m.chains[1])
	}
	if !sizes {
		w.f(1, 0)
		return
	}
	w.f(1, 1)
	for _, v := range []uint32{320, 180, 640, 360} {
		w.f(16, v-1)
	}
}

// frame writes a packet that is a whole frame.
func frame(number uint16, template uint32, structured bool) []byte {
	var w writer
	w.f(2, 3)
	w.f(6, (template+offset)%maxTemplates)
	w.f(16, uint32(number))
	if structured {
		w.f(5, 0b10000)
		w.structure(true)
	}
	return w.b
}

func TestParse(t *testing.T) {
	var r Reader
	var d Descriptor
	if r.Known() || r.Parse(frame(1, 1, false), &d) != nil {
		t.Error("took a frame before any structure")
	}
	key := frame(0xffff, 0, true)
	s := r.Parse(key, &d)
	if s == nil || !r.Known() {
		t.Fatal("key frame not parsed")
	}
	want := [maxTargets]Target{{0, 0, 0}, {0, 1, 0}, {1, 0, 1}, {1, 1, 1}}
	if diff := cmp.Diff(want, s.Target, cmp.AllowUnexported(Target{})); diff != "" || s.Targets != 4 || s.Chains != 2 {
		t.Errorf("%d targets, %d chains: %s", s.Targets, s.Chains, diff)
	}
	if s.Sizes != [maxSpatial]Size{{320, 180}, {640, 360}} {
		t.Errorf("%v", s.Sizes)
	}
	if d.Frame != 0xffff || !d.Start || !d.End || !d.Key() || !d.Activates || d.Active != 15 {
		t.Errorf("%+v", d)
	}
	if again := r.Parse(frame(1, 0, true), &d); again != s {
		t.Error("the same structure is another one")
	}
	var own Descriptor
	if !s.Parse(key, &own) || own.Frame != 0xffff || !own.Key() || own.Active != 15 {
		t.Errorf("%+v by its structure", own)
	}
	for i, m := range l2t2 {
		if r.Parse(frame(7, uint32(i), false), &d) != s {
			t.Fatalf("template %d not parsed", i)
		}
		got := ""
		for _, x := range d.Indications[:4] {
			got += string("-DSR"[x])
		}
		if got != m.dti || uint32(d.Spatial) != m.s || uint32(d.Temporal) != m.t || uint32(d.Chains[0]) != m.chains[0] || uint32(d.Chains[1]) != m.chains[1] {
			t.Errorf("template %d: %s %+v", i, got, d)
		}
	}
	if r.Parse(frame(7, 6, false), &d) != nil {
		t.Error("took a template that is not there")
	}
	for n := range len(key) {
		var r Reader
		if r.Parse(key[:n], &d) != nil {
			t.Errorf("took %d bytes of %d", n, len(key))
		}
	}
}

// TestCustom: what departs from the template.
func TestCustom(t *testing.T) {
	var r Reader
	var d Descriptor
	r.Parse(frame(1, 0, true), &d)
	var w writer
	w.f(2, 2) // begins, does not end
	w.f(6, offset+1)
	w.f(16, 2)
	w.f(5, 0b01111)
	w.f(4, 0b0011) // active: S0T0 and S0T1
	for _, v := range []uint32{2, 1, 0, 3} {
		w.f(2, v)
	}
	for _, diff := range []struct{ size, minus1 uint32 }{{1, 3}, {3, 300}} {
		w.f(2, diff.size)
		w.f(int(4*diff.size), diff.minus1)
	}
	w.f(2, 0)
	w.f(8, 200)
	w.f(8, 100)
	if r.Parse(w.b, &d) == nil || !d.Start || d.End || d.Active != 3 || !d.Activates || d.Chains[0] != 200 || d.Chains[1] != 100 ||
		[4]Indication(d.Indications[:4]) != [4]Indication{Switch, Discardable, NotPresent, Required} {
		t.Errorf("%+v", d)
	}
}

// stream is a receiver's view of an l2t2 stream.
type stream struct {
	r     Reader
	s     Selector
	next  uint16
	stamp uint32
	kept  []byte // lost on the way to the router
}

// picture sends frames by template and says which were forwarded; ! marks the
// end of the picture. x: the frame before was lost, + it comes now.
func (st *stream) picture(templates string) string {
	out := ""
	st.stamp += 3000
	for i, c := range templates {
		var b []byte
		switch c {
		case 'x':
			continue
		case '+':
			b = st.kept
		default:
			b = frame(st.next, uint32(c-'0'), c == '0')
			st.next++
			if i+1 < len(templates) && templates[i+1] == 'x' {
				st.kept = b
				continue
			}
		}
		var d Descriptor
		known := st.r.Parse(b, &d)
		if known == nil {
			continue
		}
		forward, last := st.s.Take(known, &d, st.stamp)
		if forward {
			out += fmt.Sprint(d.Spatial, d.Temporal, " ")
		}
		if last {
			out += "! "
		}
	}
	return strings.ReplaceAll(strings.TrimSpace(out), " !", "!")
}

func TestSelector(t *testing.T) {
	steps := []struct {
		name              string
		spatial, temporal int // aimed at
		frames, want      string
		key               bool // wanted afterwards
	}{
		{"nothing before a key frame", 1, 1, "14", "", true},
		{"all layers", 1, 1, "03", "0 0 1 0!", false},
		{"all layers", 1, 1, "25", "0 1 1 1!", false},
		{"fewer pictures", 1, 0, "14", "0 0 1 0!", false},
		{"fewer pictures", 1, 0, "25", "", false},
		{"down to the smaller picture", 0, 1, "14", "0 0!", false},
		{"down to the smaller picture", 0, 1, "25", "0 1!", false},
		{"least", 0, 0, "14", "0 0!", false},
		{"least", 0, 0, "25", "", false},
		{"up in time", 0, 1, "14", "0 0!", false},
		{"up in time", 0, 1, "25", "0 1!", false},
		{"not up before a frame allows it", 1, 1, "25", "0 1!", true},
		{"up in space, where the upper frame may begin", 1, 1, "14", "0 0! 1 0!", false},
		{"all again", 1, 1, "25", "0 1 1 1!", false},
		{"a lost frame comes late", 1, 1, "2x5+", "1 1! 0 1", false},
		{"a lost end comes late", 1, 1, "14x+", "0 0 1 0!", false},
		{"it was left out, and stays so", 0, 1, "14x+", "0 0!", false},
		{"a new key frame", 1, 1, "03", "0 0 1 0!", false},
	}
	st := stream{s: NewSelector(), next: 0xfffa}
	var d Descriptor
	st.r.Parse(frame(st.next, 0, true), &d) // known, but not shown to the selector
	for _, tt := range steps {
		st.s.Aim(tt.spatial, tt.temporal)
		if got := st.picture(tt.frames); got != tt.want || st.s.WantsKey() != tt.key {
			t.Errorf("%s (%s): %q, want %q; wants key %v", tt.name, tt.frames, got, tt.want, st.s.WantsKey())
		}
	}
	if spatial, temporal := st.s.Current(); spatial != 1 || temporal != 1 {
		t.Errorf("%d %d", spatial, temporal)
	}
}

// TestManyPackets: all packets of a frame have its fate, late ones too.
func TestManyPackets(t *testing.T) {
	var r Reader
	var d Descriptor
	s := NewSelector()
	s.Aim(0, 0)
	st := r.Parse(frame(1, 0, true), &d)
	d.End = false
	if f, last := s.Take(st, &d, 0); !f || last {
		t.Error(f, last)
	}
	d.Start, d.End = false, true
	if f, last := s.Take(st, &d, 0); !f || !last {
		t.Error(f, last)
	}
	r.Parse(frame(2, 3, false), &d)
	if f, _ := s.Take(st, &d, 0); f {
		t.Error("forwards the larger picture")
	}
	for _, number := range []uint16{1, 2, 0} {
		r.Parse(frame(number, 1, false), &d)
		if f, _ := s.Take(st, &d, 0); f != (number == 1) {
			t.Errorf("late packet of frame %d: %v", number, f)
		}
	}
}

// TestInactive: where the sender stops a target, the receiver goes down, and is
// back with a frame that allows it.
func TestInactive(t *testing.T) {
	var r Reader
	var d Descriptor
	s := NewSelector()
	s.Aim(1, 1)
	take := func(content []byte, stamp uint32) bool {
		_, last := s.Take(r.Parse(content, &d), &d, stamp)
		return last
	}
	take(frame(1, 0, true), 0)
	take(frame(2, 3, false), 0)
	active := func(number uint16, template, targets uint32) []byte {
		var w writer
		w.f(2, 3)
		w.f(6, (template+offset)%maxTemplates)
		w.f(16, uint32(number))
		w.f(5, 0b01000)
		w.f(4, targets)
		return w.b
	}
	if !take(active(3, 1, 0b0011), 3000) || s.WantsKey() {
		t.Error("the smaller picture does not end with its own frame, or a key frame is wanted that would not help")
	}
	if take(active(4, 1, 0b1111), 6000); !s.WantsKey() {
		t.Error("the larger picture is not wanted back")
	}
	if !take(frame(5, 4, false), 6000) || s.WantsKey() {
		t.Error("it is not back")
	}
}

func TestAllocations(t *testing.T) {
	var r Reader
	var d Descriptor
	s := NewSelector()
	s.Aim(0, 0)
	key, base := frame(1, 0, true), frame(2, 1, false)
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range [][]byte{key, base} {
			s.Take(r.Parse(b, &d), &d, 0)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(frame(1, 0, true), frame(2, 1, false))
	f.Add(frame(0xffff, 0, true), frame(0, 5, false))
	list := capture(f)
	for i := range list[1:] {
		f.Add(list[i].content, list[i+1].content)
	}
	f.Fuzz(func(t *testing.T, key, next []byte) {
		var r Reader
		var d Descriptor
		s := NewSelector()
		s.Aim(3, 7)
		for i, b := range [][]byte{frame(1, 0, true), key, next, next} {
			st := r.Parse(b, &d)
			if st == nil {
				continue
			}
			if st.Targets > maxTargets || st.Chains > st.Targets {
				t.Fatalf("%+v", st)
			}
			var again Descriptor
			if !st.Parse(b, &again) || again != d {
				t.Fatalf("%+v, then %+v", d, again)
			}
			s.Take(st, &d, uint32(i/2))
			s.Current()
			s.WantsKey()
		}
	})
}
