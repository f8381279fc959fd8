package client

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/internal/peer"
	"causeway/protocol"
)

const (
	reportEvery = time.Second // sender and receiver reports
	maxBlocks   = 31          // report blocks of one report (RFC 3550 §6.4)
	shedMemory  = time.Second // after shedding, nothing is repaired
)

// A link is one media connection. It is a peer.Handler; what it holds, but
// for state, is touched only with the connection's shard held.
type link struct {
	kind  protocol.MediaKind
	cname string
	conn  *peer.Conn // as dialled; not for what runs with the shard held
	live  *peer.Conn // the same, once it is ready
	out   []*outgoing
	in    map[uint32]*incoming // by SSRC, retransmissions too
	slots []*incoming
	emit  func(Frame) bool // false: it was not taken
	wake  func()           // state has changed
	log   *slog.Logger

	tries   attempts
	dialled time.Time

	// What the meeting has told of so far; only its own goroutine uses them.
	shown  peer.PathState
	rung   protocol.Transport
	wanted int

	ssrc       uint32 // names us in reports when nothing is published
	reportedAt time.Time
	shedAt     time.Time // when packets last grew too old in a slow stream
	arrivals   arrivals
	buffer     [2048]byte

	mu    sync.Mutex
	state linkState
}

// linkState is what others may know of a link.
type linkState struct {
	ready      time.Time // zero while it is not
	path       peer.PathState
	rung       protocol.Transport // "" before the first
	closed     bool
	err        error
	firstMedia time.Time // first packet received, or acknowledged
	lost       uint64    // packets that were not repaired
	acked      map[protocol.Source]bool
	wanted     int // key frames asked for by the router
}

// dial starts the connection that a plan and its answer describe.
func dialLink(ctx context.Context, p *plan, answer string, cfg linkConfig) (*link, error) {
	d, err := offer.Parse(answer)
	if err != nil {
		return nil, fmt.Errorf("answer for %s: %w", p.kind, err)
	}
	slots, err := p.accept(&d)
	if err != nil {
		return nil, err
	}
	l := &link{
		kind: p.kind, cname: cfg.cname, out: p.streams, in: map[uint32]*incoming{}, slots: slots,
		emit: cfg.emit, wake: cfg.wake, log: cfg.log, ssrc: rand.Uint32() | 1, dialled: time.Now(),
	}
	l.state.acked = map[protocol.Source]bool{}
	l.arrivals = newArrivals(l.ssrc, &d)
	for _, s := range slots {
		s.link = l
		l.in[s.ssrc] = s
		if s.rtx != 0 {
			l.in[s.rtx] = s
		}
	}
	dial := peer.DialConfig{
		Local: p.local, Certificate: cfg.certificate,
		Remote:            peer.Credentials{Ufrag: d.Ufrag, Pwd: d.Pwd},
		RemoteFingerprint: d.Fingerprint,
		TOS:               p.kind.DSCP() << 2, Handler: l, Tick: l.tick, Log: cfg.log,
	}
	if err := cfg.ladder.apply(&dial, &d, &l.tries); err != nil {
		return nil, err
	}
	l.conn, err = peer.Dial(ctx, dial)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", p.kind, err)
	}
	return l, nil
}

// linkConfig is what the links of an admission have in common.
type linkConfig struct {
	certificate *peer.Certificate
	ladder      *ladder
	cname       string
	emit        func(Frame) bool
	wake        func()
	log         *slog.Logger
}

// rtt is the round trip to the router, 0 if not known; the shard is held.
func (l *link) rtt() time.Duration {
	if l.live == nil {
		return 0
	}
	return l.live.Stats().RTT
}

// snapshot returns the link's state.
func (l *link) snapshot() linkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.state
	s.acked = map[protocol.Source]bool{}
	for k, v := range l.state.acked {
		s.acked[k] = v
	}
	return s
}

// run runs f with the connection's shard held, once the connection is ready.
func (l *link) run(f func()) {
	if s := l.conn.Shard(); s != nil {
		s.Run(f)
	}
}

// change changes the state and tells the meeting.
func (l *link) change(f func(s *linkState)) {
	l.mu.Lock()
	f(&l.state)
	l.mu.Unlock()
	l.wake()
}

// Ready implements peer.Handler.
func (l *link) Ready(c *peer.Conn, now time.Time) {
	l.live = c
	l.change(func(s *linkState) { s.ready = now })
}

// Path implements peer.Handler.
func (l *link) Path(_ *peer.Conn, path peer.PathState, _ time.Time) {
	l.change(func(s *linkState) { s.path = path })
}

// Rung implements peer.Climber.
func (l *link) Rung(_ *peer.Conn, t protocol.Transport, _ time.Time) {
	l.change(func(s *linkState) { s.rung = t })
}

// Shed implements peer.Shedder: what was shed is not sent again for a while,
// as it would only be shed again.
func (l *link) Shed(_ *peer.Conn, _ int, now time.Time) { l.shedAt = now }

// Closed implements peer.Handler.
func (l *link) Closed(_ *peer.Conn, err error) {
	for _, s := range l.slots {
		s.flush()
	}
	l.change(func(s *linkState) { s.closed, s.err = true, err })
}

