package route

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http/httpproxy"
)

func TestParseProxy(t *testing.T) {
	for in, want := range map[string]Proxy{
		"proxy:8080":                   {Kind: HTTP, Address: "proxy:8080"},
		"proxy":                        {Kind: HTTP, Address: "proxy:3128"},
		"http://proxy":                 {Kind: HTTP, Address: "proxy:3128"},
		"https://proxy/":               {Kind: HTTPS, Address: "proxy:443"},
		"socks5://ann:s3cret@proxy:99": {Kind: SOCKS5, Address: "proxy:99", User: "ann", Password: "s3cret"},
		"http://corp%5Cann:p%40ss@p:1": {Kind: HTTP, Address: "p:1", User: `corp\ann`, Password: "p@ss"},
		"http://[2001:db8::1]:3128":    {Kind: HTTP, Address: "[2001:db8::1]:3128"},
		"direct":                       {Kind: Direct},
		"ftp://proxy":                  {},
		"http://":                      {},
		"http://proxy:port":            {},
		"http://proxy/path":            {},
		"":                             {},
	} {
		got, err := ParseProxy(in, "")
		if (err == nil) != (want.Kind != "") || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}

func TestFinderOrder(t *testing.T) {
	pac := filepath.Join(t.TempDir(), "proxy.pac")
	body := `function FindProxyForURL(u, h) { return h == "direct.example" ? "DIRECT" : "PROXY pac:1"; }`
	if err := os.WriteFile(pac, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := &httpproxy.Config{HTTPSProxy: "http://env:1", NoProxy: "intern.example"}
	system := func(context.Context) (System, error) { return System{Proxy: "sys:1", Bypass: []string{"*.lan"}}, nil }
	for name, tc := range map[string]struct {
		settings Settings
		address  string
		want     Proxy
	}{
		"nothing":                  {Settings{}, "a.example:443", Proxy{Kind: Direct}},
		"flag before all":          {Settings{Proxy: "flag:1", PAC: pac, Environment: environment}, "a.example:443", Proxy{Kind: HTTP, Address: "flag:1", Origin: FromFlag}},
		"flag direct":              {Settings{Proxy: "direct", Environment: environment}, "a.example:443", Proxy{Kind: Direct, Origin: FromFlag}},
		"script before the rest":   {Settings{PAC: pac, Environment: environment}, "a.example:443", Proxy{Kind: HTTP, Address: "pac:1", Origin: FromPAC}},
		"script says direct":       {Settings{PAC: pac, Environment: environment}, "direct.example:443", Proxy{Kind: Direct, Origin: FromPAC}},
		"environment":              {Settings{Environment: environment, System: system}, "a.example:443", Proxy{Kind: HTTP, Address: "env:1", Origin: FromEnvironment}},
		"environment's exceptions": {Settings{Environment: environment, System: system}, "intern.example:443", Proxy{Kind: Direct}},
		"system":                   {Settings{Environment: &httpproxy.Config{}, System: system}, "a.example:443", Proxy{Kind: HTTP, Address: "sys:1", Origin: FromSystem}},
		"system's exceptions":      {Settings{System: system}, "printer.lan:443", Proxy{Kind: Direct}},
		"loopback is never sent":   {Settings{Proxy: "flag:1"}, "127.0.0.1:8443", Proxy{Kind: Direct}},
		"localhost neither":        {Settings{Proxy: "flag:1"}, "localhost:8443", Proxy{Kind: Direct}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := NewFinder(tc.settings, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]Proxy{tc.want}, f.For(t.Context(), tc.address)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFinderRefuses(t *testing.T) {
	for name, s := range map[string]Settings{
		"bad proxy":     {Proxy: "ftp://x"},
		"no script":     {PAC: "/nonexistent/proxy.pac"},
		"script's host": {PAC: "http://127.0.0.1:1/proxy.pac"},
	} {
		f, err := NewFinder(s, nil, nil)
		if err == nil {
			err = f.Check(t.Context())
		}
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestFinderFetchesScriptOnce(t *testing.T) {
	fetched := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched++
		_, _ = w.Write([]byte(`function FindProxyForURL() { return "PROXY p:1"; }`))
	}))
	defer server.Close()
	f, err := NewFinder(Settings{PAC: server.URL + "/proxy.pac"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if ways := f.For(t.Context(), "a.example:443"); ways[0].Address != "p:1" {
			t.Fatalf("%v", ways)
		}
	}
	if fetched != 1 {
		t.Errorf("fetched %d times", fetched)
	}
}

// TestFinderForgetsWhoGaveUp: that one dialling was given up says nothing of
// the proxy that others need.
func TestFinderForgetsWhoGaveUp(t *testing.T) {
	script := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`function FindProxyForURL(u, h) { return "PROXY pac:1"; }`))
	}))
	defer script.Close()
	for name, tc := range map[string]struct {
		settings Settings
		want     Proxy
	}{
		"script": {Settings{PAC: script.URL}, Proxy{Kind: HTTP, Address: "pac:1", Origin: FromPAC}},
		"system": {
			Settings{System: func(ctx context.Context) (System, error) { return System{Proxy: "sys:1"}, ctx.Err() }},
			Proxy{Kind: HTTP, Address: "sys:1", Origin: FromSystem},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := NewFinder(tc.settings, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, giveUp := context.WithCancel(t.Context())
			giveUp()
			f.For(ctx, "a.example:443")
			if got := f.For(t.Context(), "a.example:443"); len(got) != 1 || got[0] != tc.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestSystemSettings(t *testing.T) {
	gnome := `org.gnome.system.proxy autoconfig-url ''
org.gnome.system.proxy ignore-hosts ['localhost', '127.0.0.0/8', '*.corp.example']
org.gnome.system.proxy mode 'manual'
org.gnome.system.proxy.http host 'h.example'
org.gnome.system.proxy.http port 8080
org.gnome.system.proxy.https host 's.example'
org.gnome.system.proxy.https port 8443
org.gnome.system.proxy.socks host ''
org.gnome.system.proxy.socks port 0
`
	mac := `<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
  }
  ExcludeSimpleHostnames : 1
  HTTPSEnable : 1
  HTTPSPort : 3128
  HTTPSProxy : proxy.example
  ProxyAutoConfigEnable : 0
}
`
	for name, tc := range map[string]struct{ got, want System }{
		"GNOME by hand": {parseGNOME(gnome), System{Proxy: "http://s.example:8443", Bypass: []string{"localhost", "127.0.0.0/8", "*.corp.example"}}},
		"GNOME none":    {parseGNOME("org.gnome.system.proxy mode 'none'\norg.gnome.system.proxy ignore-hosts @as []\n"), System{}},
		"GNOME script":  {parseGNOME("org.gnome.system.proxy mode 'auto'\norg.gnome.system.proxy autoconfig-url 'http://p/x.pac'\n"), System{PAC: "http://p/x.pac"}},
		"GNOME WPAD":    {parseGNOME("org.gnome.system.proxy mode 'auto'\norg.gnome.system.proxy autoconfig-url ''\n"), System{PAC: "auto"}},
		"macOS":         {parseSCUtil(mac), System{Proxy: "http://proxy.example:3128", Bypass: []string{"*.local", "169.254/16", "<local>"}}},
		"macOS script":  {parseSCUtil("<dictionary> {\n  ProxyAutoConfigEnable : 1\n  ProxyAutoConfigURLString : http://p/x.pac\n}\n"), System{PAC: "http://p/x.pac"}},
		"Windows":       {fromWindows(true, "proxy:8080", "*.corp;<local>", ""), System{Proxy: "proxy:8080", Bypass: []string{"*.corp", "<local>"}}},
		"Windows kinds": {fromWindows(true, "http=a:1;https=b:2;socks=c:3", "", ""), System{Proxy: "b:2"}},
		"Windows socks": {fromWindows(true, "http=a:1;socks=c:3", "", ""), System{Proxy: "socks5://c:3"}},
		"Windows off":   {fromWindows(false, "proxy:8080", "x", "http://p/x.pac"), System{PAC: "http://p/x.pac"}},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

func TestBypassed(t *testing.T) {
	for _, tc := range []struct {
		host, pattern string
		want          bool
	}{
		{"a.corp.example", "*.corp.example", true},
		{"a.corp.example", ".corp.example", true},
		{"corp.example", ".corp.example", true},
		{"notcorp.example", "corp.example", false},
		{"10.1.2.3", "10.0.0.0/8", true},
		{"11.1.2.3", "10.0.0.0/8", false},
		{"10.1.2.3", "10.*", true},
		{"printer", "<local>", true},
		{"a.b", "<local>", false},
		{"A.Example", "a.example", true},
		{"x", "", false},
	} {
		if got := bypassed(tc.host, []string{tc.pattern}); got != tc.want {
			t.Errorf("%s by %q: %v", tc.host, tc.pattern, got)
		}
	}
}

func TestSearchDomains(t *testing.T) {
	got := parseSearch("nameserver 192.0.2.1\ndomain old.example\nsearch eu.corp.example corp.example. com\n# search no.example\n")
	if diff := cmp.Diff([]string{"eu.corp.example", "corp.example"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCredentialsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "proxies")
	write := func(body string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("# ours\nproxy.example:3128 ann pass word\nother bob b\n2001:db8::1 carol c\n", 0o600)
	c, err := FileCredentials(file)
	if err != nil {
		t.Fatal(err)
	}
	if u, p, ok := c(t.Context(), Proxy{Address: "proxy.example:3128"}); u != "ann" || p != "pass word" || !ok {
		t.Errorf("%q %q %v", u, p, ok)
	}
	if u, _, ok := c(t.Context(), Proxy{Address: "other:99"}); u != "bob" || !ok {
		t.Errorf("by host alone: %q %v", u, ok)
	}
	if u, _, ok := c(t.Context(), Proxy{Address: "[2001:db8::1]:3128"}); u != "carol" || !ok {
		t.Errorf("by an IPv6 address alone: %q %v", u, ok)
	}
	if _, _, ok := c(t.Context(), Proxy{Address: "stranger:1"}); ok {
		t.Error("credentials for a stranger")
	}
	write("proxy ann secret\n", 0o644)
	if _, err := FileCredentials(file); err == nil {
		t.Error("a file that others can read was taken")
	}
	write("proxy ann\n", 0o600)
	if _, err := FileCredentials(file); err == nil {
		t.Error("half a line was taken")
	}
}
