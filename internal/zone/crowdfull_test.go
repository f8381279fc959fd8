package zone

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"causeway/internal/base/pki"
	"causeway/internal/base/run"
	"causeway/internal/bus"
	"causeway/internal/port443"
	"causeway/internal/token"
	"causeway/protocol"
)

// TestCrowdFull is the crowd at full size, on a machine that has nothing else
// to do: each controller is a process of its own with its part of the bus, each
// router has a TLS connection to the bus, and each participant opens a TLS
// connection to a controller, probes, joins and closes it. It runs only when it
// is told the size:
//
//	CAUSEWAY_CROWD=1000,100000 go test ./internal/zone -run TestCrowdFull -v -timeout 1h
func TestCrowdFull(t *testing.T) {
	size, ok := os.LookupEnv(crowdSize)
	if !ok {
		return
	}
	var routers, people int
	if _, err := fmt.Sscanf(size, "%d,%d", &routers, &people); err != nil {
		t.Fatalf("%s=ROUTERS,PARTICIPANTS: %v", crowdSize, err)
	}
	z := newCrowdZone(t, routers)
	idle := z.cpu()
	const settled = 10 * time.Second
	<-time.After(settled)
	perSecond := (z.cpu() - idle) / settled.Seconds()
	t.Logf("%d routers and nobody there: %.1f %% of a core for both controllers", routers, perSecond*100)
	began, before := time.Now(), z.cpu()
	watched := z.watch(people)
	z.crowd.join(z.people(people), 16*runtime.GOMAXPROCS(0))
	used, took := z.cpu()-before, time.Since(began)
	watched()
	t.Logf("%d joins in %v (%.0f a second)", people, took.Round(time.Second), float64(people)/took.Seconds())
	t.Logf("CPU of the controllers: %.3f ms per join in all, %.3f ms without what the routers' words cost them when nobody is there",
		used/float64(people)*1000, (used-perSecond*took.Seconds())/float64(people)*1000)
	z.report(people, 1.3)
	if perJoin := used / float64(people); perJoin > 0.005 {
		t.Errorf("a join costs the controllers %.3f ms, more than 5", perJoin*1000)
	}
	for _, p := range z.processes {
		if m, err := p.MemoryInfo(); err == nil {
			t.Logf("controller %d: %d MB", p.Pid, m.RSS>>20)
		}
	}
}

// What the processes of a full crowd are told in the environment.
const (
	crowdSize       = "CAUSEWAY_CROWD"
	crowdController = "CAUSEWAY_CROWD_CONTROLLER" // JSON of crowdConfig
)

// crowdConfig is what a controller's process is told: who it is, the folder of
// its credentials, that of everybody's certificate, and where the hub and the
// zone's other controller are.
type crowdConfig struct{ ID, Credentials, Dir, Hub, Other string }

// crowdZone is a crowd with its controllers' processes.
type crowdZone struct {
	*crowd
	*world
	issuer    *pki.Issuer
	dir       string
	addresses []string // of the controllers, host:port
	processes []*process.Process
}

func newCrowdZone(t *testing.T, routers int) *crowdZone {
	z := &crowdZone{world: &world{T: t}, crowd: &crowd{TB: t, fresh: true, seed: 1, attempts: 2}, dir: t.TempDir()}
	var err error
	if z.issuer, err = pki.NewIssuer(time.Now()); err != nil {
		t.Fatal(err)
	}
	authority, err := pki.OpenFor(z.dir, "crowd", []string{"127.0.0.1", "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	z.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}, ForceAttemptHTTP2: true}}
	hub := z.serveHub(authority)
	z.conn = z.connect("web")
	if z.signer, err = token.NewSigner(token.NewSeed()); err != nil {
		t.Fatal(err)
	}
	z.sign = z.signer.Sign
	on(z.world, z.conn, protocol.SubjectKeysAsk, func(string, protocol.Empty) { _ = bus.Publish(z.conn, protocol.SubjectKeys, z.signer.Public()) })
	var known sync.Map // routers, by controller
	on(z.world, z.conn, protocol.SubjectControllers, func(_ string, s protocol.ControllerState) { known.Store(s.ID, s.Routers) })

	ids := []string{"zc-1", "zc-2"}
	for _, id := range ids {
		z.controller(id, hub)
	}
	for i := range routers {
		z.router("mmr-"+strconv.Itoa(i), time.Duration(i)*time.Second/time.Duration(routers))
	}
	z.eventually("all routers known", func() bool {
		<-time.After(50 * time.Millisecond)
		for _, id := range ids {
			if n, _ := known.Load(id); n != routers {
				return false
			}
		}
		return true
	})
	return z
}

// serveHub starts the hub and returns where it is.
func (z *crowdZone) serveHub(authority *pki.Authority) string {
	own, err := z.issuer.Own("web-1", time.Hour)
	if err != nil {
		z.T.Fatal(err)
	}
	trust := bus.NewTrust(own)
	if z.hub, err = bus.StartHub(bus.HubConfig{Trust: trust}); err != nil {
		z.T.Fatal(err)
	}
	z.T.Cleanup(z.hub.Stop)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		z.T.Fatal(err)
	}
	secure := authority.TLSConfig()
	secure.GetConfigForClient = trust.ServerTLS
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- port443.Serve(ctx, ln, port443.Config{TLS: secure, HTTP: http.NotFoundHandler(), Streams: z.hub.Streams()})
	}()
	z.T.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			z.T.Error(err)
		}
	})
	return ln.Addr().String()
}

