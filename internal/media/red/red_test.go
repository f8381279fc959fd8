package red

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

type older struct {
	offset uint32
	data   string
}

// pack makes a payload of blocks of payload type 111.
func pack(newest string, blocks ...older) []byte {
	var p []byte
	for _, b := range blocks {
		n := b.offset<<10 | uint32(len(b.data))
		p = append(p, 0x80|111, byte(n>>16), byte(n>>8), byte(n))
	}
	p = append(p, 111)
	for _, b := range blocks {
		p = append(p, b.data...)
	}
	return append(p, newest...)
}

func (b Blocks) all() (list []older) {
	for {
		offset, data, ok := b.Next()
		if !ok {
			return list
		}
		list = append(list, older{offset, string(data)})
	}
}

func TestParse(t *testing.T) {
	long := strings.Repeat("x", 1<<10-1)
	for name, blocks := range map[string][]older{
		"none":                  nil,
		"one":                   {{960, "before"}},
		"two":                   {{1920, "long before"}, {960, "before"}},
		"empty":                 {{960, ""}},
		"the longest, furthest": {{1<<14 - 1, long}},
	} {
		payload := pack("newest", blocks...)
		p, ok := Parse(payload)
		if !ok || p.Type != 111 || string(payload[p.NewestAt:]) != "newest" {
			t.Errorf("%s: %+v, %v", name, p, ok)
		}
		if got := p.Older.all(); !slices.Equal(got, blocks) {
			t.Errorf("%s: %v", name, got)
		}
		for n := range len(payload) - len("newest") + 1 {
			if _, ok := Parse(payload[:n]); ok {
				t.Errorf("%s: taken when cut to %d bytes", name, n)
			}
		}
	}
}

func TestParseRefusesAnotherCodec(t *testing.T) {
	payload := pack("newest", older{1920, "a"}, older{960, "b"})
	for _, at := range []int{4, 8} { // the headers behind the first
		other := bytes.Clone(payload)
		other[at]--
		if _, ok := Parse(other); ok {
			t.Errorf("took a header of another payload type at %d", at)
		}
	}
}

func TestSetType(t *testing.T) {
	payload := pack("newest", older{1920, "oldest"}, older{960, "before"})
	want := bytes.Clone(payload)
	SetType(payload, 96)
	want[0], want[4], want[8] = 0x80|96, 0x80|96, 96
	if !bytes.Equal(payload, want) {
		t.Errorf("%x, want %x", payload, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(pack("newest"))
	f.Add(pack("newest", older{1920, "oldest"}, older{960, "before"}))
	f.Add(pack("newest", older{1<<14 - 1, ""})[:3])
	f.Fuzz(func(t *testing.T, payload []byte) {
		p, ok := Parse(payload)
		if !ok {
			return
		}
		if p.NewestAt <= 0 || p.NewestAt >= len(payload) {
			t.Fatalf("the newest at %d of %d", p.NewestAt, len(payload))
		}
		blocks := p.Older.all()
		size := 0
		for _, b := range blocks {
			size += olderSize + len(b.data)
		}
		if size+1 != p.NewestAt {
			t.Errorf("%d bytes before the newest, want %d", size+1, p.NewestAt)
		}
		SetType(payload, 96)
		again, ok := Parse(payload)
		if !ok || again.Type != 96 || !slices.Equal(again.Older.all(), blocks) {
			t.Errorf("%x after SetType", payload)
		}
	})
}

func TestAllocatesNothing(t *testing.T) {
	payload := pack("newest", older{1920, "oldest"}, older{960, "before"})
	sum := uint32(0)
	if n := testing.AllocsPerRun(100, func() {
		p, _ := Parse(payload)
		for {
			offset, _, ok := p.Older.Next()
			if !ok {
				break
			}
			sum += offset
		}
		SetType(payload, 111)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
