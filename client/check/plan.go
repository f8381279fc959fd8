package check

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"causeway/internal/media/offer"
	"causeway/protocol"
)

// A Step is one thing to look at.
type Step struct {
	Check  ID
	Target string        // URL or host:port
	Idle   time.Duration // how long to keep silent, for NAT
}

// Silences to find out how long a NAT keeps UDP open.
var (
	quickIdles = []time.Duration{4 * time.Second, 9 * time.Second}
	fullIdles  = []time.Duration{9 * time.Second, 20 * time.Second, 45 * time.Second, 90 * time.Second, 170 * time.Second}
)

// planPackage looks at all that a package lists. A tunnel in plain HTTP is that
// of 'causeway up' for its own machine: it leads to servers in TLS, of which
// such a package has none.
func planPackage(p protocol.Package) []Step {
	var steps []Step
	for _, t := range p.Tunnels {
		if !strings.HasPrefix(t.URL, "http://") {
			steps = append(steps, Step{Check: Tunnel, Target: t.URL})
		}
	}
	return steps
}

// planMedia looks at the router that has admitted us. d is its answer for
// sound.
func planMedia(a protocol.JoinAnswer, d offer.Description) []Step {
	steps := []Step{{Check: Control, Target: a.ControlURL}}
	var udp []string
	for _, c := range d.Candidates {
		if strings.EqualFold(c.Protocol, "udp") {
			udp = append(udp, c.Addr.String())
		}
	}
	for _, address := range bound(udp) {
		steps = append(steps, Step{Check: UDP, Target: address})
	}
	for _, address := range bound(a.MediaTCP) {
		steps = append(steps, Step{Check: TCP, Target: address})
	}
	if a.MediaTLS != "" {
		steps = append(steps, Step{Check: TLS, Target: a.MediaTLS})
	}
	return steps
}

// planNAT keeps silent for a while on the way to an address that answers.
func planNAT(udp string, idles []time.Duration) []Step {
	var steps []Step
	for _, idle := range idles {
		steps = append(steps, Step{Check: NAT, Target: udp, Idle: idle})
	}
	return steps
}

// maxAddresses bounds how many addresses of a kind are looked at: a router
// tells of every interface that it has.
const maxAddresses = 4

// bound takes the first few addresses, those of this machine left out unless
// there are no others.
func bound(addresses []string) []string {
	var kept []string
	for _, a := range addresses {
		if at, err := netip.ParseAddrPort(a); err == nil && !at.Addr().IsLoopback() && len(kept) < maxAddresses {
			kept = append(kept, a)
		}
	}
	if len(kept) == 0 {
		return addresses[:min(len(addresses), maxAddresses)]
	}
	return kept
}

// rules list what a firewall must let out for all that was learned, each with
// whether it does so already.
func rules(lines []Line) []Rule {
	var list []Rule
	at := map[[3]string]int{}
	tunnels := map[string]bool{} // what answers through one says nothing of the firewall
	for _, l := range lines {
		tunnels[l.Target] = tunnels[l.Target] || l.Check == Tunnel
	}
	for _, l := range lines {
		proto := "TCP"
		switch l.Check {
		case Web, Controller, Tunnel, Control, TCP, TLS:
		case UDP:
			proto = "UDP"
		default:
			continue
		}
		host, port := hostPort(l.Target)
		if host == "" || isLocal(host) {
			continue
		}
		key := [3]string{host, port, proto}
		open := (l.Verdict == OK || l.Verdict == Warn) && !tunnels[l.Via]
		if i, ok := at[key]; ok {
			list[i].Open = list[i].Open || open
			list[i].Untrusted = list[i].Untrusted || l.untrusted()
			continue
		}
		at[key] = len(list)
		list = append(list, Rule{Host: host, Port: port, Protocol: proto, For: l.Check, Open: open, Untrusted: l.untrusted()})
	}
	return list
}

// untrusted reports whether it is the certificate that is wrong.
func (l Line) untrusted() bool {
	return l.Words == "untrusted" || l.Code == protocol.ProblemCertificate
}

// hostPort takes a URL or host:port apart.
func hostPort(target string) (host, port string) {
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		if port = u.Port(); port == "" {
			port = map[bool]string{true: "443", false: "80"}[strings.HasSuffix(u.Scheme, "s")]
		}
		return u.Hostname(), port
	}
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return "", ""
	}
	return host, port
}

// isLocal reports whether a host is this machine.
func isLocal(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
