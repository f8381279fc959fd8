package peer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha256" // the hash functions that fingerprints name
	_ "crypto/sha512"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// A Certificate is a self-signed ECDSA P-256 certificate for DTLS. One per
// process is enough.
type Certificate struct {
	tls         tls.Certificate
	fingerprint string
}

// NewCertificate makes a certificate with a fresh key.
func NewCertificate() (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("peer: make certificate key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, fmt.Errorf("peer: make certificate serial: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "causeway"},
		NotBefore:    now.Add(-24 * time.Hour), // clocks differ
		NotAfter:     now.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("peer: make certificate: %w", err)
	}
	return &Certificate{
		tls:         tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		fingerprint: "sha-256 " + colonHex(sum(crypto.SHA256, der)),
	}, nil
}

// Fingerprint returns "sha-256 AB:CD:…" as in SDP (RFC 8122).
func (c *Certificate) Fingerprint() string { return c.fingerprint }

// A fingerprint is the parsed value of an a=fingerprint attribute.
type fingerprint struct {
	hash crypto.Hash
	sum  []byte
}

var errFingerprintForm = errors.New("peer: fingerprint is not in the form of RFC 8122")

// parseFingerprint reads "sha-256 AB:CD:…" (RFC 8122 section 5). SHA-1 and
// older functions are refused: nothing that speaks DTLS-SRTP needs them.
func parseFingerprint(s string) (fingerprint, error) {
	name, value, ok := strings.Cut(strings.TrimSpace(s), " ")
	if !ok {
		return fingerprint{}, errFingerprintForm
	}
	var hash crypto.Hash
	switch strings.ToLower(name) {
	case "sha-256":
		hash = crypto.SHA256
	case "sha-384":
		hash = crypto.SHA384
	case "sha-512":
		hash = crypto.SHA512
	default:
		return fingerprint{}, fmt.Errorf("%w: hash function %.20q", errFingerprintForm, name)
	}
	digest, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(value), ":", ""))
	if err != nil || len(digest) != hash.Size() {
		return fingerprint{}, errFingerprintForm
	}
	return fingerprint{hash: hash, sum: digest}, nil
}

// matches tells whether the certificate is the one that was announced.
func (f fingerprint) matches(der []byte) bool {
	return subtle.ConstantTimeCompare(sum(f.hash, der), f.sum) == 1
}

func sum(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}

func colonHex(b []byte) string {
	var s strings.Builder
	for i, c := range b {
		if i > 0 {
			s.WriteByte(':')
		}
		fmt.Fprintf(&s, "%02X", c)
	}
	return s.String()
}
