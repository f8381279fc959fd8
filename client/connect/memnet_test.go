package connect

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"causeway/protocol"
)

// internet is a network in memory, for tests in virtual time: hosts with a
// latency each, reached by name.
type internet struct {
	t     testing.TB
	ca    *x509.Certificate
	caKey *ecdsa.PrivateKey
	pool  *x509.CertPool
	ctx   context.Context // until the test ends
	stop  context.CancelFunc

	mu    sync.Mutex
	hosts map[string]*host // by host:port
	conns []net.Conn
	tasks sync.WaitGroup
}

// host is a server on it.
type host struct {
	rtt     time.Duration
	dialErr error // what dialling ends with, after one round trip
	silent  bool  // dialling never ends

	accepted atomic.Int64 // connections
	incoming chan net.Conn
	closed   chan struct{}
	server   *http.Server
}

func newInternet(t testing.TB) *internet {
	t.Helper()
	n := &internet{t: t, hosts: map[string]*host{}, pool: x509.NewCertPool()}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.ca, n.caKey = n.authority()
	n.pool.AddCert(n.ca)
	t.Cleanup(n.close)
	return n
}

func (n *internet) authority() (*x509.Certificate, *ecdsa.PrivateKey) {
	key := n.key()
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		n.t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		n.t.Fatal(err)
	}
	return ca, key
}

func (n *internet) key() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	return key
}

// certificate makes a server's certificate that expires at the given time.
func (n *internet) certificate(name string, until time.Time) tls.Certificate {
	key := n.key()
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, n.ca, &key.PublicKey, n.caKey)
	if err != nil {
		n.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serving changes how a host serves.
type serving struct {
	http1   bool      // HTTP/1.1 only
	plain   bool      // no TLS
	name    string    // on the certificate; "": the host's
	expires time.Time // the certificate; zero: in an hour
}

// serve starts a host.
func (n *internet) serve(address string, rtt time.Duration, h http.Handler, how serving) *host {
	n.t.Helper()
	o := n.add(address, &host{rtt: rtt})
	name, _, _ := net.SplitHostPort(address)
	if how.name != "" {
		name = how.name
	}
	if how.expires.IsZero() {
		how.expires = time.Now().Add(time.Hour)
	}
	o.server = &http.Server{
		Handler: h, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{n.certificate(name, how.expires)}},
	}
	if how.http1 {
		o.server.Protocols = new(http.Protocols)
		o.server.Protocols.SetHTTP1(true)
	}
	n.tasks.Go(func() {
		if how.plain {
			_ = o.server.Serve(o)
			return
		}
		_ = o.server.ServeTLS(o, "", "")
	})
	return o
}

// add adds a host that does not serve.
func (n *internet) add(address string, o *host) *host {
	o.incoming, o.closed = make(chan net.Conn), make(chan struct{})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[address] = o
	return o
}

func (n *internet) close() {
	n.stop()
	n.mu.Lock()
	for _, o := range n.hosts {
		if o.server != nil {
			_ = o.server.Close()
		}
	}
	for _, c := range n.conns {
		_ = c.Close()
	}
	n.mu.Unlock()
	n.tasks.Wait()
}

// network is a client's way to this internet, closed with the test.
func (n *internet) network() *Network {
	return n.networkBy(ProxyOptions{Proxy: "direct"})
}

// networkBy is the same with a proxy.
func (n *internet) networkBy(p ProxyOptions) *Network {
	nw, err := NewNetwork(Options{DialContext: n.dial, TLS: &tls.Config{RootCAs: n.pool}, UserAgent: "test", Proxy: p})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(nw.Close)
	return nw
}

