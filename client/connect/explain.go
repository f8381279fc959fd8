package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"causeway/internal/route"
	"causeway/protocol"
)

// A failure is an error in a person's words.
type failure struct {
	words string
	err   error
}

func (f *failure) Error() string { return f.words }
func (f *failure) Unwrap() error { return f.err }

// problem turns what went wrong on the way to a target into a Problem: the
// server's own if it answered one, certificate_untrusted, or code.
func problem(code protocol.Code, err error, target string) *protocol.Problem {
	var p *protocol.Problem
	if errors.As(err, &p) {
		return p
	}
	f := &failure{words: explain(err, target), err: err}
	if untrusted(err) {
		return protocol.Wrap(protocol.ProblemCertificate, f)
	}
	if c := proxyCode(err); c != "" {
		code = c
	}
	return protocol.Wrap(code, f)
}

// proxyCode is the problem that a proxy's failing is, "" if that was not it:
// also when the proxy works but could not reach the target (5xx).
func proxyCode(err error) protocol.Code {
	var p *route.ProxyError
	var refused *route.RefusedError
	switch {
	case !errors.As(err, &p):
		return ""
	case !p.Reached:
		return protocol.ProblemProxyUnreachable
	case !errors.As(err, &refused) || refused.Status >= http.StatusInternalServerError:
		return ""
	case refused.Status != http.StatusProxyAuthRequired:
		return protocol.ProblemProxyRefused
	case refused.Tried == "":
		return protocol.ProblemProxyAuthNeeded
	}
	return protocol.ProblemProxyAuthFailed
}

// A tunnelError is that a tunnel did not carry a stream to its target. What
// the tunnel answered is kept in words only: its problems are not those of
// the server behind it.
type tunnelError struct {
	tunnel string
	words  string
	err    error // nil for the tunnel's own answer
}

func newTunnelError(tunnel string, err error) *tunnelError {
	var p *protocol.Problem
	if errors.As(err, &p) {
		return &tunnelError{tunnel: tunnel, words: explain(p, tunnel)}
	}
	return &tunnelError{tunnel: tunnel, words: explain(err, tunnel), err: err}
}

func (e *tunnelError) Error() string { return "by the tunnel: " + e.words }
func (e *tunnelError) Unwrap() error { return e.err }

// untrusted reports whether err says that a certificate was not accepted.
func untrusted(err error) bool {
	var c *tls.CertificateVerificationError
	var a x509.UnknownAuthorityError
	var h x509.HostnameError
	var i x509.CertificateInvalidError
	return errors.As(err, &c) || errors.As(err, &a) || errors.As(err, &h) || errors.As(err, &i)
}

// blame notes in an attempt what happened.
func blame(a *protocol.Attempt, err error, target string) {
	a.Error, a.Untrusted = explain(err, target), untrusted(err)
}

// explain says in words what happened to whom. target is an address, with or
// without a scheme.
func explain(err error, target string) string {
	var p *protocol.Problem
	if errors.As(err, &p) {
		return hostOf(target) + " answered: " + p.Error()
	}
	host := hostOf(target)
	var tunnel *tunnelError
	if errors.As(err, &tunnel) {
		return tunnel.Error()
	}
	var proxy *route.ProxyError
	if errors.As(err, &proxy) {
		return explainProxy(proxy, host)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.Name != "" {
		host = dns.Name // of a proxy, perhaps
	}
	if s := explainCertificate(err); s != "" {
		return "the certificate of " + host + " " + s
	}
	return explainNetwork(err, host)
}

// explainProxy says what happened with or behind a proxy.
func explainProxy(p *route.ProxyError, host string) string {
	proxy := "the proxy " + p.Proxy.Address
	var refused *route.RefusedError
	switch {
	case !p.Reached:
		return explain(p.Err, proxy)
	case !errors.As(p.Err, &refused):
		return "by " + proxy + ": " + explain(p.Err, host)
	case len(refused.Foreign) > 0:
		return proxy + " asks for an authentication that is not known here: " + strings.Join(refused.Foreign, ", ")
	case refused.Status == http.StatusProxyAuthRequired && refused.Tried == "":
		return proxy + " asks for a user name and password (" + strings.Join(refused.Schemes, ", ") + ")"
	case refused.Status == http.StatusProxyAuthRequired:
		return proxy + " did not accept the user name and password (" + refused.Tried + ")"
	case refused.Status >= http.StatusInternalServerError:
		return fmt.Sprintf("%s could not reach %s (%d)", proxy, host, refused.Status)
	}
	return fmt.Sprintf("%s does not let anyone through to %s (%d)", proxy, host, refused.Status)
}

// explainNetwork covers what is no matter of certificates. Errno values of
// both Unix and Windows (Winsock, WSAE…) are known.
func explainNetwork(err error, host string) string {
	var dns *net.DNSError
	var alert *net.OpError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.Is(err, errForeign):
		return host + " " + strings.TrimPrefix(err.Error(), "read answer: ")
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the name " + host + " was not found"
	case errors.As(err, &dns):
		return "the name " + host + " could not be looked up"
	case isErrno(err, syscall.ECONNREFUSED, 10061):
		return host + " refused the connection"
	case isErrno(err, syscall.ECONNRESET, 10054), isErrno(err, syscall.EPIPE, 10053):
		return "the connection to " + host + " was reset"
	case isErrno(err, syscall.ENETUNREACH, 10051), isErrno(err, syscall.EHOSTUNREACH, 10065):
		return "there is no route to " + host
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return host + " does not speak TLS on this port"
	case errors.As(err, &alert) && alert.Op == "remote error": // crypto/tls: an alert came
		return host + " ended the TLS handshake: " + alert.Err.Error()
	case errors.Is(err, context.Canceled):
		return "the attempt to reach " + host + " was given up"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return host + " did not answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed):
		return host + " closed the connection"
	}
	return fmt.Sprintf("%s could not be reached: %v", host, innermost(err))
}

// isErrno reports whether err is one system error, by its Unix or Winsock number.
func isErrno(err error, unix, winsock syscall.Errno) bool {
	return errors.Is(err, unix) || errors.Is(err, winsock)
}

// explainCertificate gives the predicate of "the certificate of HOST …", ""
// when err is not about a certificate.
func explainCertificate(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority):
		if c := authority.Cert; c != nil && c.Issuer.CommonName != "" {
			return fmt.Sprintf("was signed by %q, which this device does not trust", c.Issuer.CommonName)
		}
		return "was signed by an authority that this device does not trust"
	case errors.As(err, &name):
		return "is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "has expired, is not valid yet, or this device's clock is wrong"
	case untrusted(err):
		return "is not acceptable: " + innermost(err).Error()
	}
	return ""
}

// innermost takes off the wrapping that repeats method, address and operation.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// hostOf is the host[:port] of an address.
func hostOf(target string) string {
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		return u.Host
	}
	return target
}
