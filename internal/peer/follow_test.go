package peer

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

var elsewhere = netip.MustParseAddrPort("192.0.2.7:1234")

// A followed is an established connection to sink that is tested packet by packet.
type followed struct {
	*testing.T
	c    *Conn
	s    *Shard
	r    *recorder
	keys keys // of the remote
	seq  uint16
	now  time.Time
}

// follow tests with a connection whose remote has been heard.
func follow(t *testing.T) *followed {
	t.Helper()
	p := listenLoopback(t, 1, nil)
	r := newRecorder()
	f := &followed{T: t, c: established(t, p, sink, r), s: p.Shards()[0], r: r, keys: testKeys(t, gcm), now: time.Now()}
	f.s.mu.Lock()
	t.Cleanup(func() {
		f.s.out.reset()
		f.s.release()
	})
	f.c.nominated = true
	f.take(sink, f.media())
	return f
}

// media is the remote's next packet.
func (f *followed) media() []byte {
	f.Helper()
	f.seq++
	b, err := f.keys.out.RTP(nil, rtpPacket(f.seq, 7, 10))
	must(f.T, err)
	return b
}

func (f *followed) report() []byte {
	f.Helper()
	b, err := f.keys.out.RTCP(nil, rtcpPacket(7))
	must(f.T, err)
	return b
}

func (f *followed) take(from netip.AddrPort, packet []byte) {
	f.s.deliver(&datagram{data: bytes.Clone(packet), remote: from}, f.now)
}

// sent returns what was sent since the last time, and where.
func (f *followed) sent() (packets [][]byte, to []netip.AddrPort) {
	for _, g := range f.s.out.groups {
		for i := g.first; i >= 0; i = f.s.out.slots[i].next {
			packets = append(packets, bytes.Clone(f.s.out.datagram(i)))
			to = append(to, g.to.remote)
		}
	}
	f.s.out.reset()
	return packets, to
}

// checked expects that one check was sent, to an address, and returns it.
func (f *followed) checked(to netip.AddrPort) *stun.Message {
	f.Helper()
	packets, addresses := f.sent()
	if len(packets) != 1 || addresses[0] != to {
		f.Fatalf("sent %d packets, to %v", len(packets), addresses)
	}
	m := stun.New()
	must(f.T, stun.Decode(packets[0], m))
	must(f.T, m.Check(stun.NewShortTermIntegrity(f.c.remote.Load().Pwd), stun.Fingerprint))
	var name stun.Username
	must(f.T, name.GetFrom(m))
	if want := f.c.remote.Load().Ufrag + ":" + f.c.local.Ufrag; m.Type != stun.BindingRequest || name.String() != want ||
		!m.Contains(stun.AttrPriority) || !m.Contains(stun.AttrICEControlled) {
		f.Errorf("%v for %q, not %q", m, name, want)
	}
	return m
}

// nothing expects that nothing was sent.
func (f *followed) nothing() {
	f.Helper()
	if packets, to := f.sent(); len(packets) > 0 {
		f.Errorf("sent %d packets, to %v", len(packets), to)
	}
}

// answer is what a remote answers to a check.
func answer(tb testing.TB, m *stun.Message, pwd string) []byte {
	tb.Helper()
	a, err := stun.Build(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IPv4(127, 0, 0, 1), Port: 8801}, stun.NewShortTermIntegrity(pwd), stun.Fingerprint)
	if err != nil {
		tb.Fatal(err)
	}
	return a.Raw
}

func (f *followed) at(want netip.AddrPort) {
	f.Helper()
	if f.c.path.remote != want {
		f.Errorf("sends to %v", f.c.path.remote)
	}
}

