package connect

import (
	"strings"
	"testing"

	"causeway/protocol"
)

func TestParseLink(t *testing.T) {
	for _, c := range []struct {
		link string
		want Link
	}{
		{"https://meet.test/j/123456789", Link{Base: "https://meet.test", Number: "123456789"}},
		{"  https://meet.test/j/12345678901?pwd=a%20b&host=s3cret \n", Link{Base: "https://meet.test", Number: "12345678901", Passcode: "a b", Invitation: "s3cret"}},
		{"https://meet.test/j/123456789?pwd=x&panel=s3cret", Link{Base: "https://meet.test", Number: "123456789", Passcode: "x", Invitation: "s3cret", Panel: true}},
		{"https://meet.test:8443/j/123456789/?pwd=x&utm=y", Link{Base: "https://meet.test:8443", Number: "123456789", Passcode: "x"}},
		{"HTTPS://meet.test/j/123456789#room", Link{Base: "https://meet.test", Number: "123456789"}},
		{"https://[2001:db8::1]:8443/j/123456789", Link{Base: "https://[2001:db8::1]:8443", Number: "123456789"}},
		{"http://localhost:8080/j/123456789", Link{Base: "http://localhost:8080", Number: "123456789"}},
		{"http://127.0.0.1:8080/j/123456789", Link{Base: "http://127.0.0.1:8080", Number: "123456789"}},
		{"http://[::1]/j/123456789", Link{Base: "http://[::1]", Number: "123456789"}},
	} {
		t.Run(c.link, func(t *testing.T) {
			got, err := ParseLink(c.link)
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestParseLinkRefuses(t *testing.T) {
	for _, link := range []string{
		"", "123456789", "meet.test/j/123456789", "ftp://meet.test/j/123456789",
		"http://meet.test/j/123456789",      // would send the passcode in the clear
		"http://localhost.test/j/123456789", // not this machine
		"http://10.0.0.1/j/123456789",       // not this machine
		"wss://meet.test/j/123456789",       // no page
		"https:///j/123456789", "https:j/123456789",
		"https://user:pw@meet.test/j/123456789",
		"https://meet.test/", "https://meet.test/j/", "https://meet.test/j/12345678", "https://meet.test/j/123456789012",
		"https://meet.test/j/12345678x", "https://meet.test/x/j/123456789", "https://meet.test/j/123456789/x",
		"https://meet.test/j/１２３４５６７８９",
		"https://meet.test/j/123456789?pwd=%zz",
		"https://meet.test/j/123456789?pwd=" + strings.Repeat("p", 65),
		"https://meet.test/j/123456789?host=" + strings.Repeat("h", 129),
		"https://meet.test/j/123456789?x=" + strings.Repeat("x", maxLink),
		"https://meet.test\x00/j/123456789",
	} {
		t.Run(link, func(t *testing.T) {
			got, err := ParseLink(link)
			if p := protocol.ProblemOf(err); err == nil || p.Code != protocol.ProblemBadLink || p.Detail == "" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// FuzzParseLink checks that what is accepted is safe and survives writing.
func FuzzParseLink(f *testing.F) {
	for _, s := range []string{
		"https://meet.test/j/123456789?pwd=a&host=b", "http://localhost:8080/j/123456789", "http://[::1%25lo]/j/123456789",
		"https://meet.test:8443/j/12345678901/", "https://%00/j/123456789", "", "//", "https://x:-1/j/123456789",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLink(s)
		if err != nil {
			return
		}
		if !isNumber(l.Number) || !(strings.HasPrefix(l.Base, "https://") || strings.HasPrefix(l.Base, "http://")) {
			t.Fatalf("accepted %+v", l)
		}
		again, err := ParseLink(l.String())
		if err != nil || again != l {
			t.Fatalf("%+v, written %q, read %+v, %v", l, l.String(), again, err)
		}
	})
}
