//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"causeway/client/check"
	"causeway/protocol"
)

// ShortNAT is a NAT that forgets a silent UDP path after a few seconds, and
// gives the next packet another port. See shortUDP.
var ShortNAT = Policy{natRule + "fully-random"}

// shortUDP makes the gateway forget UDP soon.
func (w *World) shortUDP() {
	w.t.Helper()
	for _, timeout := range []string{"udp_timeout", "udp_timeout_stream"} {
		w.in("gateway", "sysctl", "-qw", "net.netfilter.nf_conntrack_"+timeout+"=6")
	}
}

// Check runs causeway check in the client's host.
func (d *Deployment) Check(env []string, args ...string) check.Report {
	d.t.Helper()
	cmd := d.command(d.t.Context(), "client", append([]string{d.binary, "check", d.meeting.JoinURL, "--json", "--ca", d.ca}, args...)...)
	cmd.Env = append(append(os.Environ(), "HOME="+d.dir), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output() // a status other than 0 tells the verdict once more
	var r check.Report
	if jsonErr := json.Unmarshal(out, &r); jsonErr != nil {
		d.t.Fatalf("%v, %v: %s", err, jsonErr, stderr.String())
	}
	return r
}

// TestCheck runs the connection check in networks that have something wrong
// with them, each of which it must find.
func TestCheck(t *testing.T) {
	d := NewDeployment(NewWorld(t))
	d.untilTunnels(1)
	d.StartProxies()
	d.StartMiddlebox("8443", false)
	d.StartMiddlebox("8444", true)
	d.shortUDP()
	company := []string{"--ca", d.path(companyRoots)}
	for _, c := range []struct {
		network string
		policy  Policy
		args    []string
		verdict check.Verdict
		finds   []string // check, verdict and row of words or code
	}{
		{"NAT with short time-outs", ShortNAT, nil, check.OK, []string{"name ok name.ok", "certificate ok certificate.ok", "clock ok clock.ok", "proxy ok proxy.none", "controller ok controller.ok", "tunnel ok tunnel.ok", "control ok control.ok", "udp ok udp.ok", "tcp ok tcp.ok", "tls ok tls.ok", "nat warn nat.warn"}},
		{"UDP blocked", UDPBlocked, nil, check.Warn, []string{"udp fail udp.fail", "tcp ok tcp.ok", "nat skipped nat.skip"}},
		{"only 443", Only443, nil, check.Warn, []string{"udp fail udp.fail", "tcp fail tcp.fail", "tls ok tls.ok"}},
		{"controllers refused", ControllersReset, nil, check.Warn, []string{"controller fail controller.fail", "tunnel ok tunnel.ok", "control ok control.ok"}},
		{"nothing at all", ProxyOnly, nil, check.Fail, []string{"name ok name.ok", "web fail " + string(protocol.ProblemWebUnreachable)}},
		{"proxy", ProxyOnly, proxied("digest"), check.Warn, []string{"proxy ok proxy.ok", "control ok control.ok", "tls ok tls.ok", "udp fail udp.fail"}},
		{"proxy, no password", ProxyOnly, []string{"--proxy", proxyURL("basic")}, check.Fail, []string{"proxy fail " + string(protocol.ProblemProxyAuthNeeded)}},
		{"proxy, wrong password", ProxyOnly, []string{"--proxy", proxyURL("basic"), "--proxy-user", "ann:wrong"}, check.Fail, []string{"proxy fail " + string(protocol.ProblemProxyAuthFailed)}},
		{"TLS inspected", Inspected, company, check.Warn, []string{"certificate warn certificate.opened", "controller ok controller.ok", "tunnel ok tunnel.ok", "tls ok tls.ok"}},
		{"TLS inspected, WebSocket refused", InspectedStrictly, company, check.Warn, []string{"certificate warn certificate.opened", "tunnel warn tunnel.plain"}},
		{"TLS inspected, authority unknown", Inspected, nil, check.Fail, []string{"web fail " + string(protocol.ProblemCertificate)}},
	} {
		t.Run(c.network, func(t *testing.T) {
			d.Apply(c.policy)
			r := d.Check(nil, c.args...)
			found := map[string]bool{}
			named := false
			for _, l := range r.Lines {
				words := l.Words
				if l.Code != "" {
					words = string(l.Code)
				}
				found[fmt.Sprint(l.Check, " ", l.Verdict, " ", words)] = true
				named = named || strings.Contains(l.Text, middleboxName)
				if l.Text == "" || l.Verdict == check.Fail && l.Remedy == "" {
					t.Errorf("without words or remedy: %+v", l)
				}
			}
			for _, want := range c.finds {
				if !found[want] {
					t.Errorf("did not find %q", want)
				}
			}
			if inspected := strings.Contains(c.network, "inspected"); inspected != named {
				t.Errorf("the middlebox is named: %v", named)
			}
			if r.Verdict != c.verdict {
				t.Errorf("verdict %s: %s", r.Verdict, r.Text)
			}
			if t.Failed() {
				for _, l := range r.Lines {
					t.Logf("%s %s %s%s: %s", l.Check, l.Verdict, l.Words, l.Code, l.Text)
				}
			}
		})
	}
}
