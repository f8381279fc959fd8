package mmr

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/internal/base/pki"
	"causeway/internal/media/offer"
	"causeway/internal/port443"
	"causeway/protocol"

	"github.com/pion/rtcp"
	"github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// openTLS opens a TLS port for the world's router, as cmd does.
func (w *world) openTLS() {
	w.t.Helper()
	authority, err := pki.Open(w.t.TempDir(), []string{"localhost", "127.0.0.1"})
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- port443.Serve(ctx, ln, port443.Config{
			TLS: authority.TLSConfig(), HTTP: w.server.Handler(), Raw: w.server.ServeTURN, Log: quiet(),
			Streams: map[string]func(context.Context, net.Conn){protocol.ALPNMedia: w.server.ServeMedia},
		})
	}()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("TLS port: %v", err)
		}
	})
	w.tls, w.roots = ln.Addr().String(), &tls.Config{RootCAs: authority.Pool(), ServerName: "localhost"}
}

func (w *world) dialTLS(ctx context.Context, alpn ...string) (net.Conn, error) {
	cfg := w.roots.Clone()
	cfg.NextProtos = alpn
	return (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", w.tls)
}

func TestWaysAreTold(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ControlURL = "wss://mmr.example.org" + protocol.PathControl })
	at := w.server.port.Addr().String()
	for _, kind := range []string{"native", "web"} {
		a, err := w.admit(protocol.AdmitRequest{
			Token: w.token("m1", kind, protocol.Guest), Offers: goodOffers(t), Client: protocol.ClientInfo{Kind: kind},
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.MediaTCP, []string{at}) || a.MediaTLS != "mmr.example.org:443" {
			t.Errorf("%s: TCP %v, TLS %q", kind, a.MediaTCP, a.MediaTLS)
		}
		if kind == "native" && a.TURN != nil {
			t.Error("a native client has no use for TURN")
		}
		if kind != "web" {
			continue
		}
		if len(a.TURN) != 1 || !slices.Equal(a.TURN[0].URLs, []string{"turns:mmr.example.org:443?transport=tcp"}) ||
			!strings.HasSuffix(a.TURN[0].Username, ":web") || a.TURN[0].Credential == "" {
			t.Errorf("TURN %+v", a.TURN)
		}
		d, err := offer.Parse(a.Answers.Audio)
		if err != nil {
			t.Fatal(err)
		}
		udp, tcp := d.Candidates[0], d.Candidates[1]
		if udp.Protocol != "udp" || tcp.Protocol != "tcp" || tcp.TCPType != "passive" || tcp.Addr.String() != at || tcp.Priority >= udp.Priority {
			t.Errorf("candidates %+v", d.Candidates)
		}
	}
}

func TestWaysThatThereAreNot(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MediaTCP, c.ControlURL = false, "ws://localhost:8080"+protocol.PathControl })
	a, err := w.admit(protocol.AdmitRequest{
		Token: w.token("m1", "ada", protocol.Guest), Offers: goodOffers(t), Client: protocol.ClientInfo{Kind: "web"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if a.MediaTCP != nil || a.MediaTLS != "" || a.TURN != nil || strings.Contains(a.Answers.Audio, "tcptype") {
		t.Errorf("told %v, %q, %v", a.MediaTCP, a.MediaTLS, a.TURN)
	}
}

func TestTakenTCPPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := DefaultConfig()
	cfg.MediaListen = ln.Addr().String()
	_, err = New(cfg, Deps{Log: quiet()})
	if err == nil || !strings.Contains(err.Error(), "media port "+cfg.MediaListen) || !strings.Contains(err.Error(), "tcp") {
		t.Errorf("error %v", err)
	}
	// The UDP half must not be left behind.
	c, err := net.ListenPacket("udp", cfg.MediaListen)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

func TestTCPPriorities(t *testing.T) {
	udp := make([]offer.Candidate, 0, offer.MaxCandidates/2)
	for i := range cap(udp) {
		udp = append(udp, offer.Candidate{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 8801), Priority: hostPriority(i)})
	}
	tcp := tcpCandidates(udp)
	all := append(slices.Clone(udp), tcp...)
	for i := 1; i < len(all); i++ {
		if all[i].Priority >= all[i-1].Priority || all[i].Priority == 0 {
			t.Errorf("candidate %d has priority %d after %d", i, all[i].Priority, all[i-1].Priority)
		}
	}
}

// TestMediaOverStreams has one participant on each rung: sound and pictures
// go from each to each.
func TestMediaOverStreams(t *testing.T) {
	w := newWorld(t, nil)
	w.openTLS()
	rungs := []protocol.Transport{protocol.UDP, protocol.TCP, protocol.TLS}
	people := map[protocol.Transport]*client{}
	for i, r := range rungs {
		people[r] = w.join("m1", string(r), wish{via: r})
		people[r].talk(byte(20 + i))
		people[r].film(360)
	}
	for _, r := range rungs {
		k := people[r].conns[protocol.Audio]
		for _, other := range rungs {
			if other == r {
				continue
			}
			want := []byte("sound of " + string(other))
			w.until(string(r)+" hears "+string(other), func() bool {
				for _, slot := range []protocol.SlotID{"a1", "a2", "a3"} {
					if got := k.in(slot); len(got) > 20 && bytes.Equal(got[len(got)-1].Payload(got[len(got)-1].raw), want) {
						return true
					}
				}
				return false
			})
			people[r].say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: string(other), MaxHeight: 360}}})
			v := people[r].conns[protocol.Video]
			before := len(v.in("v1"))
			w.until(string(r)+" sees "+string(other), func() bool {
				return len(v.in("v1")) > before+10 && people[r].slots()["v1"].Participant == string(other)
			})
		}
		if got := k.peer.Stats().Transport; got != r {
			t.Errorf("sound of %s goes by %s", r, got)
		}
	}
	w.until("reports over streams", func() bool {
		return len(reports[*rtcp.ReceiverReport](people[protocol.TLS].conns[protocol.Audio])) > 0
	})
}

