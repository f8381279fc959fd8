package client

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"causeway/internal/media/offer"
	"causeway/internal/peer"
	"causeway/protocol"
)

// A fakeSystem is web, zone controller and router in one: its meeting has one
// other participant, the echo, who publishes what the participant publishes.
type fakeSystem struct {
	role protocol.Role // of who joins; "" is a guest

	t      *testing.T
	server *httptest.Server
	port   *peer.Port
	udp    netip.AddrPort // what answers tell, see ladder_test.go
	tcp    []string
	tls    string

	mu       sync.Mutex
	lookups  []protocol.LookupRequest
	reports  []protocol.Report
	joins    []protocol.JoinRequest
	conns    []*fakeConn            // of the latest session
	sessions map[string][]*fakeConn // by session
	frozen   map[*peer.Port]bool
	channels []*websocket.Conn
	attached map[string]*websocket.Conn // by session
	said     []protocol.ControlMessage
	refuse   map[string]*protocol.Problem // by path
	lossy    bool
	forget   int           // that many sessions are not known any more when their client comes
	heard    chan struct{} // something was said or joined
}

const fakeNumber = "123456789"

func newFakeSystem(t *testing.T) *fakeSystem {
	f := &fakeSystem{
		t: t, refuse: map[string]*protocol.Problem{}, sessions: map[string][]*fakeConn{}, attached: map[string]*websocket.Conn{}, frozen: map[*peer.Port]bool{}, heard: make(chan struct{}, 1),
	}
	f.openPort()
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+protocol.PathMeetings+"/{number}/lookup", f.lookup)
	mux.HandleFunc("GET "+protocol.PathProbe, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, protocol.ProbeAnswer{Zone: "z", Controller: "c", State: protocol.ZoneOpen})
	})
	mux.HandleFunc("POST "+protocol.PathReports, f.report)
	mux.HandleFunc("POST "+protocol.PathJoin, f.join)
	mux.HandleFunc("GET "+protocol.PathControl, f.control)
	f.server = httptest.NewTLSServer(mux)
	t.Cleanup(func() {
		f.hangUp()
		f.server.Close()
		f.port.Close()
	})
	return f
}

// openPort opens the media port of a router.
func (f *fakeSystem) openPort() {
	f.t.Helper()
	port, err := peer.Listen(peer.PortConfig{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Shards: 1, Tick: f.tick})
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	f.port, f.udp = port, port.Addr()
	f.mu.Unlock()
}

// freeze stops the present router as SIGSTOP does; who joins from now on gets
// to another. It returns how to let it go on.
func (f *fakeSystem) freeze() (thaw func()) {
	frozen, stopped, goOn, ended := f.port, make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		frozen.Shards()[0].Run(func() {
			close(stopped)
			<-goOn
		})
	}()
	<-stopped
	f.mu.Lock()
	f.frozen[frozen] = true
	f.mu.Unlock()
	f.openPort()
	thaw = sync.OnceFunc(func() {
		f.mu.Lock()
		f.frozen[frozen] = false
		f.mu.Unlock()
		close(goOn)
		<-ended
	})
	f.t.Cleanup(func() {
		thaw()
		frozen.Close()
	})
	return thaw
}

// isFrozen reports whether a session's router is.
func (f *fakeSystem) isFrozen(session string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	conns := f.sessions[session]
	return len(conns) > 0 && f.frozen[conns[0].port]
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (f *fakeSystem) roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(f.server.Certificate())
	return p
}

func (f *fakeSystem) link() string { return f.server.URL + "/j/" + fakeNumber + "?pwd=tulip" }

// refused answers with the problem set for a path, if any.
func (f *fakeSystem) refused(w http.ResponseWriter, path string) bool {
	f.mu.Lock()
	p := f.refuse[path]
	f.mu.Unlock()
	if p != nil {
		protocol.WriteProblem(w, p)
	}
	return p != nil
}

func (f *fakeSystem) setRefusal(path string, p *protocol.Problem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse[path] = p
}

