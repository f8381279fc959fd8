// Package target says to which addresses a server lets itself be led. What
// tunnels, gateways and routers dial, other servers of the system have
// announced: one of those that is not what it was, or a name that leads
// elsewhere, must not turn them against their own machine or what serves only
// that, such as the metadata of a cloud.
package target

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
)

// Allowed reports whether a server may be at an address: not where only a
// link, a group or nobody is; on this machine itself only if loopback says so.
func Allowed(a netip.Addr, loopback bool) bool {
	a = a.Unmap()
	if a.IsLoopback() {
		return loopback
	}
	return a.IsGlobalUnicast()
}

// Dialer connects to such addresses only, whatever a name resolves to.
func Dialer(loopback bool) *net.Dialer {
	return &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err == nil && !Allowed(at.Addr(), loopback) {
			err = fmt.Errorf("%s is no address of a server elsewhere", at.Addr())
		}
		return err
	}}
}

// DialFrom dials for a server that is itself reached at a URL. Others are on its
// machine where it is reached by loopback, and where they have its name: many
// systems look up their own as a loopback address.
func DialFrom(base string) func(ctx context.Context, network, address string) (net.Conn, error) {
	own := ""
	if u, err := url.Parse(base); err == nil {
		own = u.Hostname()
	}
	a, err := netip.ParseAddr(own)
	here := own == "localhost" || err == nil && a.Unmap().IsLoopback()
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return Dialer(here || host == own).DialContext(ctx, network, address)
	}
}