func TestTLSPortTellsItsUsersApart(t *testing.T) {
	w := newWorld(t, nil)
	w.openTLS()
	ada := w.join("m1", "ada", wish{via: protocol.TLS})
	ada.talk(20)
	bob := w.join("m1", "bob", wish{})
	for name, alpn := range map[string][]string{"no ALPN": nil, "media": {protocol.ALPNMedia}} {
		c, err := w.dialTLS(t.Context(), alpn...)
		if err != nil {
			t.Fatal(err)
		}
		// A frame that is too long, and no STUN either.
		_, _ = c.Write(append(bytes.Repeat([]byte{0xFF}, 4096), "\r\n\r\n"...))
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: garbage was listened to", name)
		}
		_ = c.Close()
	}
	w.until("the meeting went on", func() bool { return len(bob.conns[protocol.Audio].in("a1")) > 20 })
}

// relayed opens a relay by TURN over TLS for a participant.
func (w *world) relayed(server protocol.TURNServer) net.PacketConn {
	w.t.Helper()
	stream, err := w.dialTLS(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: stream.RemoteAddr().String(), Conn: turn.NewSTUNConn(stream),
		Username: server.Username, Password: server.Credential,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		w.t.Fatal(err)
	}
	relay, err := c.Allocate()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = relay.Close(); c.Close() })
	return relay
}

// TestRelayLeadsToTheRouterOnly tries a browser's last way.
func TestRelayLeadsToTheRouterOnly(t *testing.T) {
	w := newWorld(t, nil)
	w.openTLS()
	a, err := w.admit(protocol.AdmitRequest{
		Token: w.token("m1", "ada", protocol.Guest), Offers: goodOffers(t), Client: protocol.ClientInfo{Kind: "web"},
	})
	if err != nil {
		t.Fatal(err)
	}
	relay := w.relayed(a.TURN[0])
	stranger, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	// The same machine, another port: a permission is for an address
	// (RFC 8656 section 9), but nothing arrives.
	_, _ = relay.WriteTo([]byte("let me out"), stranger.LocalAddr())
	if _, err := relay.WriteTo([]byte("let me out"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 53}); err == nil {
		t.Error("a permission for a stranger was given")
	}
	before := w.server.port.Stats().UnknownAddress
	at := net.UDPAddrFromAddrPort(w.server.port.Addr())
	w.until("a packet reaches the media port", func() bool {
		_, _ = relay.WriteTo([]byte{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, at)
		return w.server.port.Stats().UnknownAddress > before
	})
	_ = stranger.SetReadDeadline(time.Now().Add(time.Millisecond))
	if n, from, err := stranger.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes from %s reached a stranger", n, from)
	}
}

// The port's metrics tell of its connections and of what nobody takes.
func TestPortMetrics(t *testing.T) {
	w := newWorld(t, nil)
	_ = w.join("m1", "ada", wish{})
	c, err := net.Dial("udp", w.server.port.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reg := prometheus.NewRegistry()
	reg.MustRegister(portMetrics(w.server.port)...)
	values := func() map[string]float64 {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := f.GetName()
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		return all
	}
	w.until("strangers' packets are told of", func() bool {
		_, _ = c.Write([]byte{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		_, _ = c.Write([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		v := values()
		return v["causeway_mmr_port_refused_total address"] > 0 && v["causeway_mmr_port_refused_total check"] > 0
	})
	v := values()
	if n := w.server.port.Stats().Connections; n == 0 || v["causeway_mmr_port_connections"] != float64(n) {
		t.Errorf("%d connections, and %v told", n, v)
	}
	for _, name := range []string{"causeway_mmr_port_followed_total", "causeway_mmr_port_send_drops_total", "causeway_mmr_port_streams_unclaimed", "causeway_mmr_port_refused_total handshake"} {
		if n, is := v[name]; !is || n != 0 {
			t.Errorf("%s: %v, %v", name, n, is)
		}
	}
}

// Media over TLS and TURN are told at an address of their own where there is
// one.
func TestPublicMediaTLS(t *testing.T) {
	for _, test := range []struct{ control, media, want string }{
		{"wss://mmr.example.org/mmr/v1/control", "", "mmr.example.org:443"},
		{"wss://mmr.example.org:8443/mmr/v1/control", "", "mmr.example.org:8443"},
		{"ws://mmr.example.org/mmr/v1/control", "", ""},
		{"wss://mmr.example.org/mmr/v1/control", "media.example.org:443", "media.example.org:443"},
		{"ws://mmr.example.org/mmr/v1/control", "media.example.org:443", "media.example.org:443"},
	} {
		s := &Server{cfg: Config{ControlURL: test.control, MediaTLS: test.media}}
		if got := s.mediaTLS(); got != test.want {
			t.Errorf("%s, %q: %q, want %q", test.control, test.media, got, test.want)
		}
	}
}
