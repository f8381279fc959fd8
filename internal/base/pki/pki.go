// Package pki gives servers their TLS certificates.
//
// A server without certificates of its own gets an Authority: a certificate
// authority in its data folder, made on first use, that issues the server's
// certificate for the names it is told and renews it by itself. Clients
// trust the authority's CAFile. A server with certificates from elsewhere
// uses Reloading, which takes up changed files without a restart. The
// package owns no goroutine: renewal and reloading happen in the TLS
// handshake that finds them due.
//
// Among each other servers are known by identities (Identity): certificates
// with a URI of their own that web's Issuer gives for an enrolment token
// (Ticket) and that their Credentials keep, show and check. Who has one is
// known without host names, and may only what its identity allows.
package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLSConfig is a server's TLS configuration around a source of certificates.
// TLS 1.2 is the oldest version spoken (RFC 9325).
func TLSConfig(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get}
}

// Pool returns the system's roots and those in caFile, which may be "".
func Pool(caFile string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without roots, such as a bare container
	}
	if caFile == "" {
		return pool, nil
	}
	data, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate authority: %w", err)
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("read certificate authority: %s holds no PEM certificate", caFile)
	}
	return pool, nil
}
