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

// binary builds causeway once for all tests; CAUSEWAY_BIN names one that
// exists.
var binary = sync.OnceValues(func() (string, error) {
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
	b, err := binary()
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
	file := filepath.Join(d.dir, host+".yaml")
	text := fmt.Sprintf("server: %s\nlisten: \":443\"\nadmin: 127.0.0.1:9100\ntls: {own_ca: %s/ca, names: [%s]}\nlog: {level: warn}\n", kind, d.dir, names[host])
	text += strings.ReplaceAll(configs[host], "DIR", d.dir)
	if kind != "web" {
		text += d.identity(host)
	}
	d.must(os.WriteFile(file, []byte(text), 0o600))
	p := d.Start(host, d.binary, kind, "--config", file, "--ready-json")
	d.servers[host] = p
	if kind == "web" && !p.Until(`"ready":true`, startWithin) {
		d.t.Fatalf("%s did not get ready", host)
	}
}

// identity are the lines of a server's file with which it comes to its
// identity; a token is for its first start, and in the way of no other.
func (d *Deployment) identity(host string) string {
	args := map[string][]string{
		"zone":   {"--zone", "lab", "--role", "controller", "--name", "zc1"},
		"mmr":    {"--zone", "lab", "--role", "mmr", "--name", "mmr1"},
		"tunnel": {"--role", "tunnel", "--name", "t1"}, "tunnel2": {"--role", "tunnel", "--name", "t2"},
	}[host]
	web := filepath.Join(d.dir, "web.yaml")
	d.in("web", d.binary, "zone", "add", "lab", "--config", web)
	var made protocol.Enrolment
	out := d.in("web", append([]string{d.binary, "token", "create", "--config", web, "--json"}, args...)...)
	d.must(json.Unmarshal([]byte(out), &made))
	return fmt.Sprintf("data: %s/data-%s\nenroll: %s\n", d.dir, host, made.Token)
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
