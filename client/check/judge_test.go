package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

func TestWordsAreComplete(t *testing.T) {
	for _, language := range Languages() {
		for row, w := range table[language] {
			if w.text == "" {
				t.Errorf("%s: %s has no text", language, row)
			}
		}
	}
	for row, en := range table[protocol.English] {
		zh, ok := table[protocol.TraditionalChinese][row]
		if !ok || strings.Count(zh.text, "%s") != strings.Count(en.text, "%s") || (zh.remedy == "") != (en.remedy == "") {
			t.Errorf("%s: %+v and %+v do not match", row, en, zh)
		}
	}
	for _, id := range []ID{Name, Web, Certificate, Clock, Proxy, Lookup, Controller, Tunnel, Join, Control, UDP, TCP, TLS, NAT} {
		for _, language := range Languages() {
			if titles[language][id] == "" {
				t.Errorf("%s has no title in %s", id, language)
			}
		}
	}
	if len(table[protocol.English]) != len(table[protocol.TraditionalChinese]) || len(phrases[protocol.English]) != len(phrases[protocol.TraditionalChinese]) {
		t.Error("the languages differ in length")
	}
}

func TestClock(t *testing.T) {
	for _, c := range []struct {
		skew  time.Duration
		v     Verdict
		words string
	}{
		{0, OK, "clock.ok"},
		{60 * time.Second, OK, "clock.ok"},
		{-60 * time.Second, OK, "clock.ok"},
		{61 * time.Second, Warn, "clock.warn.ahead"},
		{-61 * time.Second, Warn, "clock.warn.behind"},
		{5 * time.Minute, Warn, "clock.warn.ahead"},
		{5*time.Minute + 1, Fail, "clock.fail.ahead"},
		{-24 * time.Hour, Fail, "clock.fail.behind"},
	} {
		if l := judgeClock(c.skew); l.Verdict != c.v || l.Words != c.words {
			t.Errorf("%v: %s %s, want %s %s", c.skew, l.Verdict, l.Words, c.v, c.words)
		}
	}
}

func TestNAT(t *testing.T) {
	here, there := netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("192.0.2.1:1001")
	at := func(idle int, after netip.AddrPort) silence {
		return silence{idle: time.Duration(idle) * time.Second, before: here, after: after}
	}
	for _, c := range []struct {
		name  string
		all   []silence
		v     Verdict
		words string
		args  string
	}{
		{"none", []silence{{idle: 4, before: here, local: true}}, OK, "nat.none", "[]"},
		{"kept", []silence{at(9, here), at(4, here)}, OK, "nat.ok", "[9]"},
		{"another port", []silence{at(4, here), at(9, there)}, Warn, "nat.warn", "[4 9]"},
		{"not answered", []silence{at(4, netip.AddrPort{}), at(9, netip.AddrPort{})}, Warn, "nat.warn", "[0 4]"},
		{"long enough", []silence{at(20, here), at(45, here), at(90, there)}, OK, "nat.between", "[45 90]"},
		{"kept by luck later on", []silence{at(4, here), at(9, there), at(20, here)}, Warn, "nat.warn", "[4 9]"},
	} {
		if l := judgeNAT("x", c.all); l.Verdict != c.v || l.Words != c.words || fmt.Sprint(l.Args) != c.args {
			t.Errorf("%s: %s %s %v", c.name, l.Verdict, l.Words, l.Args)
		}
	}
}

func TestConclusion(t *testing.T) {
	all := []ID{Web, Clock, Proxy, Lookup, Controller, Tunnel, Join, Control, UDP, TCP, TLS}
	for _, c := range []struct {
		bad   string // id=verdict …
		v     Verdict
		words string
	}{
		{"", OK, "all.ok"},
		{"web=fail", Fail, "all.web"},
		{"lookup=fail", Fail, "all.lookup"},
		{"lookup=skipped", OK, "all.half"},
		{"lookup=skipped clock=warn", Warn, "all.half"},
		{"controller=fail", Warn, "all.tunnel"},
		{"controller=fail tunnel=fail", Fail, "all.zones"},
		{"controller=fail tunnel=warn", Warn, "all.tunnel"},
		{"tunnel=fail", OK, "all.ok"},
		{"join=fail", Fail, "all.join"},
		{"control=fail tunnel=fail", Fail, "all.control"},
		{"udp=fail", Warn, "all.stream"},
		{"udp=fail tcp=fail", Warn, "all.stream"},
		{"udp=fail tcp=fail tls=fail", Fail, "all.media"},
		{"tcp=fail tls=fail", OK, "all.ok"},
		{"clock=fail", Warn, "all.clock"},
	} {
		verdicts := map[ID]Verdict{}
		for _, w := range strings.Fields(c.bad) {
			id, v, _ := strings.Cut(w, "=")
			verdicts[ID(id)] = Verdict(v)
		}
		var lines []Line
		for _, id := range all {
			v, ok := verdicts[id]
			if !ok {
				v = OK
			}
			lines = append(lines, Line{Check: id, Verdict: v})
		}
		if v, w := conclude(lines); v != c.v || w != c.words {
			t.Errorf("%q: %s %s, want %s %s", c.bad, v, w, c.v, c.words)
		}
		if _, ok := table[protocol.English][c.words]; !ok {
			t.Errorf("no words for %s", c.words)
		}
	}
	if v, w := conclude(nil); v != Fail || w != "all.web" {
		t.Errorf("nothing: %s %s", v, w)
	}
}