// Media from elsewhere is taken at once, but followed only when the address
// has answered.
func TestFollow(t *testing.T) {
	for _, test := range []struct {
		name string
		next func(*followed) []byte
	}{{"RTP", (*followed).media}, {"RTCP", (*followed).report}} {
		t.Run(test.name, func(t *testing.T) {
			f := follow(t)
			f.take(sink, test.next(f))
			f.nothing()
			f.take(elsewhere, test.next(f))
			m := f.checked(elsewhere)
			if s := f.c.Stats(); s.PacketsReceived != 3 || s.PacketsDropped != 0 {
				t.Errorf("%+v", s)
			}
			f.at(sink)
			f.take(elsewhere, test.next(f))
			f.nothing()

			other := netip.AddrPortFrom(elsewhere.Addr(), 1)
			f.c.learn(other)
			f.take(other, answer(t, m, f.c.remote.Load().Pwd))
			f.take(elsewhere, answer(t, m, f.c.local.Pwd))
			wrong := *m
			wrong.TransactionID[0] ^= 1
			f.take(elsewhere, answer(t, &wrong, f.c.remote.Load().Pwd))
			f.at(sink)
			f.take(elsewhere, answer(t, m, f.c.remote.Load().Pwd))
			f.at(elsewhere)
			if n := f.s.port.Stats().Followed; n != 1 {
				t.Errorf("%d followed", n)
			}

			f.take(elsewhere, test.next(f))
			f.nothing()
			f.take(sink, test.next(f)) // back again
			f.take(sink, answer(t, f.checked(sink), f.c.remote.Load().Pwd))
			f.at(sink)
		})
	}
}

// A check, or its answer, may be lost; an address that never answers is left
// alone.
func TestFollowChecksAgain(t *testing.T) {
	f := follow(t)
	checks := 0
	for range 200 {
		f.take(elsewhere, f.media())
		packets, _ := f.sent()
		checks += len(packets)
		f.now = f.now.Add(20 * time.Millisecond)
	}
	if checks != maxRechecks {
		t.Errorf("%d checks", checks)
	}
	f.at(sink)
}

// A remote that has restarted ICE is checked by its new credentials, where it
// has said which.
func TestFollowAfterRestart(t *testing.T) {
	f := follow(t)
	old := f.c.remote.Load().Pwd
	if err := f.c.Restart(Credentials{"abcd", "short"}); err == nil {
		t.Error("a short password was taken")
	}
	must(t, f.c.Restart(NewCredentials()))
	f.take(elsewhere, f.media())
	m := f.checked(elsewhere)
	f.take(elsewhere, answer(t, m, old))
	f.at(sink)
	f.take(elsewhere, answer(t, m, f.c.remote.Load().Pwd))
	f.at(elsewhere)
}

// Who holds the packets of others gets nothing for them: not for one that was
// received, nor for one that was changed or held back.
func TestFollowNoStranger(t *testing.T) {
	f := follow(t)
	old := f.media()
	f.take(sink, old)
	f.take(elsewhere, old)
	f.nothing()
	forged := f.media()
	forged[len(forged)-1] ^= 1
	f.take(elsewhere, forged)
	f.nothing()
	unknown := bytes.Clone(forged)
	unknown[11] ^= 1 // another source
	f.take(elsewhere, unknown)
	f.nothing()
	if s := f.s.port.Stats(); f.s.port.connAt(elsewhere) != nil || s.UnknownAddress != 1 {
		t.Errorf("%+v", s)
	}
	forged[len(forged)-1] ^= 1
	f.take(sink, forged) // the attempts have left no trace
	if n := len(f.r.rtp); n != 3 {
		t.Errorf("%d packets", n)
	}

	held := f.media()
	f.take(elsewhere, held)
	m := f.checked(elsewhere)
	f.take(sink, f.media()) // the remote is still there
	f.take(elsewhere, answer(t, m, f.c.remote.Load().Pwd))
	f.at(sink)
}

// A remote that says itself where it is is not followed.
func TestFollowNotAll(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(*followed)
	}{
		{"before it is nominated", func(f *followed) { f.c.nominated = false }},
		{"in use is a stream", func(f *followed) { f.c.path.stream = &stream{} }},
		{"closing", func(f *followed) { f.c.closing.Store(true) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := follow(t)
			before := f.c.path.stream
			test.prepare(f)
			f.take(elsewhere, f.media())
			f.nothing()
			f.c.path.stream = before
		})
	}
}

