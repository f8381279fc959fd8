package store

import (
	"strings"
	"testing"
)

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"", "e30", "x", "eyJ0IjoiMjAyNi0wMy0wNFQxMjowMDowMFoiLCJpIjoibS0xIn0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCursor(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(c.ID, "\x00\n") {
			t.Errorf("%q became %+v, which PostgreSQL refuses", s, c)
		}
		if again, err := parseCursor(c.String()); s != "" && (err != nil || again != c) {
			t.Errorf("%q became %+v and then %+v, %v", s, c, again, err)
		}
	})
}

func FuzzParseDSN(f *testing.F) {
	for _, s := range []string{"", "sqlite:a b%.db", "sqlite:/x?mode=ro", "postgres://u:p@host:1/db?sslmode=disable", "postgres://%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDSN(s)
		if err == nil && !d.postgres && (d.place == "" || !strings.HasPrefix(d.source, "file:") || strings.Count(d.source, "?") != 1) {
			t.Errorf("%q became %+v", s, d)
		}
	})
}