// RTP implements peer.Handler.
func (l *link) RTP(_ *peer.Conn, packet []byte, now time.Time) {
	h, ok := header.Parse(packet)
	if !ok {
		return
	}
	l.arrivals.note(&h, packet, now)
	slot := l.in[h.SSRC]
	if slot == nil {
		return
	}
	if l.state.firstMedia.IsZero() { // written with the shard held only
		l.change(func(s *linkState) { s.firstMedia = now })
	}
	slot.receive(packet, h, now)
}

// send sends a packet of ours; the shard is held.
func (l *link) send(o *outgoing, p *rtp.Packet, now time.Time) {
	n, err := p.MarshalTo(l.buffer[:])
	if err != nil {
		return
	}
	o.sent.Store(p.SequenceNumber, l.buffer[:n], now)
	o.stats.Packet(len(p.Payload))
	_ = l.sendOf(o, l.buffer[:n]) // not ready or not taken: the same as lost on the way
}

// sendOf sends a packet of a stream. Where that has no stream of repairs the
// packet may be sent again, and must be the same then.
func (l *link) sendOf(o *outgoing, packet []byte) error {
	if o.rtx == 0 {
		return l.live.SendVerbatim(packet)
	}
	return l.live.SendRTP(packet)
}

// RTCP implements peer.Handler.
func (l *link) RTCP(_ *peer.Conn, packet []byte, now time.Time) {
	list, err := rtcp.Unmarshal(packet)
	if err != nil {
		return
	}
	for _, p := range list {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			if s := l.in[p.SSRC]; s != nil && s.ssrc == p.SSRC {
				s.sent(p, now)
			}
			l.acknowledged(p.Reports, now)
		case *rtcp.ReceiverReport:
			l.acknowledged(p.Reports, now)
		case *rtcp.TransportLayerNack:
			l.repair(p, now)
		case *rtcp.PictureLossIndication:
			l.keyWanted(p.MediaSSRC)
		case *rtcp.FullIntraRequest:
			for _, e := range p.FIR {
				l.keyWanted(e.SSRC)
			}
		}
	}
}

func (l *link) outgoing(ssrc uint32) *outgoing {
	for _, o := range l.out {
		if o.ssrc == ssrc {
			return o
		}
	}
	return nil
}

// acknowledged takes what the router says of our streams.
func (l *link) acknowledged(blocks []rtcp.ReceptionReport, now time.Time) {
	for _, b := range blocks {
		o := l.outgoing(b.SSRC)
		if o == nil {
			continue
		}
		o.stats.Reception(b, now)
		if sent, _ := o.stats.Packets(); sent == 0 || o.acked {
			continue
		}
		o.acked = true
		l.change(func(s *linkState) {
			s.acked[o.source] = true
			if s.firstMedia.IsZero() {
				s.firstMedia = now
			}
		})
	}
}

// repair sends again what the router misses.
func (l *link) repair(nack *rtcp.TransportLayerNack, now time.Time) {
	o := l.outgoing(nack.MediaSSRC)
	if o == nil || now.Sub(l.shedAt) < shedMemory {
		return
	}
	for _, pair := range nack.Nacks {
		for _, sequence := range pair.PacketList() {
			n, ok := o.sent.Get(sequence, l.buffer[:])
			if !ok {
				continue
			}
			if p, err := o.repair(l.buffer[:n]); err == nil {
				_ = l.sendOf(o, p)
			}
		}
	}
}

// keyWanted notes that a key frame was asked for. What is published was
// encoded before, so the next one comes when it comes.
func (l *link) keyWanted(ssrc uint32) {
	if l.outgoing(ssrc) != nil {
		l.change(func(s *linkState) { s.wanted++ })
	}
}

// tick runs every 25 ms with the shard held.
func (l *link) tick(_ *peer.Shard, now time.Time) {
	if l.state.ready.IsZero() || l.state.closed {
		return
	}
	l.arrivals.tell(l.buffer[:], now, l.live.SendRTCP)
	var feedback []rtcp.Packet
	for _, s := range l.slots {
		feedback = append(feedback, s.tick(now)...)
	}
	if now.Sub(l.reportedAt) >= reportEvery {
		l.reportedAt = now
		feedback = append(l.reports(now), feedback...)
	}
	if len(feedback) == 0 {
		return
	}
	if b, err := rtcp.Marshal(feedback); err == nil {
		_ = l.live.SendRTCP(b)
	}
}

// reports makes the sender reports, or a receiver report if nothing is sent,
// with what was received (RFC 3550 §6.4).
func (l *link) reports(now time.Time) []rtcp.Packet {
	var blocks []rtcp.ReceptionReport
	var lost uint64
	for _, s := range l.slots {
		if b, ok := s.report(now); ok && len(blocks) < maxBlocks {
			blocks = append(blocks, b)
		}
		lost += s.lost
	}
	l.mu.Lock()
	l.state.lost = lost
	l.mu.Unlock()
	var list []rtcp.Packet
	source := l.ssrc
	for _, o := range l.out {
		r, ok := o.stats.Report(o.ssrc, o.rtpAt(now), now)
		if !ok {
			continue
		}
		if list == nil {
			r.Reports, source = blocks, o.ssrc
		}
		list = append(list, &r)
	}
	switch {
	case list != nil:
	case len(blocks) == 0:
		return nil // an idle connection has nothing to tell
	default:
		list = []rtcp.Packet{&rtcp.ReceiverReport{SSRC: source, Reports: blocks}}
	}
	return append(list, rtcp.NewCNAMESourceDescription(source, l.cname))
}
