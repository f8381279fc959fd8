package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
)

const resolveTimeout = 2 * time.Second

// machine is under which names and addresses this machine can be reached.
type machine struct {
	host      string       // its name, "" if it has none
	addresses []netip.Addr // of its interfaces, without loopback and link-local ones
	primary   netip.Addr   // the one that others most likely reach; invalid if there is none
}

// thisMachine looks up names and addresses; it sends nothing.
func thisMachine() machine {
	var m machine
	m.host, _ = os.Hostname()
	found, _ := net.InterfaceAddrs()
	for _, a := range found {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if addr := prefix.Addr().Unmap(); addr.IsGlobalUnicast() {
			m.addresses = append(m.addresses, addr)
		}
	}
	// The address from which this machine would speak to the outside.
	for _, outside := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} { // RFC 5737, RFC 3849
		c, err := net.Dial("udp", outside)
		if err != nil {
			continue
		}
		local, err := netip.ParseAddrPort(c.LocalAddr().String())
		_ = c.Close()
		if addr := local.Addr().Unmap(); err == nil && slices.Contains(m.addresses, addr) {
			m.primary = addr
			return m
		}
	}
	if len(m.addresses) > 0 {
		m.primary = m.addresses[0]
	}
	return m
}

// names are all names to certify.
func (m machine) names(more ...string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if m.host != "" {
		names = append(names, strings.ToLower(m.host))
	}
	for _, a := range m.addresses {
		names = append(names, a.String())
	}
	return append(names, more...)
}

// media are the IP addresses to offer for media: public ones first, so that
// clients elsewhere find one that works, and those of all interfaces.
func (m machine) media(ctx context.Context, public []string) ([]string, error) {
	var all []netip.Addr
	for _, p := range public {
		if addr, err := netip.ParseAddr(p); err == nil {
			all = append(all, addr.Unmap())
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", p)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("%s cannot be resolved to an address; check the name given with --public-address, or give the IP address", p)
		}
		for _, addr := range found {
			all = append(all, addr.Unmap())
		}
	}
	all = append(all, m.addresses...)
	all = append(all, netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback())
	var out []string
	for _, a := range all {
		if s := a.String(); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// checkPublic checks the form of a public address.
func checkPublic(address string) error {
	if addr, err := netip.ParseAddr(address); err == nil {
		if addr.IsUnspecified() || addr.IsMulticast() || addr.Zone() != "" {
			return fmt.Errorf("%s is not an address that clients could use; give --public-address a host name or the IP address that clients use", address)
		}
		return nil
	}
	valid := func(r rune) bool {
		return r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if address == "" || len(address) > 253 || strings.ContainsFunc(address, func(r rune) bool { return !valid(r) }) {
		return fmt.Errorf("%q is not a host name; give --public-address a host name or an IP address, without https:// and port", address)
	}
	return nil
}
