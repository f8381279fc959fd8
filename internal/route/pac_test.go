package route

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func script(t *testing.T, body string) *PAC {
	t.Helper()
	p, err := NewPAC(body)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{"meet.example.org": "203.0.113.9", "intern.corp.example": "10.1.2.3"}
	p.lookup = func(_ context.Context, host string) (string, error) {
		if ip, ok := names[host]; ok {
			return ip, nil
		}
		return "", errors.New("no such name")
	}
	p.local = func() string { return "10.20.30.40" }
	return p
}

func TestPACFunctions(t *testing.T) {
	for expression, want := range map[string]bool{
		`isPlainHostName("www")`:                                                                   true,
		`isPlainHostName("www.example.org")`:                                                       false,
		`dnsDomainIs("www.Example.org", ".example.org")`:                                           true,
		`dnsDomainIs("www.example.com", ".example.org")`:                                           false,
		`localHostOrDomainIs("www", "www.example.org")`:                                            true,
		`localHostOrDomainIs("www.example.com", "www.example.org")`:                                false,
		`isResolvable("meet.example.org")`:                                                         true,
		`isResolvable("nowhere.example")`:                                                          false,
		`isInNet("10.1.2.3", "10.0.0.0", "255.0.0.0")`:                                             true,
		`isInNet("intern.corp.example", "10.1.0.0", "255.255.0.0")`:                                true,
		`isInNet("meet.example.org", "10.0.0.0", "255.0.0.0")`:                                     false,
		`isInNet("nowhere.example", "0.0.0.0", "0.0.0.0")`:                                         false,
		`isInNet(myIpAddress(), "10.20.0.0", "255.255.0.0")`:                                       true,
		`dnsResolve("meet.example.org") === "203.0.113.9"`:                                         true,
		`dnsResolve("nowhere.example") === null`:                                                   true,
		`dnsDomainLevels("a.b.c") === 2`:                                                           true,
		`shExpMatch("https://a.example.org/x", "*.example.org/*")`:                                 true,
		`shExpMatch("abc", "a?c")`:                                                                 true,
		`shExpMatch("abc", "a?d")`:                                                                 false,
		`shExpMatch("", "*")`:                                                                      true,
		`weekdayRange("SUN", "SAT")`:                                                               true,
		`timeRange(0, 0, 0, 23, 59, 59)`:                                                           true,
		`dateRange("JAN", "DEC")`:                                                                  true,
		`dateRange(1970, 2100)`:                                                                    true,
		`dateRange(1970, 1971)`:                                                                    false,
		`weekdayRange(["SUN","MON","TUE","WED","THU","FRI","SAT"][new Date().getUTCDay()], "GMT")`: true,
	} {
		t.Run(expression, func(t *testing.T) {
			p := script(t, `function FindProxyForURL(url, host) { return (`+expression+`) ? "PROXY yes:1" : "PROXY no:1"; }`)
			ways, err := p.Find(t.Context(), "https://meet.example.org/", "meet.example.org")
			if err != nil {
				t.Fatal(err)
			}
			if got := ways[0].Address == "yes:1"; got != want {
				t.Errorf("gave %v", got)
			}
		})
	}
}

func TestPACAnswers(t *testing.T) {
	for answer, want := range map[string][]string{
		"DIRECT":                           {"direct"},
		"PROXY proxy:8080":                 {"http://proxy:8080"},
		"PROXY a:1; PROXY b:2; DIRECT":     {"http://a:1", "http://b:2", "direct"},
		"HTTPS secure.example":             {"https://secure.example:443"},
		"SOCKS5 s:1080; socks t:1":         {"socks5://s:1080", "socks5://t:1"},
		"QUIC q:1; PROXY a:1":              {"http://a:1"},
		"  PROXY   a:1 ;":                  {"http://a:1"},
		"PROXY [2001:db8::1]:3128":         {"http://[2001:db8::1]:3128"},
		strings.Repeat("PROXY a:1;", 1000): cycle("http://a:1", pacMaxWays),
		"":                                 nil,
		"nonsense":                         nil,
		"PROXY":                            nil,
	} {
		ways, err := ParseWays(answer)
		var got []string
		for _, w := range ways {
			got = append(got, w.String())
		}
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (want != nil) {
			t.Errorf("%.40q: %v (-want +got)\n%s", answer, err, diff)
		}
	}
}

func cycle(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

func TestPACThatMisbehaves(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"runs for ever":      {`function FindProxyForURL() { for (;;) {} }`, "too long"},
		"runs at the start":  {`for (;;) {}`, "too long"},
		"recurses":           {`function FindProxyForURL(u, h) { return FindProxyForURL(u, h); }`, "run the PAC script"},
		"throws":             {`function FindProxyForURL() { throw new Error("broken"); }`, "broken"},
		"has no function":    {`var x = 1;`, "no function FindProxyForURL"},
		"answers a number":   {`function FindProxyForURL() { return 7; }`, "names no way out"},
		"reaches for a file": {`function FindProxyForURL() { return require("fs"); }`, "require"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := script(t, tc.body)
				ctx, cancel := context.WithCancel(t.Context())
				if tc.want == "too long" {
					cancel() // an endless script lets no virtual time pass
				}
				defer cancel()
				_, err := p.Find(ctx, "https://x/", "x")
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q in it", err, tc.want)
				}
			})
		})
	}
	if _, err := NewPAC("function ("); err == nil {
		t.Error("a syntax error was taken")
	}
	if _, err := NewPAC(strings.Repeat(" ", pacMaxScript+1)); err == nil {
		t.Error("an endless file was taken")
	}
}

func TestPACMemoryIsBounded(t *testing.T) {
	p := script(t, `function FindProxyForURL() { var a = []; for (;;) a.push("x".repeat(65536) + a.length); }`)
	_, err := p.Find(t.Context(), "https://x/", "x")
	if err == nil || !strings.Contains(err.Error(), "too m") && !strings.Contains(err.Error(), "too long") {
		t.Errorf("got %v", err)
	}
}

func TestPACNullIsDirect(t *testing.T) {
	ways, err := script(t, `function FindProxyForURL() { return null; }`).Find(t.Context(), "https://x/", "x")
	if err != nil || len(ways) != 1 || ways[0].Kind != Direct {
		t.Errorf("%v, %v", ways, err)
	}
}

func TestPACSlowNameLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := script(t, `function FindProxyForURL(u, h) { dnsResolve(h); for (;;) {} }`)
		p.lookup = func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}
		start := time.Now()
		_, err := p.Find(t.Context(), "https://x/", "x")
		if err == nil || time.Since(start) > pacMaxTime {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func FuzzParseWays(f *testing.F) {
	f.Add("PROXY a:1; SOCKS b:2; DIRECT")
	f.Add("HTTPS [::1]:443")
	f.Fuzz(func(t *testing.T, answer string) {
		ways, err := ParseWays(answer)
		if (err == nil) != (len(ways) > 0) {
			t.Fatalf("%v, %v", ways, err)
		}
	})
}