// identity certifies a server of the zone; its credentials are in dir.
func (z *crowdZone) identity(dir string, role pki.Role, name string) *pki.Credentials {
	z.T.Helper()
	id := pki.Identity{Role: role, Zone: "z", Name: name}
	key, err := pki.NewKey()
	if err != nil {
		z.T.Fatal(err)
	}
	csr, err := key.Request()
	if err != nil {
		z.T.Fatal(err)
	}
	der, err := z.issuer.Issue(csr, id, time.Now(), 24*time.Hour)
	if err != nil {
		z.T.Fatal(err)
	}
	c, err := pki.NewCredentials(dir, key, der, z.issuer.Authority())
	if err != nil {
		z.T.Fatal(err)
	}
	return c
}

// router starts a router.
func (z *crowdZone) router(id string, phase time.Duration) {
	z.T.Helper()
	conn, err := bus.Dial(bus.DialConfig{
		Name: id, Trust: bus.NewTrust(z.identity(z.T.TempDir(), pki.RoleMMR, id)), Servers: z.addresses,
	})
	if err != nil {
		z.T.Fatal(err)
	}
	z.T.Cleanup(conn.Close)
	r := &crowdRouter{id: id, conn: conn}
	stop, err := r.start(phase)
	if err != nil {
		z.T.Fatal(err)
	}
	z.T.Cleanup(stop)
	z.routers = append(z.routers, r)
}

// controller starts a controller's process.
func (z *crowdZone) controller(id, hub string) {
	z.T.Helper()
	cfg := crowdConfig{ID: id, Credentials: z.T.TempDir(), Dir: z.dir, Hub: hub}
	if len(z.addresses) > 0 {
		cfg.Other = z.addresses[0]
	}
	z.identity(cfg.Credentials, pki.RoleController, id)
	told, err := json.Marshal(cfg)
	if err != nil {
		z.T.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crowdController+"="+string(told))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		z.T.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		z.T.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		z.T.Fatal(err)
	}
	z.T.Cleanup(func() {
		_ = in.Close() // with which it ends
		if err := cmd.Wait(); err != nil {
			z.T.Errorf("controller: %v", err)
		}
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		z.T.Fatal(err)
	}
	address = strings.TrimSpace(address)
	z.addresses, z.controllers = append(z.addresses, address), append(z.controllers, "https://"+address)
	p, err := process.NewProcess(int32(cmd.Process.Pid))
	if err != nil {
		z.T.Fatal(err)
	}
	z.processes = append(z.processes, p)
}

// cpu is the processor time that the controllers have used, in seconds.
func (z *crowdZone) cpu() float64 {
	z.T.Helper()
	var sum float64
	for _, p := range z.processes {
		at, err := p.Times()
		if err != nil {
			z.T.Fatal(err)
		}
		sum += at.User + at.System
	}
	return sum
}

// watch tells every ten seconds how far it is.
func (z *crowdZone) watch(people int) (stop func()) {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		again := time.NewTicker(10 * time.Second)
		defer again.Stop()
		for {
			select {
			case <-again.C:
				z.T.Logf("%d of %d", z.finished.Load(), people)
			case <-done:
				return
			}
		}
	})
	return func() { close(done); ended.Wait() }
}

// runCrowdController is a controller's process until its standard input ends.
func runCrowdController(told string) error {
	var cfg crowdConfig
	if err := json.Unmarshal([]byte(told), &cfg); err != nil {
		return err
	}
	authority, err := pki.OpenFor(cfg.Dir, "crowd", []string{"127.0.0.1", "localhost"})
	if err != nil {
		return err
	}
	credentials, err := pki.LoadCredentials(cfg.Credentials)
	if err != nil {
		return err
	}
	trust := bus.NewTrust(credentials)
	var others []string
	if cfg.Other != "" {
		others = []string{cfg.Other}
	}
	leaf, err := bus.StartLeaf(bus.LeafConfig{Trust: trust, Hubs: []string{cfg.Hub}, Routes: others})
	if err != nil {
		return err
	}
	defer leaf.Stop()
	conn, err := leaf.Connect(cfg.ID)
	if err != nil {
		return err
	}
	defer conn.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c := DefaultConfig()
	c.ID, c.Zone, c.URL, c.JoinsPerMinute, c.JoinBurst = cfg.ID, "z", "https://"+ln.Addr().String(), 0, 0
	s, err := New(c, Deps{Bus: conn})
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	secure := authority.TLSConfig()
	secure.GetConfigForClient = trust.ServerTLS
	return run.All(context.Background(), s.Run,
		func(ctx context.Context) error {
			return port443.Serve(ctx, ln, port443.Config{TLS: secure, HTTP: s.Handler(), Streams: leaf.Streams()})
		},
		func(context.Context) error { _, err := io.Copy(io.Discard, os.Stdin); return err },
	)
}
