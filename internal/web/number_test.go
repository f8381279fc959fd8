package web

import (
	"strings"
	"testing"
	"unicode/utf8"

	"causeway/protocol"
)

func TestParseNumber(t *testing.T) {
	for _, c := range []struct {
		in, want string
		ok       bool
	}{
		{"123456789", "123456789", true},
		{"1234567890", "1234567890", true},
		{"12345678901", "12345678901", true},
		{"123 456 7890", "1234567890", true},
		{"123-456-7890", "1234567890", true},
		{" 123\u00a0456\u20117890 ", "1234567890", true},
		{"000000000", "000000000", true},
		{"12345678", "", false},
		{"123456789012", "", false},
		{"", "", false},
		{"- - -", "", false},
		{"123456789a", "", false},
		{"１２３４５６７８９", "", false}, // full width
		{"12345678\x009", "", false},
		{"+1234567890", "", false},
		{"123456789" + strings.Repeat(" ", 100), "", false},
	} {
		got, ok := parseNumber(c.in)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %q, %t, want %q, %t", c.in, got, ok, c.want, c.ok)
		}
	}
}

func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"123456789", "123 456-7890", "12345678\x009", "", "１２３"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseNumber(s)
		if !ok {
			return
		}
		if len(got) < 9 || len(got) > 11 || strings.Trim(got, "0123456789") != "" {
			t.Errorf("%q became %q", s, got)
		}
		if again, ok := parseNumber(got); !ok || again != got {
			t.Errorf("%q became %q and then %q, %t", s, got, again, ok)
		}
	})
}

func FuzzCleanText(f *testing.F) {
	for _, s := range []string{"Tea", " a\x00b\n", "\u202eabc", "\xff\xfe", "茶 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := cleanText(s)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r\t\x7f\u202e") || strings.TrimSpace(got) != got || cleanText(got) != got {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func TestMade(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		number, passcode, id := newNumber(), newPasscode(), newID()
		if got, ok := parseNumber(number); !ok || got != number || len(number) != 10 || number[0] == '0' {
			t.Fatalf("number %q", number)
		}
		if len(passcode) != 10 || strings.ContainsAny(passcode, "0o1li") || strings.ToLower(passcode) != passcode || cleanText(passcode) != passcode {
			t.Fatalf("passcode %q", passcode)
		}
		if !protocol.ValidID(id) {
			t.Fatalf("id %q", id)
		}
		for _, s := range []string{number, passcode, id, newSecret("")} {
			if seen[s] {
				t.Fatalf("%q twice", s)
			}
			seen[s] = true
		}
	}
}