func TestRules(t *testing.T) {
	got := rules([]Line{
		{Check: Web, Verdict: OK, Target: "https://meet.test"},
		{Check: Clock, Verdict: OK},
		{Check: Controller, Verdict: Fail, Target: "https://a1.test:8443"},
		{Check: Control, Verdict: OK, Target: "wss://meet.test/mmr/v1/control"},
		{Check: UDP, Verdict: Fail, Target: "192.0.2.1:8801"},
		{Check: TCP, Verdict: OK, Target: "192.0.2.1:8801"},
		{Check: TLS, Verdict: Warn, Target: "[2001:db8::1]:443"},
		{Check: UDP, Verdict: OK, Target: "127.0.0.1:8801"},
		{Check: UDP, Verdict: OK, Target: "nonsense"},
		{Check: Tunnel, Verdict: OK, Target: "https://near.test"},
		{Check: TLS, Verdict: OK, Target: "mmr.test:443", Via: "https://near.test"},
		{Check: Web, Verdict: OK, Target: "http://localhost:8080"},
	})
	want := []Rule{
		{Host: "meet.test", Port: "443", Protocol: "TCP", For: Web, Open: true},
		{Host: "a1.test", Port: "8443", Protocol: "TCP", For: Controller},
		{Host: "192.0.2.1", Port: "8801", Protocol: "UDP", For: UDP},
		{Host: "192.0.2.1", Port: "8801", Protocol: "TCP", For: TCP, Open: true},
		{Host: "2001:db8::1", Port: "443", Protocol: "TCP", For: TLS, Open: true},
		{Host: "near.test", Port: "443", Protocol: "TCP", For: Tunnel, Open: true},
		{Host: "mmr.test", Port: "443", Protocol: "TCP", For: TLS},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The tunnel of 'causeway up' leads nowhere from its own machine, where
// controllers speak plain HTTP.
func TestPlainTunnelIsLeftOut(t *testing.T) {
	steps := planPackage(protocol.Package{Tunnels: []protocol.Tunnel{{URL: "http://localhost:8080"}, {URL: "https://t.test"}}})
	if want := []Step{{Check: Tunnel, Target: "https://t.test"}}; !slices.Equal(steps, want) {
		t.Errorf("%v, want %v", steps, want)
	}
}

func TestAddressesAreBounded(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:1":               "127.0.0.1:1",
		"127.0.0.1:1 192.0.2.1:1":   "192.0.2.1:1",
		"":                          "",
		"a:1 192.0.2.1:1 [::1]:443": "192.0.2.1:1",
		"192.0.2.1:1 192.0.2.2:1 192.0.2.3:1 192.0.2.4:1 192.0.2.5:1": "192.0.2.1:1 192.0.2.2:1 192.0.2.3:1 192.0.2.4:1",
	} {
		if got := strings.Join(bound(strings.Fields(in)), " "); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"https://meet.test/j/123456789?pwd=x": "https://meet.test 123456789 true",
		"https://meet.test":                   "https://meet.test 000000000 false",
		"https://meet.test/":                  "https://meet.test 000000000 false",
		"meet.test:8443":                      "https://meet.test:8443 000000000 false",
		"http://localhost:8080":               "http://localhost:8080 000000000 false",
		"http://meet.test":                    "bad_link",
		"https://meet.test/j/12":              "bad_link",
		"https://meet.test/elsewhere":         "bad_link",
		"":                                    "bad_link",
	} {
		l, meeting, err := parse(in)
		got := fmt.Sprintf("%s %s %v", l.Base, l.Number, meeting)
		if err != nil {
			got = string(protocol.ProblemOf(err).Code)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "連線": 4, "媒體 UDP": 8, "（a）。": 7, "→": 1} {
		if got := width(s); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}

func FuzzResponse(f *testing.F) {
	c := credentials{}
	m, err := c.request()
	if err == nil {
		f.Add(m.Raw)
	}
	f.Add([]byte{})
	f.Add(make([]byte, 20))
	f.Fuzz(func(t *testing.T, packet []byte) {
		if _, ok := c.response(packet, [12]byte{1}); ok {
			t.Error("taken for an answer to what was not asked")
		}
	})
}
