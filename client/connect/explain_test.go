package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"causeway/protocol"
)

// dialError is how net reports a failed dial, as net/http hands it on.
func dialError(err error) error {
	return &url.Error{Op: "Post", URL: "https://meet.test/api", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{dialError(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "meet.test:8443 refused the connection"},
		{dialError(syscall.Errno(10061)), "meet.test:8443 refused the connection"},
		{dialError(os.NewSyscallError("read", syscall.ECONNRESET)), "the connection to meet.test:8443 was reset"},
		{dialError(syscall.EPIPE), "the connection to meet.test:8443 was reset"},
		{dialError(syscall.EHOSTUNREACH), "there is no route to meet.test:8443"},
		{dialError(syscall.ENETUNREACH), "there is no route to meet.test:8443"},
		{dialError(syscall.ETIMEDOUT), "meet.test:8443 did not answer in time"},
		{dialError(&net.DNSError{Name: "meet.test", IsNotFound: true}), "the name meet.test was not found"},
		{dialError(&net.DNSError{Name: "proxy.test", IsNotFound: true}), "the name proxy.test was not found"},
		{dialError(&net.DNSError{Name: "meet.test", IsTimeout: true}), "the name meet.test could not be looked up"},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), "meet.test:8443 did not answer in time"},
		{os.ErrDeadlineExceeded, "meet.test:8443 did not answer in time"},
		{context.Canceled, "the attempt to reach meet.test:8443 was given up"},
		{io.EOF, "meet.test:8443 closed the connection"},
		{fmt.Errorf("x: %w", io.ErrUnexpectedEOF), "meet.test:8443 closed the connection"},
		{net.ErrClosed, "meet.test:8443 closed the connection"},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, "meet.test:8443 does not speak TLS on this port"},
		{errors.New("http: server gave HTTP response to HTTPS client"), "meet.test:8443 does not speak TLS on this port"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, "meet.test:8443 ended the TLS handshake: tls: handshake failure"},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "meet.test"}, "the certificate of meet.test:8443 is for another name"},
		{x509.UnknownAuthorityError{}, "the certificate of meet.test:8443 was signed by an authority that this device does not trust"},
		{
			&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}},
			"the certificate of meet.test:8443 has expired, is not valid yet, or this device's clock is wrong",
		},
		{&tls.CertificateVerificationError{Err: errors.New("odd")}, "the certificate of meet.test:8443 is not acceptable: odd"},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", errors.New("odd"))), "meet.test:8443 could not be reached: odd"},
		{protocol.NewProblem(protocol.ProblemZoneFull, ""), "meet.test:8443 answered: All places are taken."},
	} {
		t.Run(c.want, func(t *testing.T) {
			if got := explain(c.err, "https://meet.test:8443"); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestProblemOfAnError(t *testing.T) {
	p := problem(protocol.ProblemWebUnreachable, dialError(syscall.ECONNREFUSED), "https://meet.test")
	if p.Code != protocol.ProblemWebUnreachable || p.Detail != "meet.test refused the connection" || !errors.Is(p, syscall.ECONNREFUSED) {
		t.Errorf("got %+v", p)
	}
	p = problem(protocol.ProblemWebUnreachable, dialError(x509.UnknownAuthorityError{}), "https://meet.test")
	if p.Code != protocol.ProblemCertificate {
		t.Errorf("got %+v", p)
	}
	said := protocol.NewProblem(protocol.ProblemMeetingEnded, "")
	if p = problem(protocol.ProblemWebUnreachable, fmt.Errorf("x: %w", said), "https://meet.test"); p != said {
		t.Errorf("got %+v", p)
	}
	if strings.Contains(p.Error(), "https://") {
		t.Errorf("raw error shown: %v", p)
	}
}

// A certificate that is not trusted is neither trusted behind a tunnel.
func TestReasonsAreTold(t *testing.T) {
	direct := protocol.NewProblem(protocol.ProblemCertificate, "a is not trusted\nb is not trusted")
	for tunnels, want := range map[string]string{
		"a is not trusted\nb is not trusted": "a is not trusted; b is not trusted",
		"t refused the connection":           "a is not trusted; b is not trusted; t refused the connection",
	} {
		if got := protocol.ProblemOf(bothWays(direct, errors.New(tunnels))).Detail; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
