package mmr

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/media/rtcpstat"
	"causeway/protocol"

	"github.com/pion/rtcp"
	"github.com/prometheus/client_golang/prometheus"
)

// zones starts a router in each of some zones, on one bus.
func zones(t *testing.T, names ...string) []*world {
	t.Helper()
	in := func(zone string) func(*Config) {
		return func(c *Config) { c.Zone, c.ID = zone, "mmr-"+zone }
	}
	all := []*world{newWorld(t, in(names[0]))}
	for _, zone := range names[1:] {
		all = append(all, all[0].beside(in(zone)))
	}
	return all
}

// simulcast publishes two layers, 30 frames a second: 180 lines in small
// packets and 720 in large ones, and key frames when asked. It returns how
// many frames were sent.
func (c *client) simulcast() *atomic.Int64 {
	k := c.conns[protocol.Video]
	asked := map[uint32]int{}
	frames := new(atomic.Int64)
	c.pump(33*time.Millisecond, func(n int) {
		for layer, rid := range []string{"q", "f"} {
			ssrc := uint32(7000 + layer)
			now := 0
			for _, p := range reports[*rtcp.PictureLossIndication](k) {
				if p.MediaSSRC == ssrc {
					now++
				}
			}
			key := n == 0 || now != asked[ssrc]
			asked[ssrc] = now
			k.send(rtpPacket(96, uint16(n), uint32(n)*3000+uint32(layer)*1e6, ssrc, 10, rid, vp8Frame(n, key, 180+540*layer, 200+600*layer)))
		}
		frames.Add(1)
	})
	return frames
}

// look asks for a picture.
func (c *client) look(at string, height int) {
	c.say(protocol.Want{Slots: []protocol.SlotWant{{Slot: "v1", Participant: at, MaxHeight: height}}})
}

// size is that of the latest packet of the picture; 0 for none.
func (c *client) size() int {
	got := c.conns[protocol.Video].in("v1")
	if len(got) == 0 {
		return 0
	}
	return len(got[len(got)-1].raw)
}

// hears lists who is heard: told, and with packets.
func (c *client) hears() []string {
	var ids []string
	for slot, s := range c.slots() {
		got := c.conns[protocol.Audio].in(slot)
		if s.Source == protocol.Mic && len(got) > 0 && string(got[len(got)-1].Payload(got[len(got)-1].raw)) == "sound of "+s.Participant {
			ids = append(ids, s.Participant)
		}
	}
	slices.Sort(ids)
	return ids
}

// whole fails the test if numbers are missing in what arrived in a slot.
func (c *client) whole(kind protocol.MediaKind, slot protocol.SlotID) {
	c.t.Helper()
	got := c.conns[kind].in(slot)
	for i := 1; i < len(got); i++ {
		if got[i].Sequence != got[i-1].Sequence+1 {
			c.t.Fatalf("%s, %s: a hole: %d after %d", c.id, slot, got[i].Sequence, got[i-1].Sequence)
		}
	}
}

// Participants of three routers see and hear each other; what nobody takes
// does not travel.
func TestThreeRouters(t *testing.T) {
	w := zones(t, "a", "b", "c")
	ada := w[0].join("m1", "ada", wish{rids: []string{"q", "f"}})
	bob := w[1].join("m1", "bob", wish{})
	eve := w[2].join("m1", "eve", wish{})
	frames := ada.simulcast()
	bob.look("ada", 180)
	eve.look("ada", 720)
	w[0].until("bob sees the small layer", func() bool { return bob.size() > 0 && bob.size() < 500 })
	w[0].until("eve sees the large layer", func() bool { return eve.size() > 500 })
	bob.look("ada", 720)
	w[0].until("bob sees the large layer", func() bool { return bob.size() > 500 })
	bob.whole(protocol.Video, "v1")
	eve.whole(protocol.Video, "v1")

	stop := ada.talk(20)
	bob.talk(25)
	w[0].until("everybody hears the others", func() bool {
		return slices.Equal(ada.hears(), []string{"bob"}) && slices.Equal(bob.hears(), []string{"ada"}) &&
			slices.Equal(eve.hears(), []string{"ada", "bob"})
	})
	w[0].until("the speakers are told", func() bool {
		s := told[protocol.Speakers](eve)
		return len(s) > 0 && len(s[len(s)-1].Speakers) == 2
	})

	// Bob looks away, and ada says nothing any more: nothing goes to his
	// router.
	stop()
	bob.say(protocol.Want{})
	w[0].until("what nobody takes has ended", func() bool {
		in, sent := w[1].server.router.Traffic().RelayedIn, frames.Load()
		w[0].until("frames", func() bool { return frames.Load() > sent+10 })
		return w[1].server.router.Traffic().RelayedIn == in
	})
	before := len(eve.conns[protocol.Video].in("v1"))
	w[0].until("eve sees on", func() bool { return len(eve.conns[protocol.Video].in("v1")) > before+5 })
	eve.whole(protocol.Video, "v1")
	bob.look("ada", 180)
	w[0].until("bob sees the small layer again", func() bool { return bob.size() < 500 })
}

