package mmr

import (
	"fmt"
	"net"
	"net/netip"

	"causeway/internal/media/offer"
)

// mediaCandidates are the host candidates that clients are told: the
// configured public addresses, else the address that the port is bound to,
// else every address of this machine, loopback last.
func mediaCandidates(public []string, bound netip.AddrPort) ([]offer.Candidate, error) {
	var addrs []netip.Addr
	for _, p := range public {
		a, err := netip.ParseAddr(p)
		if err != nil {
			return nil, fmt.Errorf("public address: %w", err)
		}
		addrs = append(addrs, a)
	}
	if len(addrs) == 0 && bound.Addr().IsValid() && !bound.Addr().IsUnspecified() {
		addrs = append(addrs, bound.Addr())
	}
	if len(addrs) == 0 {
		var err error
		if addrs, err = machineAddresses(); err != nil {
			return nil, err
		}
	}
	candidates := make([]offer.Candidate, 0, len(addrs))
	for i, a := range addrs {
		if i == offer.MaxCandidates/2 { // as many again for TCP
			break
		}
		candidates = append(candidates, offer.Candidate{
			Protocol: "udp",
			Addr:     netip.AddrPortFrom(a.Unmap(), bound.Port()),
			Priority: hostPriority(i),
		})
	}
	return candidates, nil
}

// hostPriority is the priority of the i-th host candidate of component 1
// (RFC 8445 section 5.1.2.1).
func hostPriority(i int) uint32 {
	const typePreference, component = 126, 1
	return typePreference<<24 | uint32(65535-i)<<8 | (256 - component)
}

// machineAddresses lists the addresses of the interfaces that are up, without
// link-local ones, loopback last.
func machineAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the machine's addresses: %w", err)
	}
	return usable(all), nil
}

// usable are those of the addresses that clients may be told, one at least.
func usable(all []net.Addr) []netip.Addr {
	var addrs, loopback []netip.Addr
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		if addr := prefix.Addr().Unmap(); addr.IsLoopback() {
			loopback = append(loopback, addr)
		} else {
			addrs = append(addrs, addr)
		}
	}
	if addrs = append(addrs, loopback...); len(addrs) == 0 { // no interface is up
		addrs = append(addrs, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return addrs
}
