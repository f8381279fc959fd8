package lab

import (
	"context"
	"fmt"
	"strings"
)

// A Policy is what the gateway lets out of the client's site: nftables
// statements of its forward chain, before everything else is accepted. The
// proxy host is never restricted: it is how the site means to get out.
type Policy []string

// The policies. Silent ones drop, refusing ones reset.
var (
	Open             = Policy{}
	UDPBlocked       = Policy{"meta l4proto udp drop"}
	UDPDeaf          = Policy{"udp dport 8801 drop"} // what comes in goes on
	UDPRefused       = Policy{"meta l4proto udp reject"}
	Only443          = Policy{"meta l4proto udp drop", "tcp dport != 443 drop"}
	Only443Refusing  = Policy{"meta l4proto udp reject", "tcp dport != 443 reject with tcp reset"}
	ProxyOnly        = Policy{"drop"}
	ControllersGone  = Policy{"ip daddr 203.0.113.20 drop"}
	ControllersReset = Policy{"ip daddr 203.0.113.20 meta l4proto tcp reject with tcp reset", "ip daddr 203.0.113.20 reject"}
	OnlyWebAndTunnel = Policy{"ip daddr != { 203.0.113.10, 203.0.113.40 } drop"}
	OnlyWeb          = Policy{"ip daddr != 203.0.113.10 drop"}
)

// ProxyWebOnly lets out nothing but the proxy, and that to web alone.
var ProxyWebOnly = Policy{"drop", proxyRule + "ip daddr != 203.0.113.10 reject with tcp reset"}

// Inspected has TLS opened by the middlebox, and lets out nothing else;
// InspectedStrictly has it refuse WebSocket, too. See StartMiddlebox.
var (
	Inspected         = append(Policy{inspectRule + "8443"}, Only443...)
	InspectedStrictly = append(Policy{inspectRule + "8444"}, Only443...)
)

// These mark the statements that hold for what the proxy host sends and gets.
const (
	proxyRule       = "proxy: "
	proxyReturnRule = "to the proxy: "
	inspectRule     = "inspect: " // and the port of the middlebox
	natRule         = "nat: "     // and flags of masquerade
)

// Apply puts a policy into force at once, for running connections too. What
// stays on one side is never filtered; kernels with br_netfilter would.
func (w *World) Apply(p Policy) {
	w.t.Helper()
	var rules strings.Builder
	redirect, flags := "", ""
	for _, r := range p {
		if port, ok := strings.CutPrefix(r, inspectRule); ok {
			redirect = fmt.Sprintf("  chain inspect {\n    type nat hook prerouting priority dstnat;\n    iifname site ip saddr != %s ip daddr 203.0.113.0/24 tcp dport 443 redirect to :%s\n  }\n",
				addresses["proxy"], port)
			continue
		}
		if f, ok := strings.CutPrefix(r, natRule); ok {
			flags = f
			continue
		}
		if rule, ok := strings.CutPrefix(r, proxyRule); ok {
			fmt.Fprintf(&rules, "    iifname site ip saddr %s meta l4proto tcp %s\n", addresses["proxy"], rule)
			continue
		}
		if rule, ok := strings.CutPrefix(r, proxyReturnRule); ok {
			fmt.Fprintf(&rules, "    oifname site ip daddr %s meta l4proto tcp %s\n", addresses["proxy"], rule)
			continue
		}
		fmt.Fprintf(&rules, "    iifname site ip saddr != %s %s\n", addresses["proxy"], r)
		if strings.HasPrefix(r, "meta l4proto udp") { // both ways, or what comes in goes on
			fmt.Fprintf(&rules, "    oifname site ip daddr != %s meta l4proto udp drop\n", addresses["proxy"])
		}
	}
	script := fmt.Sprintf(`flush ruleset
table ip lab {
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname site oifname site accept
    iifname internet oifname internet accept
%s    iifname internet ct state != { established, related } drop
  }
  chain nat {
    type nat hook postrouting priority srcnat;
    oifname internet ip saddr 10.77.0.0/24 masquerade %s
  }
%s}
`, rules.String(), flags, redirect)
	cmd := w.command(context.Background(), "gateway", "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("nft: %v: %s\n%s", err, out, script)
	}
}
