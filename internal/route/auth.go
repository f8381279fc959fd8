package route

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/Azure/go-ntlmssp"
	"github.com/icholy/digest"
)

// Credentials gives the user and password for a proxy; ok is false when there
// are none. It is called at most once per proxy and Route while a connection
// is being dialled, so it should not wait for a person: Login is for that.
type Credentials func(ctx context.Context, proxy Proxy) (user, password string, ok bool)

// preference lists the schemes, strongest first.
var preference = []string{"negotiate", "ntlm", "digest", "basic"}

// scheme is one way to authenticate on one connection.
type scheme interface {
	// next answers a challenge ("" for the first) with the value of
	// Proxy-Authorization.
	next(challenge, address string) (string, error)
	close()
}

// authMemory remembers what each proxy accepted, so that later connections
// carry it in their first request.
type authMemory struct {
	mu      sync.Mutex
	proxies map[string]*proxyMemory
}

type proxyMemory struct {
	user, password string
	known          bool
	scheme         string // that worked last
	challenge      string // of Digest, to answer without being asked
}

func newAuthMemory() *authMemory { return &authMemory{proxies: map[string]*proxyMemory{}} }

// authSession is one CONNECT's authentication.
type authSession struct {
	memory    *authMemory
	proxy     Proxy
	ask       Credentials
	name      string // of the scheme in use
	scheme    scheme
	challenge string
	refused   map[string]bool
}

func (m *authMemory) session(p Proxy, ask Credentials) *authSession {
	s := &authSession{memory: m, proxy: p, ask: ask, refused: map[string]bool{}}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.proxies[p.Address]
	if k == nil {
		k = &proxyMemory{user: p.User, password: p.Password, known: p.User != ""}
		m.proxies[p.Address] = k
	}
	if k.scheme != "" {
		s.name, s.challenge = k.scheme, k.challenge
		s.scheme = s.make(k.scheme, k.user, k.password)
	}
	return s
}

// login sets the credentials for a proxy.
func (m *authMemory) login(p Proxy, user, password string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proxies[p.Address] = &proxyMemory{user: user, password: password, known: true}
}

// known gives the credentials for a proxy, if there are any.
func (m *authMemory) known(p Proxy) (user, password string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.proxies[p.Address]; k != nil {
		return k.user, k.password, k.known
	}
	return p.User, p.Password, p.User != ""
}

// authorization is the next request's Proxy-Authorization, "" for none.
func (s *authSession) authorization(address string) (string, error) {
	if s.scheme == nil {
		return "", nil
	}
	return s.scheme.next(s.challenge, address)
}

// challenged takes a 407's challenges: it goes on with the scheme in use if
// the proxy does, else takes the strongest one not yet refused.
func (s *authSession) challenged(ctx context.Context, headers []string) error {
	offered := challenges(headers)
	names := make([]string, 0, len(offered))
	for _, n := range preference {
		if _, ok := offered[n]; ok {
			names = append(names, n)
		}
	}
	// A multi-step scheme goes on when its challenge has content; Digest may
	// be asked again for a stale nonce.
	if s.scheme != nil {
		c, ok := offered[s.name]
		multi := (s.name == "ntlm" || s.name == "negotiate") && c != "" && c != s.challenge
		stale := s.name == "digest" && c != s.challenge && strings.Contains(strings.ToLower(c), "stale=true")
		if ok && (multi || stale) {
			s.challenge = c
			return nil
		}
		s.refused[s.name] = true
		s.scheme.close()
		s.scheme = nil
	}
	for _, n := range names {
		if s.refused[n] {
			continue
		}
		if n != "negotiate" && !s.credentials(ctx) {
			return &RefusedError{Status: http.StatusProxyAuthRequired, Schemes: names, Tried: s.name}
		}
		k := s.known()
		made := s.make(n, k.user, k.password)
		if made == nil && s.credentials(ctx) { // Negotiate without a ticket
			k = s.known()
			made = s.make(n, k.user, k.password)
		}
		if made != nil {
			s.name, s.scheme, s.challenge = n, made, offered[n]
			return nil
		}
		s.refused[n] = true
	}
	if len(names) == 0 {
		return &RefusedError{Status: http.StatusProxyAuthRequired, Foreign: headers}
	}
	return &RefusedError{Status: http.StatusProxyAuthRequired, Schemes: names, Tried: s.name}
}

func (s *authSession) known() proxyMemory {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	return *s.memory.proxies[s.proxy.Address]
}

// credentials makes sure that there are some.
func (s *authSession) credentials(ctx context.Context) bool {
	if s.known().known {
		return true
	}
	if s.ask == nil {
		return false
	}
	user, password, ok := s.ask(ctx, s.proxy)
	if !ok {
		return false
	}
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	k := s.memory.proxies[s.proxy.Address]
	k.user, k.password, k.known = user, password, true
	return true
}

