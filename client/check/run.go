package check

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	"causeway/client/connect"
	"causeway/internal/media/offer"
	"causeway/internal/peer"
	"causeway/protocol"
)

// participant is the name of the admission.
const participant = "Connection check"

// freshFor is how long after an admission its credentials are used: the router
// forgets who has not opened a control channel within 30 s.
const freshFor = 20 * time.Second

// Options say how to look.
type Options struct {
	// Network says how to reach the system; its UserAgent names the program.
	Network connect.Options
	// Version names the program to web.
	Version string
	// Full takes up to three minutes to find out how long a NAT keeps UDP
	// open, rather than ten seconds.
	Full bool
	// ListenPacket opens a UDP socket; nil opens the system's.
	ListenPacket func() (net.PacketConn, error)
	// Resolve looks names up; nil asks the system.
	Resolve func(ctx context.Context, host string) ([]string, error)

	idles    []time.Duration
	patience time.Duration // for one rung
}

func (o *Options) complete() {
	if o.ListenPacket == nil {
		o.ListenPacket = func() (net.PacketConn, error) { return net.ListenPacket("udp", ":0") }
	}
	if o.Resolve == nil {
		o.Resolve = net.DefaultResolver.LookupHost
	}
	if o.patience == 0 {
		o.patience = rungBudget
	}
	if o.idles == nil {
		if o.idles = quickIdles; o.Full {
			o.idles = fullIdles
		}
	}
}

// A checker is one check under way.
type checker struct {
	Options
	network *connect.Network
	link    connect.Link
	meeting bool // the link names a meeting
	report  Report

	mu       sync.Mutex // held while joining
	pkg      protocol.Package
	rec      *connect.Recorder
	way      *connect.Network
	answer   protocol.JoinAnswer
	session  credentials
	joinedAt time.Time
}

// Run looks at everything between here and the system at address: a meeting's
// link, or the address of a server. Its error is a problem with what it was
// given: bad_link, proxy_settings_invalid. What it finds is in the report,
// which still lacks its words: see Report.Say.
func Run(ctx context.Context, address string, o Options) (*Report, error) {
	c := &checker{Options: o, rec: connect.NewRecorder(time.Now())}
	c.complete()
	var err error
	if c.link, c.meeting, err = parse(address); err != nil {
		return nil, err
	}
	if c.network, err = connect.NewNetwork(o.Network); err != nil {
		return nil, err
	}
	defer c.network.Close()
	c.report.Target = c.link.Base
	if c.web(ctx) && c.lookup(ctx) {
		c.zones(ctx)
		if c.join(ctx) {
			c.media(ctx)
		}
	}
	c.report.Rules = rules(c.report.Lines)
	c.report.Verdict, c.report.Words = conclude(c.report.Lines)
	return &c.report, nil
}

// parse reads a meeting's link or a server's address.
func parse(address string) (link connect.Link, meeting bool, err error) {
	if link, err = connect.ParseLink(address); err == nil {
		return link, true, nil
	}
	if strings.Contains(address, "/j/") {
		return link, false, err
	}
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	link, err = connect.ParseLink(strings.TrimSuffix(address, "/") + "/j/000000000")
	return link, false, err
}

func (c *checker) add(lines ...Line) { c.report.Lines = append(c.report.Lines, lines...) }

// web looks at name, web server, certificate, clock and proxy.
func (c *checker) web(ctx context.Context) bool {
	var name Line
	var looking sync.WaitGroup
	looking.Go(func() { name = c.name(ctx) })
	v := c.network.Visit(ctx, c.link.Base)
	looking.Wait()
	proxy := c.network.ProxyTo(c.link.Base)
	if proxied := proxy.Kind != "none"; proxied && name.Verdict == Fail {
		name = Line{Check: Name, Verdict: OK, Target: name.Target, Words: "name.proxy", Args: []string{name.Target}}
	}
	c.add(name)
	c.add(judgeWeb(c.link.Base, v, proxy)...)
	return v.Problem == nil
}

