package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Check decides on a server by its identity and by when its certificate was
// issued.
type Check func(id Identity, issued time.Time) error

// Mutual is the TLS configuration for a connection between servers, of either
// side: both show their identities, and check the other's. TLS 1.3 alone
// (RFC 8446), and no resumption, so that every connection is checked.
func (c *Credentials) Mutual(protocols []string, check Check) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: ServerName, NextProtos: protocols, SessionTicketsDisabled: true,
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // verified below: servers are known by identity, not by host name
		GetCertificate:     func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.current()
		},
		VerifyConnection: func(s tls.ConnectionState) error { return c.verify(s, check) },
	}
}

// Known is the TLS configuration of a web node that shows its identity to
// servers that have none yet, over HTTPS.
func (c *Credentials) Known() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current() },
	}
}

func (c *Credentials) verify(s tls.ConnectionState, check Check) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the other side shows no certificate")
	}
	cert := s.PeerCertificates[0]
	usage := x509.ExtKeyUsageServerAuth // every server's certificate has both
	id, err := verifyServer(cert, c.roots, usage, time.Now())
	if err != nil {
		return err
	}
	return check(id, IssuedAt(cert))
}

// ticketPrefix begins every enrolment token.
const ticketPrefix = "cwe_"

// A Ticket is an enrolment token: with it a server comes to its identity,
// once. Whoever holds it can become that server.
type Ticket struct {
	Hubs   []string `json:"h"` // host:port of web nodes, any of which will do
	Pin    string   `json:"p"` // of the authority
	Secret string   `json:"s"`
}

// String is the token as people pass it on.
func (t Ticket) String() string {
	data, _ := json.Marshal(t) // strings alone: it does not fail
	return ticketPrefix + base64.RawURLEncoding.EncodeToString(data)
}

// ParseTicket reads an enrolment token.
func ParseTicket(s string) (Ticket, error) {
	var t Ticket
	encoded, ok := strings.CutPrefix(strings.TrimSpace(s), ticketPrefix)
	data, err := base64.RawURLEncoding.DecodeString(encoded)
	if !ok || len(s) > 4096 || err != nil || json.Unmarshal(data, &t) != nil || len(t.Hubs) == 0 || t.Pin == "" || t.Secret == "" {
		return Ticket{}, errors.New("this is not an enrolment token; make one with 'causeway token create', and copy all of it")
	}
	return t, nil
}

// TLS is the configuration with which a server that has no identity yet
// speaks to a web node: one whose authority is the token's.
func (t Ticket) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: ServerName, NextProtos: []string{"http/1.1"},
		InsecureSkipVerify: true, // verified below: by the pin of the authority
		VerifyConnection: func(s tls.ConnectionState) error {
			at := slices.IndexFunc(s.PeerCertificates, func(c *x509.Certificate) bool { return pinOf(c) == t.Pin })
			if at < 1 {
				return errors.New("the web server is not of the system that made the enrolment token")
			}
			roots := x509.NewCertPool()
			roots.AddCert(s.PeerCertificates[at])
			id, err := verifyServer(s.PeerCertificates[0], roots, x509.ExtKeyUsageServerAuth, time.Now())
			if err == nil && id.Role != RoleWeb {
				err = fmt.Errorf("%s is not a web server", id)
			}
			return err
		},
	}
}