// Of all who speak on two routers everybody hears the three loudest others.
func TestLoudestAcrossRouters(t *testing.T) {
	w := zones(t, "a", "b")
	var people []*client
	for i := range 8 {
		people = append(people, w[i%2].join("m1", fmt.Sprint("p", i), wish{kinds: []protocol.MediaKind{protocol.Audio}}))
	}
	for i, p := range people[:7] {
		p.talk(byte(15 + 7*i)) // p0 is the loudest, p7 says nothing
	}
	for i, want := range []string{"p1 p2 p3", "p0 p2 p3", "p0 p1 p3", "p0 p1 p2", "p0 p1 p2", "p0 p1 p2", "p0 p1 p2", "p0 p1 p2"} {
		w[0].until(fmt.Sprintf("p%d hears %s", i, want), func() bool { return strings.Join(people[i].hears(), " ") == want })
	}
}

// A share with its sound crosses routers.
func TestShareAcrossRouters(t *testing.T) {
	w := zones(t, "a", "b")
	ada := w[0].join("m1", "ada", wish{})
	bob := w[1].join("m1", "bob", wish{})
	k := ada.conns[protocol.Content]
	w[0].pump(33*time.Millisecond, func(n int) {
		k.send(rtpPacket(96, uint16(n), uint32(n)*3000, screenSSRC, 9, "0", vp8Frame(n, n%10 == 0, 1080, 700)))
		k.send(rtpPacket(111, uint16(n), uint32(n)*960, soundSSRC, 1, "\x94", []byte("screen sound")))
	})
	sharing := true
	ada.say(protocol.SetState{Sharing: &sharing})
	v := bob.conns[protocol.Content]
	w[0].until("picture and sound of the share", func() bool { return len(v.in("c1")) > 5 && len(v.in("s1")) > 5 })
	sharing = false
	ada.say(protocol.SetState{Sharing: &sharing})
	w[0].until("the end of it is told", func() bool { s := bob.slots(); return s["c1"].Participant == "" && s["s1"].Participant == "" })
}

// between puts a network between router i's media port and those that dial it
// from now on.
func between(t *testing.T, w *world) *badNetwork {
	t.Helper()
	n := newBadNetwork(t, w.server.port.Addr())
	w.server.mediaCandidates.Store(&[]offer.Candidate{{Protocol: "udp", Addr: n.addr}})
	return n
}

// What gets lost between routers is repaired between them.
func TestLossBetweenRouters(t *testing.T) {
	w := zones(t, "a", "b")
	bob := w[1].join("m1", "bob", wish{})
	network := between(t, w[1])
	ada := w[0].join("m1", "ada", wish{})
	n := 0
	network.lose(func(p []byte) bool {
		n++
		return isRTP(p) && n%9 == 0
	})
	ada.film(360)
	bob.look("ada", 360)
	w[0].until("all packets", func() bool {
		return w[0].server.router.Traffic().Repairs > 10 && bob.conns[protocol.Video].complete()
	})
	if n := w[1].server.router.Traffic().Nacks; n == 0 {
		t.Error("the router asked for nothing")
	}
}