func (c *checker) name(ctx context.Context) Line {
	host, _ := hostPort(c.link.Base)
	l := Line{Check: Name, Verdict: OK, Target: host, Words: "name.literal", Args: []string{host}}
	if _, err := netip.ParseAddr(host); err == nil {
		return l
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	start := time.Now()
	addresses, err := c.Resolve(ctx, host)
	l.MS = millis(time.Since(start))
	if err != nil || len(addresses) == 0 {
		l.Verdict, l.Words, l.Args = Fail, "name.fail", []string{host}
		if err != nil {
			l.Detail = err.Error()
		}
		return l
	}
	l.Words, l.Args = "name.ok", []string{host, strings.Join(addresses, ", ")}
	return l
}

// lookup is phase 1.
func (c *checker) lookup(ctx context.Context) bool {
	if !c.meeting {
		c.add(Line{Check: Lookup, Verdict: Skip, Words: "lookup.skip"})
		return false
	}
	var err error
	c.pkg, err = connect.Lookup(ctx, c.network, c.link, protocol.LookupRequest{Name: participant, Client: c.client()}, c.rec)
	if err != nil {
		c.add(failed(Lookup, c.link.Number, protocol.ProblemOf(err)))
		return false
	}
	c.add(Line{
		Check: Lookup, Verdict: OK, Target: c.link.Number, Words: "lookup.ok",
		Args: []string{c.link.Number, fmt.Sprint(len(c.pkg.Zones)), fmt.Sprint(len(c.pkg.Tunnels))},
	})
	return true
}

func (c *checker) client() protocol.ClientInfo {
	return protocol.ClientInfo{Kind: "native", Version: c.Version, OS: runtime.GOOS}
}

// zones looks at all controllers and tunnels at once.
func (c *checker) zones(ctx context.Context) {
	var controllers []protocol.Attempt
	var looking sync.WaitGroup
	looking.Go(func() { controllers = c.network.ProbeAll(ctx, c.pkg.Zones) })
	steps := planPackage(c.pkg)
	tunnels := make([]Line, len(steps))
	first := ""
	if len(c.pkg.Zones) > 0 {
		host, port := hostPort(c.pkg.Zones[0].Controllers[0].URL)
		first = net.JoinHostPort(host, port)
	}
	for i, s := range steps {
		looking.Go(func() {
			a, plain := c.network.ExamineTunnel(ctx, s.Target, first)
			if tunnels[i] = attempted(Tunnel, a); plain && a.OK {
				tunnels[i].Verdict, tunnels[i].Words = Warn, "tunnel.plain"
			}
		})
	}
	looking.Wait()
	for _, a := range controllers {
		c.add(attempted(Controller, a))
	}
	c.add(tunnels...)
}

// join is admitted to a router, by the way that a client would take.
func (c *checker) join(ctx context.Context) bool {
	if err := c.admit(ctx); err != nil {
		c.add(failed(Join, c.link.Number, protocol.ProblemOf(err)))
		return false
	}
	c.add(Line{Check: Join, Verdict: OK, Target: c.answer.MMR, Words: "join.ok", Args: []string{c.answer.MMR, c.answer.Zone}})
	return true
}

// admit asks for a router. It offers to receive sound, which nobody sends us
// while there is no control channel.
func (c *checker) admit(ctx context.Context) error {
	certificate, err := peer.NewCertificate()
	if err != nil {
		return protocol.Wrap(protocol.ProblemInternal, err)
	}
	survey, err := connect.Reach(ctx, c.network, c.pkg, "", c.rec)
	if err != nil {
		return err
	}
	defer survey.Close()
	local := peer.NewCredentials()
	d := offer.New(offer.Params{
		Ufrag: local.Ufrag, Pwd: local.Pwd, Fingerprint: certificate.Fingerprint(),
		Lines: []offer.LineParams{{Kind: offer.Audio, Direction: offer.RecvOnly}},
	})
	request := protocol.JoinRequest{Client: c.client()}
	request.Offers.Set(protocol.Audio, d.String())
	answer, err := connect.Join(ctx, survey, c.pkg.Token, request, c.rec)
	if err != nil {
		return err
	}
	theirs, err := offer.Parse(answer.Answers.Of(protocol.Audio))
	if err != nil {
		return protocol.Wrap(protocol.ProblemMediaFailed, err)
	}
	c.way, c.answer, c.session, c.joinedAt = survey.Network(), answer, credentialsOf(local, theirs), time.Now()
	return nil
}

// fresh gives credentials that the router still knows.
func (c *checker) fresh(ctx context.Context) (credentials, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.joinedAt) > freshFor {
		if err := c.admit(ctx); err != nil {
			return credentials{}, err
		}
	}
	return c.session, nil
}

