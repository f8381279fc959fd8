package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"causeway/protocol"
)

// startWithin bounds the start of a server, on a machine that may be busy.
const startWithin = 30 * time.Second

// A Deployment is the system spread over a World's hosts, each server a
// process with a configuration of its own, TLS between all of them.
type Deployment struct {
	*World
	binary  string
	ca      string
	servers map[string]*Process
	meeting struct {
		Number  string `json:"number"`
		JoinURL string `json:"join_url"`
	}
}

// built is causeway, built once for all tests; CAUSEWAY_BIN names one that
// exists.
var built = sync.OnceValues(func() (string, error) {
	if b := os.Getenv("CAUSEWAY_BIN"); b != "" {
		return b, nil
	}
	dir, err := os.MkdirTemp("", "causeway-lab-")
	if err != nil {
		return "", err
	}
	b := filepath.Join(dir, "causeway")
	cmd := exec.Command("go", "build", "-o", b, "causeway/cmd/causeway")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return b, nil
})

// NewDeployment starts web, one zone controller, one router and one tunnel,
// and creates a meeting.
func NewDeployment(w *World) *Deployment {
	w.t.Helper()
	b, err := built()
	w.must(err)
	d := &Deployment{World: w, binary: b, ca: filepath.Join(w.dir, "ca", "ca.pem"), servers: map[string]*Process{}}
	for _, kind := range []string{"web", "zone", "mmr", "tunnel"} {
		d.StartServer(kind)
	}
	out := d.in("web", b, "meeting", "create", "--server", "https://"+names["web"], "--ca", d.ca, "--topic", "Lab", "--json")
	w.must(json.Unmarshal([]byte(out), &d.meeting))
	d.untilRouted()
	return d
}

// configs are the servers' configurations below the common head.
var configs = map[string]string{
	"web": `database: sqlite:DIR/web.db
web: {public_url: "https://web.causeway.test", creation: anyone}
`,
	"zone": `bus: {hubs: ["web.causeway.test:443"]}
zone: {id: zc1, zone: lab, name: Lab, url: "https://zone.causeway.test"}
`,
	"mmr": `bus: {controllers: ["zone.causeway.test:443"]}
mmr: {id: mmr1, zone: lab, control_url: "wss://mmr.causeway.test/mmr/v1/control", public_addresses: ["203.0.113.30"]}
`,
	"tunnel": `bus: {hubs: ["web.causeway.test:443"]}
tunnel: {id: t1, url: "https://tunnel.causeway.test"}
`,
	"tunnel2": `bus: {hubs: ["web.causeway.test:443"]}
tunnel: {id: t2, url: "https://tunnel2.causeway.test"}
`,
}

// kindOf is the kind of a host's server.
func kindOf(host string) string { return strings.TrimRight(host, "0123456789") }

// StartServer starts a host's server, anew after it was killed.
func (d *Deployment) StartServer(host string) {
	d.t.Helper()
	kind := kindOf(host)
	s := server{name: host, host: host, kind: kind, dns: names[host], listen: ":443", config: configs[host]}
	s.enrol = map[string][]string{
		"zone":   {"--zone", "lab", "--role", "controller", "--name", "zc1"},
		"mmr":    {"--zone", "lab", "--role", "mmr", "--name", "mmr1"},
		"tunnel": {"--role", "tunnel", "--name", "t1"}, "tunnel2": {"--role", "tunnel", "--name", "t2"},
	}[host]
	d.start(s)
	if kind == "web" && !d.servers[host].Until(`"ready":true`, startWithin) {
		d.t.Fatalf("%s did not get ready", host)
	}
}

// A server says how one is started.
type server struct {
	name, host string
	kind       string
	dns        string   // that its certificate is for
	listen     string   // address and port of HTTPS
	config     string   // below the common head
	enrol      []string // arguments for its token; nil for web
}

// start starts a server.
func (d *Deployment) start(s server) {
	d.t.Helper()
	file := filepath.Join(d.dir, s.name+".yaml")
	text := fmt.Sprintf("server: %s\nlisten: %q\nadmin: \"\"\ntls: {own_ca: %s/ca, names: [%s]}\nlog: {level: warn}\n", s.kind, s.listen, d.dir, s.dns)
	text += strings.ReplaceAll(s.config, "DIR", d.dir)
	if s.enrol != nil {
		text += d.identity(s)
	}
	d.must(os.WriteFile(file, []byte(text), 0o600))
	d.servers[s.name] = d.Start(s.host, d.binary, s.kind, "--config", file, "--ready-json")
}

