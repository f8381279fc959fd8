package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"causeway/client/connect"
	"causeway/internal/media/offer"
	"causeway/internal/peer"
	"causeway/protocol"
)

const (
	// kindDelay is how much later than the sound's connection the pictures'
	// begins, and than that the content's, unless the one before is ready
	// sooner.
	kindDelay = 50 * time.Millisecond
	// Each rung waits for the better one to answer as long as a slow answer
	// takes.
	leastStreamDelay   = 250 * time.Millisecond
	roundTripsToAnswer = 4
	maxTCP             = 8 // addresses that are dialled
)

// A ladder is how the media connections of one admission reach the router:
// by UDP, by TCP, by TLS the way that the other phases went.
type ladder struct {
	only   protocol.Transport // the only rung, "" for all
	prefer protocol.Transport
	delay  time.Duration
	tcp    []netip.AddrPort
	tls    string // host:port, "" if there is none
	way    func() *connect.Network
}

// newLadder works out how to reach the router that was found over a round trip
// of rtt.
func newLadder(a protocol.JoinAnswer, only protocol.Transport, rtt time.Duration, way func() *connect.Network) *ladder {
	l := &ladder{only: only, delay: max(leastStreamDelay, roundTripsToAnswer*rtt), tls: a.MediaTLS, way: way}
	for _, s := range a.MediaTCP {
		if at, err := netip.ParseAddrPort(s); err == nil && at.Port() != 0 {
			l.tcp = append(l.tcp, at)
		}
	}
	// The router's loopback address is ours too, where somebody else may
	// listen; it only helps if there is no other.
	elsewhere := func(a netip.AddrPort) bool { return !a.Addr().IsLoopback() }
	if slices.ContainsFunc(l.tcp, elsewhere) {
		l.tcp = slices.DeleteFunc(l.tcp, func(a netip.AddrPort) bool { return !elsewhere(a) })
	}
	l.tcp = l.tcp[:min(len(l.tcp), maxTCP)]
	return l
}

// ladder is how an admission reaches its router, over a round trip of rtt.
func (m *Meeting) ladder(a *admission, rtt time.Duration) *ladder {
	l := newLadder(a.answer, m.options.Media, rtt, func() *connect.Network { return a.network(m) })
	l.prefer = m.rememberedRung(a)
	if a.network(m).Via(m.controllerOf(a)) != "direct" && l.has(protocol.TLS) {
		// Who has to go by a proxy or tunnel will hardly get out otherwise.
		l.prefer = protocol.TLS
	}
	return l
}

// network is the way by which the router is reached now.
func (a *admission) network(m *Meeting) *connect.Network {
	m.mu.Lock()
	defer m.mu.Unlock()
	return a.way
}

// roundTrip is that to the controller that found the router, beside which it
// stands.
func roundTrip(s *connect.Survey, controller string) time.Duration {
	for _, r := range s.Records() {
		if r.Controller.ID == controller {
			return r.Median()
		}
	}
	return 0
}

// rememberedRung is the one that carried sound last time from here to the
// zone.
func (m *Meeting) rememberedRung(a *admission) protocol.Transport {
	network, file := a.from(), pathsFile()
	if network == "" || file == "" {
		return ""
	}
	return readPaths(file).prefer(network, a.answer.Zone, time.Now())
}

// rememberRung remembers by which rung sound goes; one that an operator
// forced says nothing.
func (m *Meeting) rememberRung(a *admission, rung protocol.Transport) {
	network, file := a.from(), pathsFile()
	if network == "" || file == "" || rung == "" || m.options.Media != "" {
		return
	}
	p := readPaths(file)
	p.learn(network, a.answer.Zone, rung, time.Now())
	if err := p.write(file); err != nil {
		m.options.Log.Debug("the way is not remembered", "err", err)
	}
}

// from names the network from which the router is reached.
func (a *admission) from() string {
	if len(a.answer.MediaTCP) == 0 {
		return ""
	}
	at, err := netip.ParseAddrPort(a.answer.MediaTCP[0])
	if err != nil {
		return ""
	}
	return networkTo(at.Addr())
}

func (l *ladder) has(t protocol.Transport) bool {
	switch {
	case l.only != "" && l.only != t:
		return false
	case t == protocol.TCP:
		return len(l.tcp) > 0
	case t == protocol.TLS:
		return l.tls != ""
	}
	return true
}

// apply gives a connection its rungs.
func (l *ladder) apply(d *peer.DialConfig, answer *offer.Description, tries *attempts) error {
	if l.has(protocol.UDP) {
		for _, c := range answer.Candidates {
			if strings.EqualFold(c.Protocol, "udp") {
				d.Candidates = append(d.Candidates, c.Addr)
			}
		}
	}
	if l.has(protocol.TCP) || l.has(protocol.TLS) {
		d.Stream = func(ctx context.Context, t protocol.Transport) (net.Conn, error) { return l.stream(ctx, t, tries) }
	}
	if len(d.Candidates) == 0 && d.Stream == nil {
		return fmt.Errorf("the router has no address for media over %s", cmp.Or(l.only, "anything"))
	}
	if len(d.Candidates) > 0 {
		tries.udp = d.Candidates[0]
	}
	d.StreamDelay, d.Prefer = l.delay, l.prefer
	return nil
}

// stream opens a stream for a rung: over TCP to all addresses at once.
func (l *ladder) stream(ctx context.Context, t protocol.Transport, tries *attempts) (net.Conn, error) {
	if !l.has(t) {
		return nil, errors.ErrUnsupported
	}
	targets := []string{l.tls}
	if t == protocol.TCP {
		targets = targets[:0]
		for _, at := range l.tcp {
			targets = append(targets, at.String())
		}
	}
	way := l.way()
	type try struct {
		target string
		end    func(protocol.Attempt, bool)
	}
	list := make([]try, 0, len(targets))
	for _, target := range targets {
		list = append(list, try{target, tries.begin(t, target, time.Now())})
	}
	return peer.Race(ctx, list, func(ctx context.Context, one try) (net.Conn, error) {
		conn, a, err := way.MediaDial(ctx, t, one.target)
		one.end(a, errors.Is(err, context.Canceled))
		return conn, err
	})
}

// inWords names what travels on a connection.
func inWords(kind protocol.MediaKind) string {
	switch kind {
	case protocol.Audio:
		return "sound"
	case protocol.Video:
		return "video"
	}
	return "content"
}

// tellRung tells when a connection has changed to another rung.
func (m *Meeting) tellRung(a *admission, l *link, now protocol.Transport) {
	before := l.rung
	if now == before {
		return
	}
	l.rung = now
	if before == "" {
		return
	}
	if l.kind == protocol.Audio {
		m.rememberRung(a, now)
	}
	verb := "fell"
	if better(now, before) {
		verb = "climbed"
	}
	m.note(Event{At: time.Now(), Kind: MediaChanged, Text: fmt.Sprintf("%s %s from %s to %s", inWords(l.kind), verb, before, now)})
}

// hold tells the media connections whether the control channel is lost too:
// then the network is, and another rung is no better. When it is back, it may
// be another network.
func (a *admission) hold(lost bool) {
	for _, l := range a.links {
		l.conn.Hold(lost)
		if !lost {
			l.conn.Nudge()
		}
	}
}