// Junk that names a source of ours costs no more than the budget.
func TestFollowBudget(t *testing.T) {
	f := follow(t)
	const rounds, each = 100, 100 // in one second
	for i := range rounds {
		for j := range each {
			junk := rtpPacket(uint16(j), 7, 100)
			f.take(netip.AddrPortFrom(elsewhere.Addr(), uint16(i*each+j)), junk)
		}
		f.now = f.now.Add(time.Second / rounds)
	}
	f.nothing()
	tried := f.c.Stats().PacketsDropped
	if least := uint64(trialsPerSecond); tried < least || tried > least+trialsAtOnce {
		t.Errorf("%d of %d tried", tried, rounds*each)
	}
	if s := f.s.port.Stats(); s.Untried != rounds*each-tried || s.UnknownAddress != 0 {
		t.Errorf("%+v", s)
	}
	f.take(elsewhere, f.media()) // when there is budget again
	f.checked(elsewhere)
}

func TestBudget(t *testing.T) {
	var b budget
	now := time.Now()
	take := func(n int) (got int) {
		for range n {
			if b.take(now) {
				got++
			}
		}
		return got
	}
	if n := take(2 * trialsAtOnce); n != trialsAtOnce {
		t.Errorf("%d at once", n)
	}
	now = now.Add(100 * time.Millisecond)
	if n := take(2 * trialsAtOnce); n != trialsPerSecond/10 {
		t.Errorf("%d after 100 ms", n)
	}
	now = now.Add(time.Hour)
	if n := take(2 * trialsAtOnce); n != trialsAtOnce {
		t.Errorf("%d after an hour", n)
	}
}

// Sources are known by name, a bounded number, until the connection ends.
func TestNamedSources(t *testing.T) {
	f := follow(t)
	for ssrc := range uint32(3 * maxNamed) {
		b, err := f.keys.out.RTP(nil, rtpPacket(1, 100+ssrc, 10))
		must(t, err)
		f.take(sink, b)
		f.take(sink, f.report())
	}
	p := f.s.port
	if n := len(p.bySource); n != maxNamed || p.connNamed(7) != f.c || p.connNamed(100+3*maxNamed-1) != nil {
		t.Errorf("%d sources", n)
	}
	other := &Conn{port: p}
	other.name(7)
	f.c.shut(nil, f.now)
	if n := len(p.bySource); n != 1 || p.connNamed(7) != other {
		t.Errorf("%d sources are left", n)
	}
	p.forget(other)
	if n := len(p.bySource); n != 0 {
		t.Errorf("%d sources are left in the end", n)
	}
}

// A roamer is a socket that is bound to no address: it goes on from that of
// the network it has come to, and nobody is told.
type roamer struct {
	mu       sync.Mutex
	conn     net.PacketConn
	deadline time.Time
	still    bool // sends no checks
}

func (r *roamer) roam(to net.PacketConn) {
	r.mu.Lock()
	old := r.conn
	r.conn, r.still = to, true
	_ = to.SetReadDeadline(r.deadline)
	r.mu.Unlock()
	_ = old.Close()
}

func (r *roamer) current() (conn net.PacketConn, still bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conn, r.still
}

func (r *roamer) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		conn, _ := r.current()
		n, from, err := conn.ReadFrom(b)
		if now, _ := r.current(); err == nil || conn == now {
			return n, from, err
		}
	}
}

func (r *roamer) WriteTo(b []byte, to net.Addr) (int, error) {
	conn, still := r.current()
	if still && classify(b) == kindSTUN && b[0] == 0 { // a request
		return len(b), nil
	}
	return conn.WriteTo(b, to)
}

func (r *roamer) SetReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	return r.conn.SetReadDeadline(t)
}

func (r *roamer) Close() error                     { c, _ := r.current(); return c.Close() }
func (r *roamer) LocalAddr() net.Addr              { c, _ := r.current(); return c.LocalAddr() }
func (r *roamer) SetDeadline(time.Time) error      { panic("not used") }
func (r *roamer) SetWriteDeadline(time.Time) error { panic("not used") }

