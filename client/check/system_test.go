package check

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"causeway/client/connect"
	"causeway/internal/base/pki"
	"causeway/internal/media/offer"
	"causeway/internal/peer"
	"causeway/protocol"
)

const (
	mediaAddress = "192.0.2.9:8801"
	meetingLink  = "https://meet.example.com/j/123456789?pwd=tulip"
)

// A system is everything that a check looks at, on this machine: one server
// of all names under example.com, and a real media port.
type system struct {
	t        *testing.T
	server   *httptest.Server
	port     *peer.Port
	media    net.Listener // RFC 4571
	proxy    net.Listener
	tasks    sync.WaitGroup
	blocked  map[string]error // by address or transport: "udp"; nil passes
	behind   map[string]error // the same, for the proxy and the tunnel
	ahead    time.Duration    // web's clock
	opened   bool             // TLS, on the way to web
	refusal  protocol.Code    // of the lookup
	plain    bool             // WebSocket does not get through
	foreign  bool             // the certificate for media is of an unknown authority
	stranger string           // whose certificate is, of all that this host serves; "" nobody's
	joins    int
}

var errDropped = errors.New("dropped")

func newSystem(t *testing.T) *system {
	s := &system{t: t, blocked: map[string]error{}, behind: map[string]error{}}
	var err error
	if s.port, err = peer.Listen(peer.PortConfig{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Shards: 1}); err != nil {
		t.Fatal(err)
	}
	s.media = s.listen(func(c net.Conn) { s.port.ServeStream(c, protocol.TCP) })
	s.proxy = s.listen(s.connect)
	s.server = httptest.NewUnstartedServer(s)
	s.server.TLS = &tls.Config{NextProtos: []string{"http/1.1", protocol.ALPNMedia}, GetConfigForClient: s.foreigner}
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.server.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		protocol.ALPNMedia: func(_ *http.Server, c *tls.Conn, _ http.Handler) { s.port.ServeStream(c, protocol.TLS) },
	}
	s.server.StartTLS()
	t.Cleanup(func() {
		_ = s.media.Close()
		_ = s.proxy.Close()
		s.server.CloseClientConnections()
		_ = s.port.Close()
		s.server.Close()
		s.tasks.Wait()
	})
	return s
}

// foreigner shows a certificate of an authority that nobody knows to who wants
// media, or the stranger.
func (s *system) foreigner(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	media := s.foreign && slices.Contains(hello.SupportedProtos, protocol.ALPNMedia)
	if !media && (s.stranger == "" || hello.ServerName != s.stranger) {
		return nil, nil
	}
	authority, err := pki.Open(s.t.TempDir(), []string{hello.ServerName})
	if err != nil {
		return nil, err
	}
	return authority.TLSConfig(), nil
}

func (s *system) listen(serve func(net.Conn)) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.tasks.Go(func() { defer c.Close(); serve(c) })
		}
	})
	return l
}

// dialer reaches the system by its names, through a firewall.
func (s *system) dialer(blocked map[string]error) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		to := s.server.Listener.Addr().String()
		switch {
		case address == mediaAddress:
			to = s.media.Addr().String()
		case strings.HasPrefix(address, "proxy."):
			to = s.proxy.Addr().String()
		case !strings.HasSuffix(address, ".example.com:443"):
			return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}}
		}
		if err := blocked[address]; errors.Is(err, errDropped) {
			<-ctx.Done()
			return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
		} else if err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Err: err}
		}
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}
}

// socket reaches the media port by its public address.
type socket struct {
	net.PacketConn
	s *system
}

func (c socket) WriteTo(b []byte, to net.Addr) (int, error) {
	if to.String() != mediaAddress || c.s.blocked["udp"] != nil {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, net.UDPAddrFromAddrPort(c.s.port.Addr()))
}

func (s *system) options(p connect.ProxyOptions) Options {
	roots := x509.NewCertPool()
	roots.AddCert(s.server.Certificate())
	p.NoSystem = true
	if p.Proxy == "" {
		p.Proxy = "direct"
	}
	return Options{
		Network: connect.Options{DialContext: s.dialer(s.blocked), TLS: &tls.Config{RootCAs: roots}, Proxy: p},
		ListenPacket: func() (net.PacketConn, error) {
			c, err := net.ListenPacket("udp", "127.0.0.1:0")
			return socket{c, s}, err
		},
		Resolve: func(_ context.Context, host string) ([]string, error) {
			if strings.HasPrefix(host, "inside.") {
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			}
			return []string{"192.0.2.1"}, nil
		},
		idles: []time.Duration{time.Millisecond}, patience: 2 * time.Second,
	}
}