func (f *fakeSystem) lookup(w http.ResponseWriter, r *http.Request) {
	var q protocol.LookupRequest
	_ = json.NewDecoder(r.Body).Decode(&q)
	f.mu.Lock()
	f.lookups = append(f.lookups, q)
	f.mu.Unlock()
	select {
	case f.heard <- struct{}{}:
	default:
	}
	if f.refused(w, "lookup") {
		return
	}
	answer(w, protocol.Package{
		Meeting:     protocol.MeetingInfo{ID: "m", Number: fakeNumber, Topic: "Tulips"},
		Participant: protocol.Identity{ID: "me", Name: q.Name, Role: cmp.Or(f.role, protocol.Guest)}, Token: "ticket",
		Zones: []protocol.Zone{{ID: "z", Name: "Zone", Controllers: []protocol.Controller{{ID: "c", URL: f.server.URL}}}},
	})
}

func (f *fakeSystem) report(w http.ResponseWriter, r *http.Request) {
	var report protocol.Report
	if err := json.NewDecoder(r.Body).Decode(&report); err != nil || r.Header.Get("Authorization") != "Bearer ticket" {
		f.t.Errorf("a report of %q: %v", r.Header.Get("Authorization"), err)
	}
	f.mu.Lock()
	f.reports = append(f.reports, report)
	f.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// lastReport is the report that was left last, and how many there were.
func (f *fakeSystem) lastReport() (last protocol.Report, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n = len(f.reports); n > 0 {
		last = f.reports[n-1]
	}
	return last, n
}

func (f *fakeSystem) join(w http.ResponseWriter, r *http.Request) {
	if f.refused(w, protocol.PathJoin) {
		return
	}
	var q protocol.JoinRequest
	_ = json.NewDecoder(r.Body).Decode(&q)
	a := protocol.JoinAnswer{
		Zone: "z", Controller: "c", MMR: "r1",
		MediaTCP: f.tcp, MediaTLS: f.tls,
		ControlURL: "wss" + strings.TrimPrefix(f.server.URL, "https") + protocol.PathControl,
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joins = append(f.joins, q)
	a.Session, a.Admitted = fmt.Sprintf("s%d", len(f.joins)), int64(len(f.joins))
	f.conns = nil
	for _, kind := range protocol.MediaKinds {
		if sdp := q.Offers.Of(kind); sdp != "" {
			a.Answers.Set(kind, f.accept(kind, sdp))
		}
	}
	f.sessions[a.Session] = f.conns
	answer(w, a)
}

// accept answers one offer.
func (f *fakeSystem) accept(kind protocol.MediaKind, sdp string) string {
	d, err := offer.Parse(sdp)
	if err != nil {
		f.t.Errorf("offer for %s: %v", kind, err)
		return ""
	}
	c := &fakeConn{system: f, port: f.port, kind: kind, sent: map[uint16][]byte{}}
	conn, err := f.port.Accept(peer.AcceptConfig{
		Remote: peer.Credentials{Ufrag: d.Ufrag, Pwd: d.Pwd}, RemoteFingerprint: d.Fingerprint, Handler: c,
	})
	if err != nil {
		f.t.Error(err)
		return ""
	}
	f.conns = append(f.conns, c)
	c.conn = conn
	slots := map[int]offer.Slot{}
	ssrc := uint32(1000)
	for i, l := range d.Lines {
		if l.Direction.Receives() {
			slots[i] = offer.Slot{ID: "x", SSRC: ssrc, RTX: ssrc + 1}
			if c.slot == 0 {
				c.slot, c.rtxPT = ssrc, l.Codecs[0].RTX
			}
			ssrc += 2
		}
		for _, e := range l.Extensions {
			if e.URI == offer.URIRID {
				c.rid = e.ID
			}
		}
	}
	a, err := offer.Answer(d, offer.AnswerParams{
		Ufrag: conn.LocalUfrag(), Pwd: conn.LocalPwd(), Fingerprint: f.port.Fingerprint(), Slots: slots,
		Candidates: []offer.Candidate{{Protocol: "udp", Addr: f.udp, Priority: 1}},
	})
	if err != nil {
		f.t.Error(err)
	}
	return a.String()
}

// A fakeConn echoes what is published into the connection's first slot.
type fakeConn struct {
	system *fakeSystem
	port   *peer.Port
	kind   protocol.MediaKind
	conn   *peer.Conn
	slot   uint32
	rid    uint8
	rtxPT  uint8

	// With the shard held.
	ready    bool
	packets  map[uint32]uint32 // received, by SSRC
	highest  map[uint32]uint16
	sent     map[uint16][]byte
	count    int
	repaired int
	repairs  uint16
	plis     int
	again    int    // retransmissions that came
	source   uint32 // SSRC of what is echoed
	report   *rtcp.SenderReport
	reported time.Time
}

func (c *fakeConn) Ready(*peer.Conn, time.Time) {
	c.ready = true
	c.packets, c.highest = map[uint32]uint32{}, map[uint32]uint16{}
}
func (c *fakeConn) Path(*peer.Conn, peer.PathState, time.Time) {}
func (c *fakeConn) Closed(*peer.Conn, error)                   { c.ready = false }

func (c *fakeConn) RTP(conn *peer.Conn, packet []byte, _ time.Time) {
	var p rtp.Packet
	if p.Unmarshal(packet) != nil {
		return
	}
	if p.PayloadType == 97 { // RTX of VP8
		c.again++
		return
	}
	c.packets[p.SSRC]++
	c.highest[p.SSRC] = p.SequenceNumber
	if layer := string(p.GetExtension(c.rid)); c.kind == protocol.Video && layer == "q" {
		return
	}
	c.source = p.SSRC
	p.SSRC = c.slot
	p.Extension, p.Extensions = false, nil
	b, err := p.Marshal()
	if err != nil {
		return
	}
	c.sent[p.SequenceNumber] = b
	if c.count++; c.count%12 == 5 && c.system.isLossy() {
		return
	}
	_ = conn.SendRTP(b)
}

func (c *fakeConn) RTCP(conn *peer.Conn, packet []byte, _ time.Time) {
	list, _ := rtcp.Unmarshal(packet)
	for _, p := range list {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			if p.SSRC == c.source {
				c.report = p
			}
		case *rtcp.PictureLossIndication:
			c.plis++
		case *rtcp.TransportLayerNack:
			for _, pair := range p.Nacks {
				for _, sequence := range pair.PacketList() {
					c.resend(conn, sequence)
				}
			}
		}
	}
}

func (c *fakeConn) resend(conn *peer.Conn, sequence uint16) {
	b := c.sent[sequence]
	if b == nil {
		return
	}
	c.repaired++
	var p rtp.Packet
	if p.Unmarshal(b) == nil && c.rtxPT != 0 {
		p.SSRC, p.PayloadType = c.slot+1, c.rtxPT
		p.Payload = append([]byte{byte(sequence >> 8), byte(sequence)}, p.Payload...)
		p.SequenceNumber = c.repairs
		c.repairs++
		b, _ = p.Marshal()
	}
	_ = conn.SendRTP(b)
}

// tick sends receiver reports, and asks for a packet again now and then.
func (f *fakeSystem) tick(s *peer.Shard, now time.Time) {
	f.mu.Lock()
	conns := slices.Concat(slices.Collect(maps.Values(f.sessions))...)
	f.mu.Unlock()
	for _, c := range conns {
		if c.port.Shards()[0] != s || !c.ready || now.Sub(c.reported) < 200*time.Millisecond {
			continue
		}
		c.reported = now
		var blocks []rtcp.ReceptionReport
		list := []rtcp.Packet{}
		for ssrc := range c.packets {
			blocks = append(blocks, rtcp.ReceptionReport{SSRC: ssrc, LastSequenceNumber: uint32(c.highest[ssrc])})
			list = append(list, &rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{c.highest[ssrc]})},
				&rtcp.PictureLossIndication{MediaSSRC: ssrc})
		}
		b, _ := rtcp.Marshal(append([]rtcp.Packet{&rtcp.ReceiverReport{Reports: blocks}}, list...))
		_ = c.conn.SendRTCP(b)
	}
}

