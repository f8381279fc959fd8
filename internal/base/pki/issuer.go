package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// maxCSR bounds a certificate signing request, in bytes.
const maxCSR = 4 << 10

// An Issuer is the authority that gives servers their identities. Web nodes
// hold it; it is safe for concurrent use.
type Issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewIssuer makes an authority.
func NewIssuer(now time.Time) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make authority of servers: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, fmt.Errorf("make authority of servers: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Causeway servers"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(2 * authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority of servers: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make authority of servers: %w", err)
	}
	return &Issuer{cert, key}, nil
}

// PEM is the authority with its key, to be kept secret.
func (i *Issuer) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		return nil, fmt.Errorf("encode authority of servers: %w", err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return append(key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})...), nil
}

// ParseIssuer reads what PEM wrote.
func ParseIssuer(data []byte) (*Issuer, error) {
	block, rest := pem.Decode(data)
	second, _ := pem.Decode(rest)
	if block == nil || second == nil {
		return nil, errors.New("read authority of servers: it is damaged")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read authority of servers: %w", err)
	}
	cert, err := x509.ParseCertificate(second.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read authority of servers: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("read authority of servers: key and certificate do not belong together")
	}
	return &Issuer{cert, key}, nil
}

// Authority is the authority's certificate, DER.
func (i *Issuer) Authority() []byte { return bytes.Clone(i.cert.Raw) }

// Pin names the authority's key: by it a server that enrols knows that it
// speaks to its own system.
func (i *Issuer) Pin() string { return pinOf(i.cert) }

func pinOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Issue certifies the key of a certificate signing request (DER) as a
// server's. Nothing else of the request counts.
func (i *Issuer) Issue(csr []byte, id Identity, now time.Time, life time.Duration) ([]byte, error) {
	if !id.Valid() {
		return nil, fmt.Errorf("certify %s: not an identity", id)
	}
	key, err := RequestedKey(csr)
	if err != nil {
		return nil, fmt.Errorf("certify %s: %w", id, err)
	}
	return i.certify(key, id, now, life)
}

// RequestedKey is the key that a certificate signing request (DER) is for.
func RequestedKey(csr []byte) (*ecdsa.PublicKey, error) {
	if len(csr) > maxCSR {
		return nil, fmt.Errorf("the request has %d bytes, more than %d", len(csr), maxCSR)
	}
	request, err := x509.ParseCertificateRequest(csr)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		return nil, err
	}
	key, ok := request.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key is not one of curve P-256")
	}
	return key, nil
}

func (i *Issuer) certify(key crypto.PublicKey, id Identity, now time.Time, life time.Duration) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, fmt.Errorf("certify %s: %w", id, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Causeway " + string(id.Role)},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(life), URIs: []*url.URL{id.URI()},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, key, i.key)
	if err != nil {
		return nil, fmt.Errorf("certify %s: %w", id, err)
	}
	return der, nil
}

// Verify checks that a certificate (DER) is one that the authority gave a
// server and that has not expired.
func (i *Issuer) Verify(der []byte, now time.Time) (*x509.Certificate, Identity, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, Identity{}, fmt.Errorf("verify a server's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(i.cert)
	id, err := verifyServer(cert, roots, x509.ExtKeyUsageClientAuth, now)
	return cert, id, err
}

// Own makes credentials of its own for a web node, which holds the authority
// and needs nobody to enrol with. They renew themselves.
func (i *Issuer) Own(name string, life time.Duration) (*Credentials, error) {
	c := &Credentials{issuer: i, life: life, identity: Identity{Role: RoleWeb, Name: name}}
	c.trust(i.cert)
	if err := c.reissue(time.Now()); err != nil {
		return nil, err
	}
	return c, nil
}

// IssuedAt is when a server's certificate was issued.
func IssuedAt(cert *x509.Certificate) time.Time { return cert.NotBefore.Add(backdate) }

// verifyServer checks a certificate against the authority, and tells whose it is.
func verifyServer(cert *x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage, now time.Time) (Identity, error) {
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return Identity{}, fmt.Errorf("verify a server's certificate: %w", err)
	}
	return IdentityOf(cert)
}
