//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"causeway/internal/base/pki"
	"causeway/internal/base/porttest"
	"causeway/protocol"
)

// A system is web, a zone of two controllers that share one router, and
// PostgreSQL, each a process of its own, with TLS by one authority.
type system struct {
	t         testing.TB
	dir       string
	ca        string // file
	database  string
	key       string // of the API
	http      *http.Client
	ports     map[string]int
	processes map[string]*process
}

// servers are a system's processes.
var servers = []string{"web", "zc1", "zc2", "mmr"}

// created is what `causeway meeting create --json` prints.
type created struct {
	Number   string `json:"number"`
	Passcode string `json:"passcode"`
	JoinURL  string `json:"join_url"`
	HostURL  string `json:"host_url"`
	PanelURL string `json:"panel_url"`
}

// newSystem starts a system and waits until all of it can be used.
func newSystem(t testing.TB) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), database: postgres.Database(t), ports: map[string]int{}, processes: map[string]*process{}}
	authority, err := pki.OpenFor(s.dir, "servers", []string{"localhost", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	s.ca = authority.CAFile()
	s.http = trusting(t, s.ca)
	s.configure()
	s.enrol()
	for _, name := range servers {
		s.start(name)
	}
	status, out, stderr := command(t, "apikey", "create", "--config", s.file("web.yaml"), "--name", "e2e", "--json")
	if status != 0 {
		t.Fatalf("apikey create: %s", stderr)
	}
	s.key = decode[struct{ Key string }](t, out).Key
	for _, name := range servers {
		s.ready(name)
	}
	s.awaitZone()
	return s
}

func (s *system) file(name string) string { return filepath.Join(s.dir, name) }

func (s *system) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// port is the port that has a name, chosen when it is first asked for.
func (s *system) port(name string) int {
	if s.ports[name] == 0 {
		s.ports[name] = porttest.Free(s.t)
	}
	return s.ports[name]
}

func (s *system) address(port string) string { return fmt.Sprintf("127.0.0.1:%d", s.port(port)) }

func (s *system) url(name string) string { return "https://" + s.address(name) }

// configure writes the servers' files. web issues its own certificate, the
// others are given files.
func (s *system) configure() {
	common := func(kind, name, tls string) string {
		return fmt.Sprintf("server: %s\nlisten: %s\nadmin: %s\nlog: {level: warn}\ntls: %s\n", kind, s.address(name), s.address(name+"-admin"), tls)
	}
	files := fmt.Sprintf("{cert: %s, key: %s}", s.file("servers.pem"), s.file("servers.key"))
	bus := fmt.Sprintf("bus:\n  ca: %s\n", s.ca)
	s.write("web.yaml", common("web", "web", "{own_ca: "+s.dir+"}")+bus+fmt.Sprintf(`database: %q
web:
  public_url: %s
  creation: api_key
`, s.database, s.url("web")))
	for name, other := range map[string]string{"zc1": "zc2", "zc2": "zc1"} {
		s.write(name+".yaml", common("zone", name, files)+bus+fmt.Sprintf(`  hubs: [%s, %s]
  cluster: [%s]
data: %s
zone: {id: %s, zone: taipei, name: Taipei, url: %q, joins_per_minute: 6000, join_burst: 3000}
`, s.address("web"), s.address("web2"), s.address(other), s.file("data-"+name), name, s.url(name)))
	}
	s.write("mmr.yaml", common("mmr", "mmr", files)+bus+fmt.Sprintf(`  controllers: [%s, %s]
data: %s
mmr: {id: m1, zone: taipei, control_url: "wss://%s%s", media_listen: %s}
`, s.address("zc1"), s.address("zc2"), s.file("data-mmr"), s.address("mmr"), protocol.PathControl, s.address("media")))
}

// enrol gives the servers' files enrolment tokens, made in web's database.
func (s *system) enrol() {
	s.t.Helper()
	s.atHome("zone", "add", "taipei")
	for name, role := range map[string]string{"zc1": "controller", "zc2": "controller", "mmr": "mmr"} {
		s.admit(name, role)
	}
}

// admit gives a server's file an enrolment token.
func (s *system) admit(name, role string) { s.admitTo("taipei", name, role) }

// admitTo does so in a zone.
func (s *system) admitTo(zone, name, role string) {
	s.t.Helper()
	made := decode[protocol.Enrolment](s.t, s.atHome("token", "create", "--zone", zone, "--role", role))
	text, err := os.ReadFile(s.file(name + ".yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+".yaml", string(text)+"enroll: "+made.Token+"\n")
}

// atHome runs a command that works on web's database.
func (s *system) atHome(args ...string) string {
	s.t.Helper()
	status, out, stderr := command(s.t, append(args, "--config", s.file("web.yaml"), "--json")...)
	if status != 0 {
		s.t.Fatalf("causeway %s: %s", strings.Join(args, " "), stderr)
	}
	return out
}

// start starts a server of the system, again if it has ended.
func (s *system) start(name string) {
	s.t.Helper()
	kind := name
	switch {
	case strings.HasPrefix(name, "zc"):
		kind = "zone"
	case strings.HasPrefix(name, "m"):
		kind = "mmr"
	case strings.HasPrefix(name, "web"):
		kind = "web"
	}
	s.processes[name] = start(s.t, name, kind, "--config", s.file(name+".yaml"), "--ready-json")
}

// ready waits until a server is.
func (s *system) ready(name string) {
	s.t.Helper()
	s.processes[name].line(`"ready":true`)
}

// awaitZone waits until web offers both controllers.
func (s *system) awaitZone() {
	s.t.Helper()
	m := s.create("--topic", "Probe")
	s.eventually("web offers both controllers", func() bool {
		status, body := s.post(s.url("web")+protocol.PathMeetings+"/"+m.Number+"/lookup", "", protocol.LookupRequest{Passcode: m.Passcode, Name: "Probe"})
		return status == 200 && strings.Contains(body, s.url("zc1")) && strings.Contains(body, s.url("zc2"))
	})
}

// eventually asks until the answer is yes.
func (s *system) eventually(what string, yes func() bool) {
	s.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for enough := time.After(patience); !yes(); {
		select {
		case <-again.C:
		case <-enough:
			s.t.Fatalf("it never happened that %s", what)
		}
	}
}

// api runs a command that speaks with the API.
func (s *system) api(args ...string) string {
	s.t.Helper()
	status, out, stderr := command(s.t, append(args, "--server", s.url("web"), "--ca", s.ca, "--api-key", s.key, "--json")...)
	if status != 0 {
		s.t.Fatalf("causeway %s: status %d: %s", strings.Join(args, " "), status, stderr)
	}
	return out
}

func (s *system) create(args ...string) created {
	s.t.Helper()
	return decode[created](s.t, s.api(append([]string{"meeting", "create"}, args...)...))
}

// trusting is an HTTP client that trusts an authority.
func trusting(t testing.TB, ca string) *http.Client {
	t.Helper()
	pool, err := pki.Pool(ca)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// post posts JSON, with a token or key if there is one.
func (s *system) post(url, bearer string, body any) (status int, answer string) {
	s.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(data))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return s.do(req)
}

// get fetches a page.
func (s *system) get(url string) (status int, answer string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(req)
}

// do makes a request; status 0 is one that was not answered.
func (s *system) do(req *http.Request) (status int, answer string) {
	res, err := s.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(data)
}