func (f *fakeSystem) isLossy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lossy
}

// control is the control channel.
func (f *fakeSystem) control(w http.ResponseWriter, r *http.Request) {
	if f.refused(w, protocol.PathControl) {
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	f.mu.Lock()
	f.channels = append(f.channels, ws)
	f.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	session := ""
	for {
		_, data, err := ws.Read(ctx)
		if err != nil {
			return
		}
		m, err := protocol.DecodeFromClient(data)
		if err != nil {
			f.t.Errorf("control: %v", err)
			return
		}
		if hello, ok := m.(*protocol.Hello); ok {
			session = hello.Session
			f.mu.Lock()
			f.attached[session] = ws
			forgotten := f.forget > 0
			f.forget--
			f.mu.Unlock()
			if forgotten {
				f.tell(ctx, ws, protocol.Refusal{Problem: *protocol.NewProblem(protocol.ProblemSessionUnknown, ""), Fatal: true})
				continue
			}
		}
		if f.isFrozen(session) {
			continue
		}
		f.reply(ctx, ws, session, m)
		f.mu.Lock()
		f.said = append(f.said, m)
		f.mu.Unlock()
		select {
		case f.heard <- struct{}{}:
		default:
		}
	}
}

func (f *fakeSystem) reply(ctx context.Context, ws *websocket.Conn, session string, m protocol.ControlMessage) {
	switch m := m.(type) {
	case *protocol.Hello:
		slots := []protocol.SlotState{{Slot: "a1", Participant: "echo", Source: protocol.Mic}}
		f.tell(ctx, ws, protocol.Welcome{
			Meeting: protocol.MeetingInfo{ID: "m", Number: fakeNumber, Topic: "Tulips"}, Participant: "me", Slots: slots,
			Participants: []protocol.Participant{{ID: "me", Name: "Ada", Role: f.role}}, Parts: 1, NowMS: nowMS(),
		})
		f.tell(ctx, ws, protocol.Roster{Changed: []protocol.Participant{{ID: "echo", Name: "Echo"}}})
		go f.syncs(ctx, ws, session)
	case *protocol.Want:
		var slots []protocol.SlotState
		for _, s := range m.Slots {
			slots = append(slots, protocol.SlotState{Slot: s.Slot, Participant: s.Participant, Source: protocol.Camera})
		}
		f.tell(ctx, ws, protocol.Slots{Slots: slots})
	case *protocol.Ping:
		f.tell(ctx, ws, protocol.Pong{N: m.N, NowMS: nowMS()})
	case *protocol.Leave:
		f.tell(ctx, ws, protocol.Farewell{Reason: protocol.FarewellLeft})
	}
}

func nowMS() float64 { return float64(time.Now().UnixMicro()) / 1000 }

// syncs tells how the slots' times map to the clock: as the sender reports of
// what they echo say.
func (f *fakeSystem) syncs(ctx context.Context, ws *websocket.Conn, session string) {
	every := time.NewTicker(300 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		if f.isFrozen(session) {
			continue
		}
		f.mu.Lock()
		conns := f.sessions[session]
		f.mu.Unlock()
		m := protocol.Sync{NowMS: nowMS()}
		conns[0].port.Shards()[0].Run(func() {
			for _, c := range conns {
				if c.report == nil || c.kind == protocol.Content {
					continue
				}
				slot, rate := protocol.SlotID("a1"), uint32(48000)
				if c.kind == protocol.Video {
					slot, rate = "v1", 90000
				}
				seconds, fraction := c.report.NTPTime>>32, c.report.NTPTime&0xFFFFFFFF
				at := float64(seconds-2208988800)*1000 + float64(fraction)*1000/(1<<32)
				m.Slots = append(m.Slots, protocol.SlotSync{Slot: slot, RTP: c.report.RTPTime, ClockRate: rate, AtMS: at})
			}
		})
		f.tell(ctx, ws, m)
	}
}

func (f *fakeSystem) tell(ctx context.Context, ws *websocket.Conn, m protocol.ControlMessage) {
	b, err := protocol.EncodeControl(m)
	if err != nil {
		f.t.Error(err)
	}
	_ = ws.Write(ctx, websocket.MessageText, b)
}

// broadcast says something on the newest control channel.
func (f *fakeSystem) broadcast(m protocol.ControlMessage) {
	f.mu.Lock()
	ws := f.channels[len(f.channels)-1]
	f.mu.Unlock()
	f.tell(context.Background(), ws, m)
}

// hangUp breaks all control channels.
func (f *fakeSystem) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ws := range f.channels {
		_ = ws.CloseNow()
	}
}

// crash drops all media connections.
func (f *fakeSystem) crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.conn.Close()
	}
}

// await waits until something that was said satisfies ok.
func (f *fakeSystem) await(what string, ok func([]protocol.ControlMessage) bool) {
	f.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		f.mu.Lock()
		done := ok(f.said)
		f.mu.Unlock()
		if done {
			return
		}
		select {
		case <-f.heard:
		case <-deadline:
			f.t.Fatalf("the client never said %s", what)
		}
	}
}
