package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"causeway/internal/base/pki"
	"causeway/internal/bus"
	"causeway/internal/route"
	"causeway/protocol"
)

const (
	enrolTimeout = 30 * time.Second
	enrolWait    = 500 * time.Millisecond // between attempts to reach web
	maxAnswer    = 1 << 20
)

// Enrolled are the fields of servers that come to their identity by enrolment.
type Enrolled struct {
	Data   string `yaml:"data"`   // folder of the identity
	Enroll string `yaml:"enroll"` // enrolment token, for the first start
	Proxy  string `yaml:"proxy"`  // to reach web by
}

// enrolFlags are the flags of such servers.
type enrolFlags struct {
	Enroll string `help:"Enrolment token, for the first start: from 'causeway token create'." env:"CAUSEWAY_ENROLL" placeholder:"TOKEN"`
}

func (e Enrolled) checkEnrolled(outside bool) issues {
	var found issues
	if e.Data == "" && !outside {
		found.add("data", "is missing", "name a folder of this server's own, where it keeps its identity")
	}
	if e.Enroll != "" {
		if _, err := pki.ParseTicket(e.Enroll); err != nil {
			found.add("enroll", "is not an enrolment token", "make one with 'causeway token create', and copy all of it")
		}
	}
	if _, err := e.dialler(nil); err != nil {
		found.add("proxy", err.Error(), "write http://[USER:PASSWORD@]HOST:PORT, direct, or leave it empty for that of the environment")
	}
	return found
}

// dialler dials web: through a proxy where there is one.
func (e Enrolled) dialler(log *slog.Logger) (bus.DialFunc, error) {
	finder, err := route.NewFinder(route.Settings{Proxy: e.Proxy, Environment: httpproxy.FromEnvironment()}, nil, log)
	if err != nil {
		return nil, err
	}
	return route.New(route.Config{Finder: finder, Log: log}).DialContext, nil
}

// A member is a server with its identity.
type member struct {
	data  *dataDir
	trust *bus.Trust
	creds *pki.Credentials
	dial  bus.DialFunc // to web
	known *known
	log   *slog.Logger
}

// join opens the server's data folder and its identity, enrolling if it has
// none yet.
func (e Enrolled) join(ctx context.Context, who pki.Identity, log *slog.Logger) (*member, error) {
	data, err := openDataDir(e.Data)
	if err != nil {
		return nil, err
	}
	m := &member{data: data, log: log}
	if m.dial, err = e.dialler(log); err == nil {
		m.creds, err = m.identity(ctx, e.Enroll, who)
	}
	if err != nil {
		data.close()
		return nil, err
	}
	m.trust = bus.NewTrust(m.creds)
	m.known = openKnown(data.file("known.json"), m.trust, log)
	return m, nil
}

