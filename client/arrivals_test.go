package client

import (
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/internal/media/twcc"
)

func TestArrivals(t *testing.T) {
	d := offer.New(offer.Params{Lines: []offer.LineParams{{Kind: offer.Audio, Direction: offer.RecvOnly}}})
	a := newArrivals(7, &d)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	raw := make([]byte, header.InsertRoom+100)
	raw[header.InsertRoom] = 2 << 6
	for i := range uint16(3) {
		p := header.Insert(raw, header.InsertRoom, a.id, 0xfffe+2*i)
		h, ok := header.Parse(p)
		if !ok {
			t.Fatal("not parsed")
		}
		a.note(&h, p, now)
		clear(raw[:header.InsertRoom])
		copy(raw[header.InsertRoom:], []byte{2 << 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	}
	var told []byte
	for range 3 {
		a.tell(make([]byte, 2048), now, func(p []byte) error { told = append(told, p...); return nil })
	}
	f, ok := twcc.Parse(told)
	if !ok || f.Base != 0xfffe || f.Count != 5 || len(told) != 4*((20+2+3+3)/4) {
		t.Errorf("%v %+v, %d bytes", ok, f, len(told))
	}
	// Without the extension nothing is noted.
	b := newArrivals(7, &offer.Description{})
	b.note(&header.Header{}, raw, now)
	b.tell(nil, now, func([]byte) error { t.Error("tells"); return nil })
}