// UDP between two routers dies in mid-call: the relay goes on over TCP.
func TestUDPBetweenRoutersDies(t *testing.T) {
	w := zones(t, "a", "b")
	bob := w[1].join("m1", "bob", wish{})
	network := between(t, w[1])
	ada := w[0].join("m1", "ada", wish{})
	ada.talk(20)
	bob.talk(25)
	hear := func(c *client) func() bool {
		return func() bool { return len(c.conns[protocol.Audio].in("a1")) > 30 }
	}
	w[0].until("bob hears ada", hear(bob))
	w[0].until("ada hears bob", hear(ada))
	over := func(t protocol.Transport) int { return w[0].server.relays.Stats().Connections[t] }
	w[0].until("over UDP", func() bool { return over(protocol.UDP) == 3 })
	network.lose(func([]byte) bool { return true })
	w[0].until("over TCP", func() bool { return over(protocol.TCP) == 3 })
	more := func(c *client) func() bool {
		n := len(c.conns[protocol.Audio].in("a1"))
		return func() bool { return len(c.conns[protocol.Audio].in("a1")) > n+50 }
	}
	w[0].until("bob hears ada again", more(bob))
	w[0].until("ada hears bob again", more(ada))
	if s := w[0].server.relays.Stats(); s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

// Nothing but the TLS port of a router can be reached: the relay takes that.
func TestRelayOverTLS(t *testing.T) {
	a := newWorld(t, func(c *Config) { c.Zone = "a" })
	b := a.beside(func(c *Config) { c.Zone, c.ControlURL = "b", "wss://b.example.org"+protocol.PathControl })
	b.openTLS()
	a.hosts.Store("b.example.org:443", b.tls)
	bob := b.join("m1", "bob", wish{})
	network := between(t, b)
	network.lose(func([]byte) bool { return true })
	_ = network.tcp.Close()
	ada := a.join("m1", "ada", wish{})
	ada.talk(20)
	ada.film(360)
	bob.look("ada", 360)
	a.until("bob hears and sees ada", func() bool { return len(bob.hears()) == 1 && bob.size() > 0 })
	a.until("over TLS", func() bool { return a.server.relays.Stats().Connections[protocol.TLS] == 3 })
}

// Sound and picture that were one moment on one router are one on another.
func TestOneClockAcrossRouters(t *testing.T) {
	w := zones(t, "a", "b")
	ada, bob := w[0].join("m1", "ada", wish{}), w[1].join("m1", "bob", wish{})
	bob.look("ada", 360)
	start := time.Now()
	const audioBase, videoBase = 1 << 31, math.MaxUint32 - 1000
	elapsed := func(rate uint32) uint32 { return uint32(time.Since(start).Seconds() * float64(rate)) }
	// Each payload ends with the moment of its capture.
	stamp := func() []byte { return []byte(fmt.Sprintf("%12d", time.Since(start).Microseconds())) }
	w[0].pump(20*time.Millisecond, func(n int) {
		at := stamp()
		ada.conns[protocol.Audio].send(rtpPacket(111, uint16(n), audioBase+elapsed(48000), micSSRC, 1, "\x94", at))
		ada.conns[protocol.Video].send(rtpPacket(96, uint16(n), videoBase+elapsed(90000), cameraSSRC, 9, "0", append(vp8Frame(n, n%5 == 0, 360, 300), at...)))
		if n%25 == 0 {
			ntp := rtcpstat.NTP(time.Now().Add(5 * time.Hour))
			ada.conns[protocol.Audio].sendRTCP(&rtcp.SenderReport{SSRC: micSSRC, NTPTime: ntp, RTPTime: audioBase + elapsed(48000)})
			ada.conns[protocol.Video].sendRTCP(&rtcp.SenderReport{SSRC: cameraSSRC, NTPTime: ntp, RTPTime: videoBase + elapsed(90000)})
		}
	})
	// The router's clock when ada's shows zero, by what a slot brings.
	zero := func(kind protocol.MediaKind, slot protocol.SlotID) (float64, bool) {
		got := bob.conns[kind].in(slot)
		var sync *protocol.SlotSync
		for _, s := range told[protocol.Sync](bob) {
			for i := range s.Slots {
				if s.Slots[i].Slot == slot {
					sync = &s.Slots[i]
				}
			}
		}
		if len(got) == 0 || sync == nil {
			return 0, false
		}
		last := got[len(got)-1]
		var us int64
		p := last.Payload(last.raw)
		if _, err := fmt.Sscan(string(bytes.TrimSpace(p[len(p)-12:])), &us); err != nil {
			t.Fatal(err)
		}
		return sync.AtMS + float64(int32(last.Timestamp-sync.RTP))/float64(sync.ClockRate)*1000 - float64(us)/1000, true
	}
	w[0].until("sound and picture are one moment", func() bool {
		a, ok := zero(protocol.Audio, "a1")
		v, too := zero(protocol.Video, "v1")
		return ok && too && math.Abs(a-v) < 10
	})
}

// A relay ends with either of its legs, and the metrics tell.
func TestRelayEnds(t *testing.T) {
	w := zones(t, "a", "b")
	ada, bob := w[0].join("m1", "ada", wish{}), w[1].join("m1", "bob", wish{})
	w[0].until("relayed", func() bool {
		return w[0].server.relays.Stats().Legs == 1 && w[1].server.relays.Stats().Legs == 1
	})
	reg := prometheus.NewRegistry()
	reg.MustRegister(relayMetrics(w[0].server.relays)...)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for _, name := range []string{"causeway_mmr_relays", "causeway_mmr_relay_connections", "causeway_mmr_relay_connections_dialled_total"} {
		if values[name] < 1 {
			t.Errorf("%s: %v", name, values[name])
		}
	}
	w[1].stop()
	w[0].until("it has ended", func() bool {
		s := w[0].server.relays.Stats()
		return s.Legs == 0 && len(s.Connections) == 0
	})
	_, _ = ada, bob
}

// badNetwork forwards UDP and TCP to a router's media port, and loses
// datagrams on the way.
type badNetwork struct {
	addr    netip.AddrPort
	to      netip.AddrPort
	udp     *net.UDPConn
	tcp     net.Listener
	loses   atomic.Pointer[func([]byte) bool]
	running sync.WaitGroup

	mu    sync.Mutex // losing, too
	backs map[netip.AddrPort]*net.UDPConn
	ends  []io.Closer
	over  bool
}

func newBadNetwork(t *testing.T, to netip.AddrPort) *badNetwork {
	t.Helper()
	n := &badNetwork{to: to, backs: map[netip.AddrPort]*net.UDPConn{}}
	for {
		var err error
		if n.udp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
		n.addr = n.udp.LocalAddr().(*net.UDPAddr).AddrPort()
		if n.tcp, err = net.Listen("tcp4", n.addr.String()); err == nil {
			break
		}
		_ = n.udp.Close() // the port was free for UDP only by chance
	}
	n.running.Go(n.forth)
	n.running.Go(n.accept)
	t.Cleanup(n.close)
	return n
}

func (n *badNetwork) close() {
	n.mu.Lock()
	n.over = true
	for _, e := range append(n.ends, n.udp, n.tcp) {
		_ = e.Close()
	}
	n.mu.Unlock()
	n.running.Wait()
}

// lose says which datagrams to lose, in either direction.
func (n *badNetwork) lose(f func([]byte) bool) { n.loses.Store(&f) }

func (n *badNetwork) lost(p []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.loses.Load()
	return f != nil && (*f)(p)
}

// keep has close end a connection; false if it is over already.
func (n *badNetwork) keep(c io.Closer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ends = append(n.ends, c)
	return !n.over
}

func (n *badNetwork) forth() {
	buf := make([]byte, 2048)
	for {
		l, from, err := n.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if n.lost(buf[:l]) {
			continue
		}
		back := n.backs[from]
		if back == nil {
			if back, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(n.to)); err != nil {
				return
			}
			n.backs[from] = back
			if !n.keep(back) {
				_ = back.Close()
				return
			}
			n.running.Go(func() { n.back(back, from) })
		}
		_, _ = back.Write(buf[:l])
	}
}

func (n *badNetwork) back(c *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 2048)
	for {
		l, err := c.Read(buf)
		if err != nil {
			return
		}
		if !n.lost(buf[:l]) {
			_, _ = n.udp.WriteToUDPAddrPort(buf[:l], to)
		}
	}
}

func (n *badNetwork) accept() {
	for {
		c, err := n.tcp.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp4", n.to.String())
		if err != nil {
			_ = c.Close()
			continue
		}
		if !n.keep(c) || !n.keep(far) {
			_, _ = c.Close(), far.Close()
			return
		}
		copying := func(a, b net.Conn) {
			_, _ = io.Copy(a, b)
			_, _ = a.Close(), b.Close()
		}
		n.running.Go(func() { copying(c, far) })
		n.running.Go(func() { copying(far, c) })
	}
}

// isRTP tells a packet of media from RTCP (RFC 5761), STUN and DTLS.
func isRTP(p []byte) bool {
	return len(p) > 12 && p[0]>>6 == 2 && (p[1] < 192 || p[1] > 223)
}
