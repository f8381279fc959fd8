package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Files of a server's credentials in its data folder.
const (
	identityCert = "identity.pem"
	identityKey  = "identity.key"
	identityCA   = "identity-ca.pem"
)

// Credentials are who a server is among the others: a key that never leaves
// it, a certificate that names it, and the authority that it trusts. They are
// safe for concurrent use.
type Credentials struct {
	dir string // "": kept in memory alone

	// Of a web node, which certifies itself.
	issuer *Issuer
	life   time.Duration

	mu       sync.Mutex
	identity Identity
	pair     *tls.Certificate
	roots    *x509.CertPool
	ca       *x509.Certificate
}

// LoadCredentials reads a server's credentials from its data folder. The
// error wraps fs.ErrNotExist when there are none.
func LoadCredentials(dir string) (*Credentials, error) {
	cert, err := readCert(filepath.Join(dir, identityCert))
	if err != nil {
		return nil, fmt.Errorf("load the server's identity: %w", err)
	}
	ca, err := readCert(filepath.Join(dir, identityCA))
	if err != nil {
		return nil, fmt.Errorf("load the server's identity: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, identityKey))
	if err != nil {
		return nil, fmt.Errorf("load the server's identity: %w", err)
	}
	c := &Credentials{dir: dir}
	c.trust(ca)
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("load the server's identity: %w", err)
		}
		if key, ok := parsed.(*ecdsa.PrivateKey); ok && key.PublicKey.Equal(cert.PublicKey) {
			return c, c.use(cert, key)
		}
	}
	return nil, fmt.Errorf("load the server's identity: %s holds no key for %s", identityKey, identityCert)
}

// NewCredentials makes credentials of a key and the certificate (DER) that
// the authority (DER) gave for it, and keeps them in dir.
func NewCredentials(dir string, key *Key, cert, authority []byte) (*Credentials, error) {
	ca, err := x509.ParseCertificate(authority)
	if err != nil {
		return nil, fmt.Errorf("take up the server's identity: %w", err)
	}
	c := &Credentials{dir: dir}
	c.trust(ca)
	return c, c.Renew(key, cert)
}

func (c *Credentials) trust(ca *x509.Certificate) {
	c.ca, c.roots = ca, x509.NewCertPool()
	c.roots.AddCert(ca)
}

// use takes up a certificate.
func (c *Credentials) use(cert *x509.Certificate, key *ecdsa.PrivateKey) error {
	id, err := IdentityOf(cert)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identity = id
	// The authority goes along, so that who enrols can check it.
	c.pair = &tls.Certificate{Certificate: [][]byte{cert.Raw, c.ca.Raw}, PrivateKey: key, Leaf: cert}
	return nil
}

// Renew takes up a new key and its certificate (DER), and keeps them. The new
// key is stored beside the old one before the certificate is replaced, so that
// a crash between the two leaves a pair that fits.
func (c *Credentials) Renew(key *Key, der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err == nil && !key.key.PublicKey.Equal(cert.PublicKey) {
		err = errors.New("the certificate is for another key")
	}
	if err == nil {
		_, err = verifyServer(cert, c.roots, x509.ExtKeyUsageClientAuth, time.Now())
	}
	if err != nil {
		return fmt.Errorf("take up the server's identity: %w", err)
	}
	if c.dir != "" {
		if err := c.store(key.key, cert); err != nil {
			return fmt.Errorf("take up the server's identity: %w", err)
		}
	}
	return c.use(cert, key.key)
}

func (c *Credentials) store(key *ecdsa.PrivateKey, cert *x509.Certificate) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	blocks := []*pem.Block{{Type: "PRIVATE KEY", Bytes: der}}
	old, err := os.ReadFile(filepath.Join(c.dir, identityKey))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read key: %w", err)
	}
	if before, _ := pem.Decode(old); before != nil {
		blocks = append(blocks, before)
	}
	return errors.Join(
		writeBlocks(filepath.Join(c.dir, identityKey), blocks, 0o600, true),
		writePEM(filepath.Join(c.dir, identityCA), "CERTIFICATE", c.ca.Raw, 0o644, true),
		writePEM(filepath.Join(c.dir, identityCert), "CERTIFICATE", cert.Raw, 0o644, true),
	)
}

// reissue certifies a web node anew.
func (c *Credentials) reissue(now time.Time) error {
	key, err := NewKey()
	if err != nil {
		return err
	}
	der, err := c.issuer.certify(key.key.Public(), c.Identity(), now, c.life)
	if err != nil {
		return err
	}
	return c.Renew(key, der)
}

// Identity is who the server is.
func (c *Credentials) Identity() Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity
}

// current is the certificate to show.
func (c *Credentials) current() (*tls.Certificate, error) {
	c.mu.Lock()
	pair := c.pair
	c.mu.Unlock()
	if c.issuer == nil || time.Now().Before(halfLife(pair.Leaf)) {
		return pair, nil
	}
	if err := c.reissue(time.Now()); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair, nil
}

// RenewAt is when the certificate is to be renewed: at half of its life, so
// that a zone that is cut off goes on for the other half.
func (c *Credentials) RenewAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return halfLife(c.pair.Leaf)
}

func halfLife(cert *x509.Certificate) time.Time {
	issued := IssuedAt(cert)
	return issued.Add(cert.NotAfter.Sub(issued) / 2)
}

// Expires is when the certificate ends.
func (c *Credentials) Expires() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair.Leaf.NotAfter
}

// Certificate is the certificate, DER.
func (c *Credentials) Certificate() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pair.Certificate[0]
}

// Sign signs data with the server's key (ECDSA, SHA-256, ASN.1).
func (c *Credentials) Sign(data []byte) ([]byte, error) {
	c.mu.Lock()
	key, ok := c.pair.PrivateKey.(*ecdsa.PrivateKey)
	c.mu.Unlock()
	if !ok {
		return nil, errors.New("sign: no key")
	}
	sum := sha256.Sum256(data)
	return ecdsa.SignASN1(rand.Reader, key, sum[:])
}

// Signed reports whether the key of cert made a signature of data.
func Signed(cert *x509.Certificate, data, signature []byte) bool {
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	sum := sha256.Sum256(data)
	return ok && ecdsa.VerifyASN1(key, sum[:], signature)
}

// A Key is a new key that awaits its certificate.
type Key struct{ key *ecdsa.PrivateKey }

// NewKey makes a key.
func NewKey() (*Key, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return &Key{key}, nil
}

// Request is the certificate signing request (DER, RFC 2986) of the key.
func (k *Key) Request() ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k.key)
	if err != nil {
		return nil, fmt.Errorf("request a certificate: %w", err)
	}
	return der, nil
}