func (n *internet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	o := n.hosts[address]
	n.mu.Unlock()
	fail := func(err error) error { return &net.OpError{Op: "dial", Net: network, Err: err} }
	if o == nil {
		name, _, _ := net.SplitHostPort(address)
		return nil, fail(&net.DNSError{Err: "no such host", Name: name, IsNotFound: true})
	}
	if o.silent {
		<-ctx.Done()
		return nil, fail(ctx.Err())
	}
	if err := wait(ctx, o.rtt); err != nil {
		return nil, fail(err)
	}
	if o.dialErr != nil {
		return nil, fail(o.dialErr)
	}
	here, there := n.line(o.rtt / 2)
	select {
	case o.incoming <- there:
		o.accepted.Add(1)
		return here, nil
	case <-o.closed:
		return nil, fail(syscall.ECONNREFUSED)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Accept, Close and Addr make a host a net.Listener.
func (o *host) Accept() (net.Conn, error) {
	select {
	case c := <-o.incoming:
		return c, nil
	case <-o.closed:
		return nil, net.ErrClosed
	}
}

func (o *host) Close() error {
	select {
	case <-o.closed:
	default:
		close(o.closed)
	}
	return nil
}

func (o *host) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443} }

// line is a connection on which everything takes the latency.
func (n *internet) line(latency time.Duration) (here, there net.Conn) {
	here, a := net.Pipe()
	b, there := net.Pipe()
	n.mu.Lock()
	n.conns = append(n.conns, here, there)
	n.mu.Unlock()
	n.carry(a, b, latency)
	n.carry(b, a, latency)
	return here, there
}

// carry takes bytes from one end to the other.
func (n *internet) carry(from, to net.Conn, latency time.Duration) {
	type parcel struct {
		data []byte
		at   time.Time
	}
	way := make(chan parcel, 4096)
	n.tasks.Go(func() {
		defer close(way)
		buf := make([]byte, 64<<10)
		for {
			k, err := from.Read(buf)
			if k > 0 {
				way <- parcel{append([]byte(nil), buf[:k]...), time.Now().Add(latency)}
			}
			if err != nil {
				return
			}
		}
	})
	n.tasks.Go(func() {
		defer to.Close()
		for p := range way {
			_ = wait(context.Background(), time.Until(p.at))
			if _, err := to.Write(p.data); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				n.t.Errorf("carry: %v", err)
			}
		}
		_ = wait(context.Background(), latency)
	})
}

// controller is a zone controller as clients see it.
type controller struct {
	zone, id string
	answer   protocol.ProbeAnswer // zone and controller are filled in
	slow     time.Duration        // what each answer takes beyond the network
	stuck    time.Duration        // what a join takes beyond that

	mu      sync.Mutex
	refusal protocol.Code // of joins; "": none
	probes  int
	joins   int
	token   string
	request protocol.JoinRequest
}

func (c *controller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if wait(r.Context(), c.slow) != nil {
		return
	}
	if r.Method == http.MethodPost && wait(r.Context(), c.stuck) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.Method + " " + r.URL.Path {
	case "GET " + protocol.PathProbe:
		c.probes++
		a := c.answer
		a.Zone, a.Controller = c.zone, c.id
		if a.State == "" {
			a.State = protocol.ZoneOpen
		}
		_ = json.NewEncoder(w).Encode(a)
	case "POST " + protocol.PathJoin:
		c.joins++
		c.token = r.Header.Get("Authorization")
		_ = json.NewDecoder(r.Body).Decode(&c.request)
		if c.refusal != "" {
			protocol.WriteProblem(w, protocol.NewProblem(c.refusal, ""))
			return
		}
		_ = json.NewEncoder(w).Encode(protocol.JoinAnswer{
			Zone: c.zone, Controller: c.id, MMR: "mmr-1", Session: "s", ControlURL: "wss://mmr-1.test/mmr/v1/control",
			Answers: protocol.Offers{Audio: "answer"},
		})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (c *controller) counts() (probes, joins int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.probes, c.joins
}

// url is where a controller's host is.
func (c *controller) url() string { return "https://" + c.id + ".test" }

// controller starts a controller's host.
func (n *internet) controller(c *controller, rtt time.Duration, how serving) *host {
	return n.serve(c.id+".test:443", rtt, c, how)
}

// zones lists zones with their controllers as a package does.
func zones(list ...*controller) []protocol.Zone {
	var out []protocol.Zone
	for _, c := range list {
		at := -1
		for i := range out {
			if out[i].ID == c.zone {
				at = i
			}
		}
		if at < 0 {
			at = len(out)
			out = append(out, protocol.Zone{ID: c.zone})
		}
		out[at].Controllers = append(out[at].Controllers, protocol.Controller{ID: c.id, URL: c.url()})
	}
	return out
}
