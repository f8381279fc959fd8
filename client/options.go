package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"unicode/utf8"

	"causeway/client/connect"
	"causeway/protocol"
)

// Options say how to take part in a meeting.
type Options struct {
	// Name is what others see; it must not be empty.
	Name string
	// Feed is what to publish; nil publishes nothing. The meeting closes it.
	Feed Feed
	// Receive is given every frame that is received, in order per source,
	// by one goroutine. While it works, frames wait in a bounded queue; those
	// that find it full are dropped. Nil receives sound only, to keep the
	// path alive, and throws it away.
	Receive func(Frame)
	// VideoSlots is how many cameras to see at a time; 0 is
	// DefaultVideoSlots, or none without Receive; negative is none.
	VideoSlots int
	// MaxHeight bounds the lines of a camera's picture; 0 is 1080.
	MaxHeight int
	// Roots are the certificate authorities to trust; nil trusts those of
	// the system.
	Roots *x509.CertPool
	// DialContext opens TCP connections; nil dials directly. Proxies and
	// tunnels are dialled by it too.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Proxy is [SCHEME://][USER:PASSWORD@]HOST[:PORT] with the scheme http,
	// https or socks5, or "direct" for none. While it is "" a proxy is looked
	// for in PAC, in the environment, and in the system's settings.
	Proxy string
	// PAC is the file or address of a proxy script, or "auto" for WPAD.
	PAC string
	// ProxyUser is USER[:PASSWORD] for whichever proxy asks.
	ProxyUser string
	// ProxyCredentialsFile has lines of "HOST[:PORT] USER PASSWORD".
	ProxyCredentialsFile string
	// NoSystemProxy leaves the system's settings alone.
	NoSystemProxy bool
	// ProxyPassword asks a person for credentials, when a proxy asks for some
	// that are not known or not accepted. It may take its time. The user may
	// be "" to keep the one of ProxyUser.
	ProxyPassword func(proxy string) (user, password string, ok bool)
	// Media is the only way that media may go, for an operator's tests; "" is
	// the best that works.
	Media protocol.Transport
	// NoReport leaves no report of the join with web, for made-up participants.
	NoReport bool
	// Version names the program to servers.
	Version string
	// Log takes what an operator should know; nil discards it.
	Log *slog.Logger

	source func(netip.Addr) netip.Addr // see watch
}

// DefaultVideoSlots is how many cameras are seen unless told otherwise.
const DefaultVideoSlots = 9

func (o *Options) complete() error {
	if n := utf8.RuneCountInString(o.Name); n < 1 || n > 64 {
		return protocol.NewProblem(protocol.ProblemBadRequest, "a name of 1 to 64 characters is needed")
	}
	if !slices.Contains([]protocol.Transport{"", protocol.UDP, protocol.TCP, protocol.TLS}, o.Media) {
		return protocol.NewProblem(protocol.ProblemBadRequest, fmt.Sprintf("media cannot go over %q", o.Media))
	}
	if o.Receive != nil && o.VideoSlots == 0 {
		o.VideoSlots = DefaultVideoSlots
	}
	o.VideoSlots = min(max(o.VideoSlots, 0), protocol.MaxVideoSlots)
	if o.MaxHeight <= 0 {
		o.MaxHeight = 1080
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (o *Options) network() (*connect.Network, error) {
	return connect.NewNetwork(connect.Options{
		DialContext: o.DialContext,
		TLS:         &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		UserAgent:   "causeway/" + o.version(),
		Proxy: connect.ProxyOptions{
			Proxy: o.Proxy, PAC: o.PAC, User: o.ProxyUser, CredentialsFile: o.ProxyCredentialsFile,
			NoSystem: o.NoSystemProxy, Password: o.ProxyPassword,
		},
		Log: o.Log,
	})
}

func (o *Options) version() string {
	if o.Version == "" {
		return "dev"
	}
	return o.Version
}

func (o *Options) info() protocol.ClientInfo {
	return protocol.ClientInfo{Kind: "native", Version: o.version(), OS: runtime.GOOS}
}