func (s *system) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	switch {
	case r.URL.Path == protocol.PathConfig:
		mark := protocol.TLSMark(r.TLS)
		if s.opened {
			mark = "of another connection"
		}
		w.Header().Set(protocol.HeaderTLSMark, mark)
		w.Header().Set("Date", time.Now().Add(s.ahead).UTC().Format(http.TimeFormat))
		answer(protocol.SiteConfig{Creation: "anyone"})
	case strings.HasSuffix(r.URL.Path, "/lookup") && s.refusal != "":
		protocol.WriteProblem(w, protocol.NewProblem(s.refusal, ""))
	case strings.HasSuffix(r.URL.Path, "/lookup"):
		answer(protocol.Package{
			Meeting: protocol.MeetingInfo{ID: "m", Number: "123456789"}, Participant: protocol.Identity{ID: "p"}, Token: "t",
			Zones: []protocol.Zone{
				{ID: "north", Controllers: []protocol.Controller{{ID: "a1", URL: "https://a1.example.com"}}},
			},
			Tunnels: []protocol.Tunnel{{ID: "t1", URL: "https://near.example.com"}},
		})
	case r.URL.Path == protocol.PathProbe:
		answer(protocol.ProbeAnswer{Zone: "north", Controller: "a1", State: protocol.ZoneOpen})
	case r.URL.Path == protocol.PathJoin:
		s.join(w, r)
	case r.URL.Path == protocol.PathControl:
		if r.Method != http.MethodHead {
			s.t.Error("the control channel was opened: the check would be seen in the meeting")
		}
		w.WriteHeader(http.StatusUpgradeRequired)
	case r.URL.Path == protocol.PathTunnelPing:
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path == protocol.PathTunnelConnect && !s.plain:
		s.tunnel(w, r)
	case strings.HasPrefix(r.URL.Path, protocol.PathTunnelStreams):
		answer(protocol.TunnelStream{ID: "1"})
	default:
		http.NotFound(w, r)
	}
}

func (s *system) join(w http.ResponseWriter, r *http.Request) {
	var q protocol.JoinRequest
	_ = json.NewDecoder(r.Body).Decode(&q)
	d, err := offer.Parse(q.Offers.Audio)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.joins++
	conn, err := s.port.Accept(peer.AcceptConfig{
		Remote: peer.Credentials{Ufrag: d.Ufrag, Pwd: d.Pwd}, RemoteFingerprint: d.Fingerprint, Handler: nobody{},
	})
	if err != nil {
		s.t.Error(err)
		return
	}
	reply, err := offer.Answer(d, offer.AnswerParams{
		Ufrag: conn.LocalUfrag(), Pwd: conn.LocalPwd(), Fingerprint: s.port.Fingerprint(),
		Slots:      map[int]offer.Slot{0: {ID: "a1", SSRC: 1}},
		Candidates: []offer.Candidate{{Protocol: "udp", Addr: netip.MustParseAddrPort(mediaAddress), Priority: 1}},
	})
	if err != nil {
		s.t.Error(err)
	}
	a := protocol.JoinAnswer{
		Zone: "north", Controller: "a1", MMR: "mmr-1", Session: "s", ControlURL: "wss://mmr.example.com/mmr/v1/control",
		MediaTCP: []string{mediaAddress}, MediaTLS: "mmr.example.com:443",
	}
	a.Answers.Set(protocol.Audio, reply.String())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a)
}

// nobody hears nothing.
type nobody struct{ peer.Handler }

func (nobody) Ready(*peer.Conn, time.Time)                {}
func (nobody) RTP(*peer.Conn, []byte, time.Time)          {}
func (nobody) RTCP(*peer.Conn, []byte, time.Time)         {}
func (nobody) Path(*peer.Conn, peer.PathState, time.Time) {}
func (nobody) Closed(*peer.Conn, error)                   {}

// tunnel carries a stream in a WebSocket.
func (s *system) tunnel(w http.ResponseWriter, r *http.Request) {
	far, err := s.dialer(s.behind)(r.Context(), "tcp", r.URL.Query().Get("to"))
	if err != nil {
		protocol.WriteProblem(w, protocol.NewProblem(protocol.ProblemTunnelRefused, ""))
		return
	}
	defer far.Close()
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer ws.CloseNow()
	near := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
	s.tasks.Go(func() { _, _ = io.Copy(far, near); _ = far.Close() })
	_, _ = io.Copy(near, far)
}

// connect is a proxy that wants Basic credentials, ann and secret.
func (s *system) connect(c net.Conn) {
	br := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if req.Header.Get("Proxy-Authorization") != "Basic YW5uOnNlY3JldA==" {
			fmt.Fprint(c, "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		far, err := s.dialer(s.behind)(context.Background(), "tcp", req.Host)
		if err != nil {
			fmt.Fprint(c, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
		s.tasks.Go(func() { _, _ = io.Copy(far, br); _ = far.Close() })
		_, _ = io.Copy(c, far)
		return
	}
}

var refused = syscall.ECONNREFUSED
