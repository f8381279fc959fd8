package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 397 * 24 * time.Hour // the longest that all browsers take
	renewBefore   = 30 * 24 * time.Hour
	backdate      = time.Hour // for clocks that are behind
)

// Files in the folder of an Authority, besides the servers' certificates.
const (
	caCertName = "ca.pem"
	caKeyName  = "ca.key"
)

// An Authority is a certificate authority and the server certificate that it
// issued. It is safe for concurrent use.
type Authority struct {
	dir   string
	leafs string // path of the server's files, without .pem and .key
	names []string
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	pool  *x509.CertPool

	mu    sync.Mutex
	leaf  *tls.Certificate
	renew time.Time
}

// Open opens the authority in dir, making what is not there, and issues a
// certificate for names, which are host names and IP addresses. A stored
// certificate is used again unless the names have changed or it ends soon.
func Open(dir string, names []string) (*Authority, error) {
	return OpenFor(dir, "server", names)
}

// OpenFor is Open for one of several servers that share an authority: each
// keeps its certificate in files named for it. They may start at once.
func OpenFor(dir, server string, names []string) (*Authority, error) {
	if len(names) == 0 {
		return nil, errors.New("open certificate authority: no names to certify")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open certificate authority: %w", err)
	}
	a := &Authority{dir: dir, leafs: filepath.Join(dir, server), names: canonical(names), pool: x509.NewCertPool()}
	if err := a.openCA(time.Now()); err != nil {
		return nil, fmt.Errorf("open certificate authority: %w", err)
	}
	a.pool.AddCert(a.cert)
	if a.loadLeaf(time.Now()) {
		return a, nil
	}
	if err := a.issue(time.Now()); err != nil {
		return nil, fmt.Errorf("issue server certificate: %w", err)
	}
	return a, nil
}

func canonical(names []string) []string {
	names = slices.Clone(names)
	for i, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			names[i] = ip.String()
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// CAFile is the file with the authority's certificate, for clients to trust.
func (a *Authority) CAFile() string { return filepath.Join(a.dir, caCertName) }

// Pool holds the authority's certificate alone.
func (a *Authority) Pool() *x509.CertPool { return a.pool.Clone() }

// TLSConfig is the configuration of a server with the authority's
// certificate, which is renewed in time.
func (a *Authority) TLSConfig() *tls.Config { return TLSConfig(a.GetCertificate) }

// GetCertificate returns the server's certificate, renewed when it ends soon.
func (a *Authority) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Before(a.renew) {
		return a.leaf, nil
	}
	if err := a.issue(now); err != nil {
		if now.Before(a.leaf.Leaf.NotAfter) {
			a.renew = now.Add(time.Minute) // still good; try again later
			return a.leaf, nil
		}
		return nil, fmt.Errorf("renew server certificate: %w", err)
	}
	return a.leaf, nil
}

// openCA reads the authority or makes it. The key is written first: a crash
// between the two files leaves a key that the next start certifies.
func (a *Authority) openCA(now time.Time) error {
	var err error
	if a.key, err = readKey(filepath.Join(a.dir, caKeyName)); err != nil {
		return err
	}
	a.cert, err = readCert(a.CAFile())
	expired := err == nil
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !a.key.PublicKey.Equal(a.cert.PublicKey):
		return fmt.Errorf("%s and %s do not belong together; restore them, or remove both and have every client trust the new authority",
			a.CAFile(), filepath.Join(a.dir, caKeyName))
	case now.Before(a.cert.NotAfter.Add(-leafLife)):
		return nil
	}
	host, _ := os.Hostname()
	serial, err := newSerial()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Causeway authority on " + host + " " + now.UTC().Format("2006-01-02")},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("certify authority: %w", err)
	}
	if err := writePEM(a.CAFile(), "CERTIFICATE", der, 0o644, expired); err != nil {
		return err
	}
	a.cert, err = readCert(a.CAFile()) // another server may have been first
	return err
}

// loadLeaf takes up the stored certificate and reports whether it still serves.
func (a *Authority) loadLeaf(now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(a.leafs+".pem", a.leafs+".key")
	if err != nil {
		return false
	}
	renew := pair.Leaf.NotAfter.Add(-renewBefore)
	if !now.Before(renew) || now.Before(pair.Leaf.NotBefore) || pair.Leaf.CheckSignatureFrom(a.cert) != nil {
		return false
	}
	if !slices.Equal(namesOf(pair.Leaf), a.names) {
		return false
	}
	a.leaf, a.renew = &pair, renew
	return true
}

// issue makes a certificate and its key and stores them.
func (a *Authority) issue(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Causeway server"},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	setNames(template, a.names)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("sign certificate: %w", err)
	}
	if err := writeKey(a.leafs+".key", key, true); err != nil {
		return err
	}
	if err := writePEM(a.leafs+".pem", "CERTIFICATE", der, 0o644, true); err != nil {
		return err
	}
	a.leaf = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	a.renew = leaf.NotAfter.Add(-renewBefore)
	return nil
}