// media looks at the control channel's address and every rung at once, then
// at the NAT.
func (c *checker) media(ctx context.Context) {
	d, err := offer.Parse(c.answer.Answers.Of(protocol.Audio))
	if err != nil {
		return // admit has read it
	}
	steps := planMedia(c.answer, d)
	lines := make([]Line, len(steps))
	way, session := c.way, c.session
	var looking sync.WaitGroup
	for i, s := range steps {
		looking.Go(func() { lines[i] = c.rung(ctx, way, session, s) })
	}
	looking.Wait()
	c.add(lines...)
	for _, l := range lines {
		if l.Check == UDP && l.Verdict == OK {
			c.nat(ctx, l.Target)
			return
		}
	}
	c.add(Line{Check: NAT, Verdict: Skip, Words: "nat.skip"})
}

func (c *checker) rung(ctx context.Context, way *connect.Network, session credentials, s Step) Line {
	a := protocol.Attempt{Target: s.Target, Via: "direct"}
	var rtt time.Duration
	var err error
	if s.Check != Control {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.patience)
		defer cancel()
	}
	switch s.Check {
	case Control:
		return attempted(Control, way.Knock(ctx, s.Target))
	case UDP:
		_, rtt, err = c.udp(ctx, session, s.Target)
	default:
		transport := map[ID]protocol.Transport{TCP: protocol.TCP, TLS: protocol.TLS}[s.Check]
		conn, dialled, e := way.MediaDial(ctx, transport, s.Target)
		a = dialled
		if err = e; err == nil {
			defer conn.Close()
			rtt, err = session.overStream(ctx, conn)
		}
	}
	if a.OK, a.RTTMS = err == nil, millis(rtt); err != nil && a.Error == "" {
		a.Error = connect.Explain(err, s.Target)
	}
	return attempted(s.Check, a)
}

// udp checks one address from a socket of its own.
func (c *checker) udp(ctx context.Context, session credentials, target string) (seen netip.AddrPort, rtt time.Duration, err error) {
	to, err := netip.ParseAddrPort(target)
	if err != nil {
		return seen, 0, err
	}
	socket, err := c.ListenPacket()
	if err != nil {
		return seen, 0, err
	}
	defer socket.Close()
	return session.overUDP(ctx, socket, to)
}

// nat keeps silent on several paths at once.
func (c *checker) nat(ctx context.Context, target string) {
	steps := planNAT(target, c.idles)
	all := make([]silence, len(steps))
	errs := make([]error, len(steps))
	var looking sync.WaitGroup
	for i, s := range steps {
		looking.Go(func() { all[i], errs[i] = c.keepSilent(ctx, s) })
	}
	looking.Wait()
	for _, err := range errs {
		if err != nil {
			c.add(Line{Check: NAT, Verdict: Skip, Target: target, Words: "nat.unknown", Detail: err.Error()})
			return
		}
	}
	c.add(judgeNAT(target, all))
}

func (c *checker) keepSilent(ctx context.Context, s Step) (silence, error) {
	found := silence{idle: s.Idle}
	to, err := netip.ParseAddrPort(s.Target)
	if err != nil {
		return found, err
	}
	socket, err := c.ListenPacket()
	if err != nil {
		return found, err
	}
	defer socket.Close()
	session, err := c.fresh(ctx)
	if err != nil {
		return found, err
	}
	if found.before, _, err = session.overUDP(ctx, socket, to); err != nil {
		return found, err
	}
	if found.local = isOwn(found.before.Addr()); found.local {
		return found, nil
	}
	select {
	case <-time.After(s.Idle):
	case <-ctx.Done():
		return found, ctx.Err()
	}
	if session, err = c.fresh(ctx); err != nil {
		return found, err
	}
	found.after, _, _ = session.overUDP(ctx, socket, to) // not answered: the path is gone
	return found, ctx.Err()
}

// isOwn reports whether an address is one of this machine's.
func isOwn(a netip.Addr) bool {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, o := range own {
		if p, err := netip.ParsePrefix(o.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