// latest is the number of the latest packet.
func (r *recorder) latest() uint16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return binary.BigEndian.Uint16(r.rtp[len(r.rtp)-1][2:])
}

// The network of a client changes which does not check its way: media is back
// after a round trip, both ways, whatever it sends.
func TestRoam(t *testing.T) {
	const delay, interval = 20 * time.Millisecond, 10 * time.Millisecond
	for _, test := range []struct {
		name   string
		loss   int64
		packet func(seq uint16) []byte
		within time.Duration
	}{
		{"publisher", 0, func(seq uint16) []byte { return rtpPacket(seq, 9, 100) }, 4*delay + 2*interval},
		{"subscriber", 0, func(uint16) []byte { return rtcpPacket(9) }, 4*delay + 2*interval},
		{"with losses", 5, func(seq uint16) []byte { return rtpPacket(seq, 9, 100) }, 4*delay + 5*rapid},
	} {
		t.Run(test.name, func(t *testing.T) {
			virtually(t, delay, 0, test.loss, 5, func(t *testing.T, v *virtualNetwork, p *Port) {
				first, err := v.listenPacket(v.client, clientIP+":0")
				must(t, err)
				r := &roamer{conn: first}
				c, atServer, atClient := connectReady(t, p, v.dialFrom(clientIP), func(_ *AcceptConfig, d *DialConfig) {
					d.ListenPacket = func() (net.PacketConn, error) { return r, nil }
				})
				var seq uint16
				exchange := func() {
					seq++
					send(t, c.server, rtpPacket(seq, 7, 10))
					packet := test.packet(seq)
					c.client.Shard().Run(func() {
						if classify(packet) == kindRTP {
							must(t, c.client.SendRTP(packet))
						} else {
							must(t, c.client.SendRTCP(packet))
						}
					})
					time.Sleep(interval)
				}
				for range 50 {
					exchange()
				}
				next, err := v.listenPacket(v.client, otherIP+":0")
				must(t, err)
				v.cutOff(clientIP)
				r.roam(next)
				changed := time.Now()
				for last := seq; atClient.latest() <= last; {
					exchange()
				}
				if took := time.Since(changed); took > test.within {
					t.Errorf("media is back after %v", took)
				}
				if s := c.server.Stats(); s.Remote.Addr().String() != otherIP || s.PacketsDropped != 0 {
					t.Errorf("%+v", s)
				}
				if _, paths, _, _ := atServer.snapshot(); len(paths) != 0 {
					t.Errorf("the path was %v", paths)
				}
			})
		})
	}
}

// A client goes on from other ports, of which most lead to other sockets of the
// port than before; the connection stays on its shard.
func TestRoamAcrossShards(t *testing.T) {
	p := listenLoopback(t, 4, nil)
	r := &roamer{conn: packetConn(t)}
	c, atServer, atClient := connectReady(t, p, func(_ *AcceptConfig, d *DialConfig) {
		d.ListenPacket = func() (net.PacketConn, error) { return r, nil }
	})
	home := c.server.Shard()
	var seq uint16
	speak := func() {
		seq++
		send(t, c.client, rtpPacket(seq, 9, 10))
	}
	speak()
	atServer.until(func() bool { return len(atServer.rtp) == 1 })
	for i := range 20 {
		next := packetConn(t)
		r.roam(next)
		want := addrPort(next.LocalAddr())
		for tries := 0; c.server.Stats().Remote != want; tries++ {
			if tries%1000 == 0 {
				speak() // one is enough, unless the system drops it
			}
			runtime.Gosched()
		}
		send(t, c.server, rtpPacket(uint16(i), 7, 10))
		atClient.until(func() bool { return len(atClient.rtp) == i+1 })
	}
	if c.server.Shard() != home {
		t.Error("the connection has left its shard")
	}
	if n := p.Stats().Followed; n < 20 {
		t.Errorf("%d followed", n)
	}
}