// make returns nil for a scheme that cannot be used here.
func (s *authSession) make(name, user, password string) scheme {
	switch name {
	case "basic":
		return basicScheme{user, password}
	case "digest":
		return &digestScheme{user: user, password: password}
	case "ntlm":
		return &ntlmScheme{user: user, password: password}
	case "negotiate":
		host, _, _ := net.SplitHostPort(s.proxy.Address)
		return newNegotiate(host, user, password)
	}
	return nil
}

func (s *authSession) accepted() {
	if s.name == "" {
		return
	}
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	k := s.memory.proxies[s.proxy.Address]
	k.scheme, k.challenge = s.name, ""
	if s.name == "digest" {
		k.challenge = s.challenge
	}
}

func (s *authSession) close() {
	if s.scheme != nil {
		s.scheme.close()
	}
}

// challenges maps the offered schemes, in lower case, to what follows them.
func challenges(headers []string) map[string]string {
	out := map[string]string{}
	for _, h := range headers {
		name, rest, _ := strings.Cut(strings.TrimSpace(h), " ")
		name = strings.ToLower(name)
		if _, ok := out[name]; !ok {
			out[name] = strings.TrimSpace(rest)
		}
	}
	return out
}

type basicScheme struct{ user, password string }

func (b basicScheme) next(string, string) (string, error) {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(b.user+":"+b.password)), nil
}
func (basicScheme) close() {}

type digestScheme struct {
	user, password string
	nonce          string
	count          int
}

// next answers a Digest challenge for CONNECT, whose URI is host:port.
func (d *digestScheme) next(challenge, address string) (string, error) {
	c, err := digest.ParseChallenge("Digest " + challenge)
	if err != nil {
		return "", fmt.Errorf("the proxy's Digest challenge: %w", err)
	}
	if c.Nonce != d.nonce {
		d.nonce, d.count = c.Nonce, 0
	}
	d.count++
	cred, err := digest.Digest(c, digest.Options{
		Method: http.MethodConnect, URI: address, Username: d.user, Password: d.password, Count: d.count,
	})
	if err != nil {
		return "", fmt.Errorf("answer the proxy's Digest challenge: %w", err)
	}
	return cred.String(), nil
}
func (*digestScheme) close() {}

type ntlmScheme struct {
	user, password string
	started        bool
}

// next speaks NTLM: a negotiate message first, then the answer to the
// proxy's challenge, on the same connection.
func (n *ntlmScheme) next(challenge, _ string) (string, error) {
	if !n.started || challenge == "" {
		n.started = true
		m, err := ntlmssp.NewNegotiateMessage("", "")
		if err != nil {
			return "", fmt.Errorf("NTLM: %w", err)
		}
		return "NTLM " + base64.StdEncoding.EncodeToString(m), nil
	}
	c, err := base64.StdEncoding.DecodeString(challenge)
	if err != nil {
		return "", fmt.Errorf("the proxy's NTLM challenge: %w", err)
	}
	m, err := ntlmssp.NewAuthenticateMessage(withTargetInfo(c), n.user, n.password, nil)
	if err != nil {
		return "", fmt.Errorf("answer the proxy's NTLM challenge: %w", err)
	}
	return "NTLM " + base64.StdEncoding.EncodeToString(m), nil
}
func (*ntlmScheme) close() {}

// withTargetInfo gives an NTLM challenge without usable target information the
// empty field that the library reads all the same: such messages may be shorter
// (MS-NLMP 2.2.1.2), and some proxies say that they have it and do not. A name
// beyond the message's end is left out: it is for people only.
func withTargetInfo(c []byte) []byte {
	const name, flags, info, fields, negotiateTargetInfo = 12, 20, 40, 40, 0x0080_0000
	if len(c) < fields {
		return c
	}
	told := binary.LittleEndian.Uint32(c[flags:])&negotiateTargetInfo != 0
	target, named := varField(c, name)
	if _, fits := varField(c, info); told && fits && named {
		return c
	}
	out := make([]byte, fields+16, fields+16+len(c))
	copy(out, c[:fields])
	if told {
		if v, fits := varField(c, info); fits {
			copy(out[info:], c[info:info+4])
			binary.LittleEndian.PutUint32(out[info+4:], uint32(len(out)))
			return append(clearField(out, name), v...)
		}
	}
	if !named {
		return clearField(out, name)
	}
	binary.LittleEndian.PutUint32(out[name+4:], uint32(len(out)))
	return append(out, target...)
}

func clearField(m []byte, at int) []byte { clear(m[at : at+8]); return m }

// varField reads a field of an NTLM message: length, room and offset (MS-NLMP
// 2.2.1); false if it is not within the message.
func varField(m []byte, at int) (value []byte, ok bool) {
	if len(m) < at+8 {
		return nil, false
	}
	length, offset := int(binary.LittleEndian.Uint16(m[at:])), int(binary.LittleEndian.Uint32(m[at+4:]))
	if offset > len(m) || length > len(m)-offset {
		return nil, false
	}
	return m[offset : offset+length], true
}