// identity are the lines of a server's file with which it comes to its
// identity; a token is for its first start, and in the way of no other.
func (d *Deployment) identity(s server) string {
	web := filepath.Join(d.dir, "web.yaml")
	if s.enrol[0] == "--zone" {
		d.in("web", d.binary, "zone", "add", s.enrol[1], "--config", web)
	}
	var made protocol.Enrolment
	out := d.in("web", append([]string{d.binary, "token", "create", "--config", web, "--json"}, s.enrol...)...)
	d.must(json.Unmarshal([]byte(out), &made))
	return fmt.Sprintf("data: %s/data-%s\nenroll: %s\n", d.dir, s.name, made.Token)
}

// A zone says how one of a controller and a router is started: both in one
// host, each with an address of its own.
type zone struct {
	id, host, first string // see AddSite
	more            string // lines of both files
	controller      string // more of the controller's configuration
	mmr             string // and of the router's
}

// StartZone starts a zone.
func (d *Deployment) StartZone(z zone) {
	d.t.Helper()
	zc, mmr := "zone."+z.id+".test", "mmr."+z.id+".test"
	d.start(server{
		name: z.id + "-zone", host: z.host, kind: "zone", dns: zc, listen: z.first + ".20:443",
		config: z.more + fmt.Sprintf("bus: {hubs: [\"web.causeway.test:443\"]}\nzone: {id: zc1, zone: %s, url: \"https://%s\"%s}\n", z.id, zc, z.controller),
		enrol:  []string{"--zone", z.id, "--role", "controller", "--name", "zc1"},
	})
	d.start(server{
		name: z.id + "-mmr", host: z.host, kind: "mmr", dns: mmr, listen: z.first + ".30:443",
		config: z.more + fmt.Sprintf("bus: {controllers: [\"%s:443\"]}\nmmr: {id: mmr1, zone: %s, control_url: \"wss://%s/mmr/v1/control\", media_listen: \"%[4]s.30:8801\", public_addresses: [%[4]s.30]%[5]s}\n",
			zc, z.id, mmr, z.first, z.mmr),
		enrol: []string{"--zone", z.id, "--role", "mmr", "--name", "mmr1"},
	})
	for _, name := range []string{z.id + "-zone", z.id + "-mmr"} {
		if !d.servers[name].Until(`"ready":true`, startWithin) {
			d.t.Fatalf("%s did not get ready", name)
		}
	}
}

// untilRouted waits until every server says that it is ready, and all have
// heard of each other.
func (d *Deployment) untilRouted() {
	d.t.Helper()
	for kind, p := range d.servers {
		if !p.Until(`"ready":true`, startWithin) {
			d.t.Fatalf("%s did not get ready", kind)
		}
	}
	for deadline := time.Now().Add(startWithin); ; {
		j := d.Join(100 * time.Millisecond)
		if j.Status == 0 {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("no way into the meeting: %s", j.Stderr)
		}
	}
}

// Joined is what a run of causeway join came to.
type Joined struct {
	Report protocol.Report
	Status int
	Stderr string
	Took   time.Duration
}

// Join runs causeway join in the client's host for a while.
func (d *Deployment) Join(duration time.Duration, args ...string) Joined {
	d.t.Helper()
	return d.JoinWith(duration, nil, args...)
}

// JoinWith does so with more in the environment.
func (d *Deployment) JoinWith(duration time.Duration, env []string, args ...string) Joined {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), duration+60*time.Second)
	defer cancel()
	report := filepath.Join(d.t.TempDir(), "report.json")
	all := append([]string{
		d.binary, "join", d.meeting.JoinURL, "--name", "Lab", "--publish", "testcard",
		"--duration", duration.String(), "--report", report, "--ca", d.ca,
	}, args...)
	cmd := d.command(ctx, "client", all...)
	cmd.Env = append(append(os.Environ(), "HOME="+d.dir, "XDG_CACHE_HOME="+d.t.TempDir()), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	start := time.Now()
	err := cmd.Run()
	j := Joined{Stderr: stderr.String(), Took: time.Since(start)}
	if err != nil {
		j.Status = cmd.ProcessState.ExitCode()
	}
	if data, err := os.ReadFile(report); err == nil {
		d.must(json.Unmarshal(data, &j.Report))
	}
	return j
}