// identity loads the identity that the server has, or enrols: if it has none,
// or with a token that it has not used before, as after a revocation.
func (m *member) identity(ctx context.Context, token string, who pki.Identity) (*pki.Credentials, error) {
	creds, err := pki.LoadCredentials(m.data.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	problem := fmt.Sprintf("this server has no identity in %s yet", m.data.path)
	switch {
	case err != nil:
	case creds.Identity() != who:
		problem = fmt.Sprintf("the identity in %s is that of %s, not of %s", m.data.path, creds.Identity(), who)
	case !time.Now().Before(creds.Expires()):
		problem = fmt.Sprintf("the identity in %s has ended on %s", m.data.path, creds.Expires().Format(time.DateTime))
	case token == "" || m.usedUp(token):
		return creds, nil
	}
	if token == "" {
		return nil, fmt.Errorf("%s; make a token with 'causeway token create%s', and start with --enroll TOKEN", problem, tokenArguments(who))
	}
	ticket, err := pki.ParseTicket(token)
	if err != nil {
		return nil, err
	}
	creds, err = m.enrol(ctx, ticket, who)
	if err != nil {
		return nil, err
	}
	return creds, writeSecret(m.data.file(usedFile), fingerprint(token))
}

// usedFile remembers the token that the identity came of, not to use it again.
const usedFile = "enrolled-with"

func fingerprint(token string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return hex.EncodeToString(sum[:])
}

// usedUp reports whether the identity came of this token.
func (m *member) usedUp(token string) bool {
	used, err := readSecret(m.data.file(usedFile))
	return err == nil && used == fingerprint(token)
}

// tokenArguments are those of `causeway token create` for a server.
func tokenArguments(who pki.Identity) string {
	s := " --role " + string(who.Role)
	if who.Zone != "" {
		s = " --zone " + who.Zone + s
	}
	return s
}

// enrol has a new key certified by web. It goes on trying while no web server
// can be reached, as when all are started together.
func (m *member) enrol(ctx context.Context, ticket pki.Ticket, who pki.Identity) (*pki.Credentials, error) {
	key, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	csr, err := key.Request()
	if err != nil {
		return nil, err
	}
	request := protocol.EnrollRequest{Secret: ticket.Secret, Role: string(who.Role), Zone: who.Zone, Name: who.Name, CSR: csr}
	for told := false; ; told = true {
		answer, err := m.askAny(ctx, ticket, request)
		if err == nil {
			m.log.Info("enrolled", "server", who.String())
			return pki.NewCredentials(m.data.path, key, answer.Certificate, answer.Authority)
		}
		if _, answered := errors.AsType[*protocol.Problem](err); answered {
			return nil, err
		}
		if !told {
			m.log.Warn("web not reached for enrolment, trying again and again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("enrol: %w", err)
		case <-time.After(enrolWait):
		}
	}
}

// askAny asks the web servers one after the other until one answers.
func (m *member) askAny(ctx context.Context, ticket pki.Ticket, request protocol.EnrollRequest) (protocol.Certificate, error) {
	var failed error
	for _, hub := range ticket.Hubs {
		answer, err := m.ask(ctx, ticket.TLS(), hub, request)
		if _, answered := errors.AsType[*protocol.Problem](err); err == nil || answered {
			return answer, err
		}
		failed = errors.Join(failed, err)
	}
	return protocol.Certificate{}, failed
}

func (m *member) ask(ctx context.Context, secure *tls.Config, hub string, request protocol.EnrollRequest) (protocol.Certificate, error) {
	var answer protocol.Certificate
	ctx, cancel := context.WithTimeout(ctx, enrolTimeout)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return answer, fmt.Errorf("encode enrolment: %w", err)
	}
	address := "https://" + pki.ServerName + protocol.PathEnroll
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return answer, fmt.Errorf("make enrolment: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: secure,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) { return m.dial(ctx, network, hub) },
	}}
	res, err := client.Do(req)
	if err != nil {
		return answer, fmt.Errorf("enrol at %s: %w", hub, err)
	}
	defer func() { _ = res.Body.Close() }()
	return answer, readAnswer(res, hub, &answer)
}

// keep keeps the server's identity fresh and what it knows on disk, until ctx
// ends.
func (m *member) keep(conn *bus.Conn) func(context.Context) error {
	return func(ctx context.Context) error { return m.known.follow(ctx, conn, m.trust) }
}

// close ends the use of the data folder.
func (m *member) close() { m.data.close() }

// outsideTLS is whom an outside NATS is trusted by.
func (b BusFields) outsideTLS() (*tls.Config, error) {
	pool, err := pki.Pool(b.CA)
	if err != nil {
		return nil, fmt.Errorf("%w; check bus.ca", err)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// dialOutside connects to an outside NATS.
func (b BusFields) dialOutside(s served) (*bus.Conn, error) {
	secure, err := b.outsideTLS()
	if err != nil {
		return nil, err
	}
	return bus.DialOutside(bus.OutsideConfig{Name: s.name, URLs: b.NATS, TLS: secure, Log: s.log})
}
