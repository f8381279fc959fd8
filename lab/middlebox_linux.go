package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// middleboxName is in the certificates that the middlebox signs.
const middleboxName = "Corp Web Filter"

// Files of the middlebox below the World's folder: its authority, and that
// together with the deployment's own, as a company's device trusts them.
const (
	middleboxCA  = "middlebox-ca.pem"
	companyRoots = "company-roots.pem"
)

// StartMiddlebox starts what the Inspected policies send the site's TLS to: it
// opens TLS with an authority of its own and passes HTTP on. With
// refuseWebSocket it answers upgrades itself.
func (d *Deployment) StartMiddlebox(port string, refuseWebSocket bool) {
	d.t.Helper()
	p := d.Start("gateway", "env", "CAUSEWAY_LAB_MIDDLEBOX=:"+port, fmt.Sprint("CAUSEWAY_LAB_REFUSE=", refuseWebSocket),
		"CAUSEWAY_LAB_ROOT="+d.path(middleboxCA), os.Args[0])
	if !p.Until("inspecting", startWithin) {
		d.t.Fatalf("the middlebox did not start:\n%s", p.log.String())
	}
	var roots []byte
	for _, file := range []string{d.ca, d.path(middleboxCA)} {
		b, err := os.ReadFile(file)
		d.must(err)
		roots = append(roots, b...)
	}
	d.must(os.WriteFile(d.path(companyRoots), roots, 0o644))
}

// An inspector opens TLS.
type inspector struct {
	refuse bool
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// inspect is the middlebox's process. Its authority is in the file root, which
// it makes if there is none.
func inspect(listen, root string, refuse bool) error {
	i := &inspector{refuse: refuse, leaves: map[string]*tls.Certificate{}}
	if err := i.authority(root); err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:   http.HandlerFunc(i.serve),
		TLSConfig: &tls.Config{GetCertificate: i.leaf, NextProtos: []string{"http/1.1"}},
		ErrorLog:  log.New(os.Stdout, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, meant{}, originally(c))
		},
		ReadHeaderTimeout: time.Minute,
	}
	fmt.Println("inspecting")
	return server.ServeTLS(l, "", "")
}

// authority makes the authority, or takes the one that another middlebox has
// made: certificate and key are in one file.
func (i *inspector) authority(file string) error {
	if data, err := os.ReadFile(file); err == nil {
		c, rest := pem.Decode(data)
		k, _ := pem.Decode(rest)
		var errs [2]error
		i.ca, errs[0] = x509.ParseCertificate(c.Bytes)
		i.key, errs[1] = x509.ParseECPrivateKey(k.Bytes)
		return errors.Join(errs[:]...)
	}
	var err error
	if i.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: middleboxName}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, i.key.Public(), i.key)
	if err != nil {
		return err
	}
	if i.ca, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	key, err := x509.MarshalECPrivateKey(i.key)
	if err != nil {
		return err
	}
	out := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})...)
	return os.WriteFile(file, out, 0o644)
}

// leaf signs a certificate for whatever name is asked for.
func (i *inspector) leaf(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.leaves[hello.ServerName]; c != nil {
		return c, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: hello.ServerName}, DNSNames: []string{hello.ServerName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, i.ca, i.key.Public(), i.key)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{der, i.ca.Raw}, PrivateKey: i.key}
	i.leaves[hello.ServerName] = c
	return c, nil
}

// meant is the key of the address that a connection was meant for.
type meant struct{}

// serve passes a request on to where it was meant for.
func (i *inspector) serve(w http.ResponseWriter, r *http.Request) {
	if i.refuse && r.Header.Get("Upgrade") != "" {
		http.Error(w, middleboxName+" does not allow this protocol.", http.StatusForbidden)
		return
	}
	to, _ := r.Context().Value(meant{}).(string)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, to)
		},
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // it may well be as careless
		DisableKeepAlives: true,
	}
	proxy := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "https", r.Host, r.Host
	}}
	proxy.ServeHTTP(w, r)
}

// originally is where a redirected connection was meant to go.
func originally(c net.Conn) string {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return ""
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return ""
	}
	address := ""
	_ = raw.Control(func(fd uintptr) {
		const originalDst = 80 // SO_ORIGINAL_DST; its sockaddr_in fits into this structure
		if m, err := unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, originalDst); err == nil {
			b := m.Multiaddr
			address = fmt.Sprintf("%d.%d.%d.%d:%d", b[4], b[5], b[6], b[7], int(b[2])<<8|int(b[3]))
		}
	})
	return address
}
