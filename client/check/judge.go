package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"causeway/client/connect"
	"causeway/protocol"
)

// Clocks that differ by more make trouble, then fail: join tokens have times.
const (
	skewWarn = time.Minute
	skewFail = 5 * time.Minute
	// natWarn is the least time that a NAT should keep UDP open (RFC 4787
	// REQ-5 asks for 2 minutes). Media keeps it open by itself, every second.
	natWarn = 20 * time.Second
)

// judgeWeb makes lines of what was found at the web server.
func judgeWeb(base string, v connect.Visit, proxy protocol.ProxyReport) []Line {
	web := Line{Check: Web, Verdict: OK, Target: base, Via: v.Attempt.Via, MS: v.Attempt.RTTMS, Words: "web.ok", Args: []string{base, ms(v.Attempt.RTTMS)}}
	if v.Problem != nil {
		web = failed(Web, base, v.Problem)
		web.Via = v.Attempt.Via
		return []Line{web, judgeProxy(proxy, v.Problem)}
	}
	lines := []Line{web}
	switch {
	case v.Issuer == "":
	case v.Opened:
		lines = append(lines, Line{Check: Certificate, Verdict: Warn, Target: base, Words: "certificate.opened", Args: []string{v.Issuer}})
	default:
		lines = append(lines, Line{Check: Certificate, Verdict: OK, Target: base, Words: "certificate.ok", Args: []string{v.Issuer, v.Expires.UTC().Format(time.DateOnly)}})
	}
	if !v.Date.IsZero() {
		lines = append(lines, judgeClock(v.Skew))
	}
	return append(lines, judgeProxy(proxy, nil))
}

// judgeClock compares this device's clock with the server's.
func judgeClock(skew time.Duration) Line {
	l := Line{Check: Clock, Verdict: OK, Words: "clock.ok", Args: []string{strconv.Itoa(int(skew.Abs().Round(time.Second).Seconds()))}}
	switch {
	case skew.Abs() > skewFail:
		l.Verdict, l.Words = Fail, "clock.fail"
	case skew.Abs() > skewWarn:
		l.Verdict, l.Words = Warn, "clock.warn"
	default:
		return l
	}
	if l.Words += ".behind"; skew > 0 {
		l.Words = strings.TrimSuffix(l.Words, "behind") + "ahead"
	}
	return l
}

// judgeProxy says which proxy is on the way.
func judgeProxy(p protocol.ProxyReport, problem *protocol.Problem) Line {
	if problem != nil && (strings.HasPrefix(string(problem.Code), "proxy_") || problem.Code == protocol.ProblemPACFailed) {
		return failed(Proxy, p.Address, problem)
	}
	if p.Kind == "none" || p.Kind == "" {
		return Line{Check: Proxy, Verdict: OK, Words: "proxy.none"}
	}
	return Line{Check: Proxy, Verdict: OK, Target: p.Address, Words: "proxy.ok", Args: []string{p.Kind + "://" + p.Address, p.Origin}}
}

// failed is the line of a problem.
func failed(id ID, target string, p *protocol.Problem) Line {
	return Line{Check: id, Verdict: Fail, Target: target, Code: p.Code, Detail: p.Detail}
}

// attempted makes a line of an attempt.
func attempted(id ID, a protocol.Attempt) Line {
	l := Line{Check: id, Verdict: OK, Target: a.Target, Via: a.Via, MS: a.RTTMS, Words: string(id) + ".ok", Args: []string{nameOf(a), ms(a.RTTMS)}}
	if !a.OK {
		l.Verdict, l.Words, l.Args, l.Detail = Fail, string(id)+".fail", []string{nameOf(a)}, a.Error
		if a.Untrusted {
			l.Words = "untrusted"
		}
	}
	return l
}

func nameOf(a protocol.Attempt) string {
	if a.Zone != "" {
		return a.Target + " (" + a.Zone + ")"
	}
	return a.Target
}

// A silence is what became of one UDP path after nothing was sent on it.
type silence struct {
	idle          time.Duration
	before, after netip.AddrPort // as the router saw us; after is invalid if it no longer answered
	local         bool           // before is an address of this machine: there is no NAT
}

// judgeNAT says how long the NAT keeps a path open. A NAT that gives the same
// port again to the same socket is taken for one that kept it: media could not
// tell either.
func judgeNAT(target string, all []silence) Line {
	slices.SortFunc(all, func(a, b silence) int { return int(a.idle - b.idle) })
	l := Line{Check: NAT, Verdict: OK, Target: target}
	var kept, lost time.Duration
	for _, s := range all {
		switch {
		case s.local:
			l.Words = "nat.none"
			return l
		case s.before == s.after && lost == 0:
			kept = s.idle
		case lost == 0:
			lost = s.idle
		}
	}
	switch {
	case lost == 0:
		l.Words, l.Args = "nat.ok", []string{seconds(kept)}
	case lost <= natWarn:
		l.Verdict, l.Words, l.Args = Warn, "nat.warn", []string{seconds(kept), seconds(lost)}
	default:
		l.Words, l.Args = "nat.between", []string{seconds(kept), seconds(lost)}
	}
	return l
}

// conclude says what all lines mean together.
func conclude(lines []Line) (Verdict, string) {
	has := func(v Verdict, ids ...ID) bool {
		return slices.ContainsFunc(lines, func(l Line) bool { return slices.Contains(ids, l.Check) && l.Verdict == v })
	}
	works := func(ids ...ID) bool { return has(OK, ids...) || has(Warn, ids...) }
	switch {
	case !works(Web):
		return Fail, "all.web"
	case has(Fail, Lookup):
		return Fail, "all.lookup"
	case has(Skip, Lookup):
		return worst(OK, lines, Certificate, Clock, Proxy), "all.half"
	case !works(Controller) && !works(Tunnel):
		return Fail, "all.zones"
	case has(Fail, Join):
		return Fail, "all.join"
	case !works(Control) && !works(Tunnel):
		return Fail, "all.control"
	case !works(UDP) && !works(TCP) && !works(TLS):
		return Fail, "all.media"
	case !works(UDP):
		return Warn, "all.stream"
	case !works(Controller) || !works(Control):
		return Warn, "all.tunnel"
	case has(Fail, Clock):
		return Warn, "all.clock"
	}
	return OK, "all.ok"
}

func worst(v Verdict, lines []Line, ids ...ID) Verdict {
	order := []Verdict{OK, Skip, Warn, Fail}
	for _, l := range lines {
		if slices.Contains(ids, l.Check) && slices.Index(order, l.Verdict) > slices.Index(order, v) {
			v = l.Verdict
		}
	}
	return v
}

func ms(v float64) string { return fmt.Sprintf("%.0f", v) }

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
