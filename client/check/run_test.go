package check

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"causeway/client/connect"
	"causeway/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files")

// varying are the parts of a report that differ from run to run.
var varying = []struct {
	is   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`after \d+ ms`), "after N ms"},
	{regexp.MustCompile(`於 \d+ 毫秒`), "於 N 毫秒"},
	{regexp.MustCompile(`(right \(|正確（相差 )\d+`), "${1}N"},
	{regexp.MustCompile(`clock is (3\d\d) s`), "clock is ~360 s"},
	{regexp.MustCompile(`until [\d-]+`), "until DATE"},
	{regexp.MustCompile(`authority on \S+ [\d-]+`), "authority on HOST DATE"},
	{regexp.MustCompile(`至 [\d-]+`), "至 DATE"},
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	for _, v := range varying {
		got = v.is.ReplaceAllString(got, v.with)
	}
	path := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_")+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestReports holds what a person reads in several networks.
func TestReports(t *testing.T) {
	ann := connect.ProxyOptions{Proxy: "proxy.example.com:3128", User: "ann:secret"}
	for _, c := range []struct {
		name     string
		network  func(s *system)
		proxy    connect.ProxyOptions
		options  func(o *Options)
		address  string
		language protocol.Language
	}{
		{name: "open"},
		{name: "open in Chinese", language: protocol.TraditionalChinese},
		{name: "no meeting", address: "https://meet.example.com"},
		{name: "wrong passcode", network: func(s *system) { s.refusal = protocol.ProblemWrongPasscode }},
		{name: "UDP blocked", network: func(s *system) { s.blocked["udp"] = errDropped }},
		{name: "only 443", network: func(s *system) { s.blocked["udp"], s.blocked[mediaAddress] = errDropped, refused }},
		{name: "proxy only", proxy: ann, network: only443ByProxy},
		{name: "proxy without credentials", proxy: connect.ProxyOptions{Proxy: ann.Proxy}, network: only443ByProxy},
		{name: "controllers refused", network: func(s *system) { s.blocked["a1.example.com:443"] = refused }},
		{name: "tunnel without WebSocket", network: func(s *system) { s.plain = true }},
		{name: "everything but web refused", network: func(s *system) {
			for _, h := range []string{"a1", "near", "mmr"} {
				s.blocked[h+".example.com:443"] = refused
			}
		}},
		{name: "web refused", network: func(s *system) { s.blocked["meet.example.com:443"] = refused }},
		{name: "TLS inspected", options: func(o *Options) { o.Network.TLS.RootCAs = x509.NewCertPool() }},
		{name: "TLS opened on the way", network: func(s *system) { s.opened = true }},
		{name: "TLS opened on the way in Chinese", network: func(s *system) { s.opened = true }, language: protocol.TraditionalChinese},
		{name: "media of an unknown authority", network: func(s *system) { s.foreign = true }},
		{name: "zone of an unknown authority", network: func(s *system) { s.stranger = "a1.example.com" }},
		{name: "clock ahead", network: func(s *system) { s.ahead = -6 * time.Minute }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSystem(t)
			if c.network != nil {
				c.network(s)
			}
			o := s.options(c.proxy)
			if c.options != nil {
				c.options(&o)
			}
			if c.address == "" {
				c.address = meetingLink
			}
			r, err := Run(t.Context(), c.address, o)
			if err != nil {
				t.Fatal(err)
			}
			r.Say(c.language)
			var b bytes.Buffer
			if err := r.Print(&b, c.language); err != nil {
				t.Fatal(err)
			}
			golden(t, c.name, b.String())
			if data, err := json.Marshal(r); err != nil || !json.Valid(data) {
				t.Errorf("JSON: %v", err)
			}
		})
	}
}

func only443ByProxy(s *system) {
	s.blocked["udp"], s.blocked[mediaAddress] = errDropped, refused
	for _, h := range []string{"meet", "a1", "near", "mmr"} {
		s.blocked[h+".example.com:443"] = errDropped
	}
}

func TestRunRefuses(t *testing.T) {
	for address, code := range map[string]protocol.Code{"ftp://x": protocol.ProblemBadLink, "https://x/j/1": protocol.ProblemBadLink} {
		if _, err := Run(t.Context(), address, Options{}); protocol.ProblemOf(err).Code != code {
			t.Errorf("%s: %v", address, err)
		}
	}
	o := Options{Network: connect.Options{Proxy: connect.ProxyOptions{Proxy: "ftp://x"}}}
	if _, err := Run(t.Context(), "https://x", o); protocol.ProblemOf(err).Code != protocol.ProblemProxySettings {
		t.Errorf("%v", err)
	}
}
