package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"causeway/internal/base/logging"
	"causeway/internal/base/run"
)

// upCmd is `causeway up`: everything in one process.
type upCmd struct {
	Listen        string     `help:"Where to serve HTTPS: site, API and everything else that clients connect to (default ${default})." default:":8443" placeholder:"[HOST]:PORT"`
	HTTP          string     `name:"http" help:"Where to serve plain HTTP for browsers on this machine; 'off' for nowhere (default ${default})." default:"localhost:8080" placeholder:"localhost:PORT"`
	MediaPort     uint16     `help:"Port for sound and pictures, UDP and TCP (default ${default})." default:"8801" placeholder:"PORT"`
	Data          string     `help:"Folder for everything that lasts (default ${data})." default:"${data}" placeholder:"DIR"`
	PublicAddress []string   `help:"Host name or IP address at which clients reach this machine; the first is used in links." placeholder:"ADDRESS"`
	Name          string     `help:"What people see as the name of this place (default ${default})." default:"Causeway" placeholder:"NAME"`
	JSON          bool       `name:"json" help:"When ready, print one line of JSON instead of text: ready, web, http, ca, api_key."`
	LogLevel      slog.Level `help:"What to log on standard error: debug, info, warn or error (default ${default})." default:"warn" placeholder:"LEVEL"`
}

// Help is the longer help of `causeway up --help`.
func (*upCmd) Help() string {
	return `Examples:

  causeway up
  causeway up --public-address meet.example.org --listen :443
  causeway up --data /srv/causeway --media-port 9000 --json

Browsers on this machine need no certificate: open the http://localhost address.
Others open the https address; their browsers warn until they trust the
certificate authority that is kept in the data folder (ca.pem).

Ctrl-C ends it. What is in the data folder (meetings, keys, certificates)
survives any end, also a crash.`
}

// Run runs everything until ctx ends.
func (c *upCmd) Run(ctx context.Context, to console) error {
	for _, address := range c.PublicAddress {
		if err := checkPublic(address); err != nil {
			return err
		}
	}
	data, err := openDataDir(c.Data)
	if err != nil {
		return err
	}
	defer data.close()
	log := logging.New(to.err, logging.Text, c.LogLevel)
	h, err := openHouse(ctx, c, data, log)
	if err != nil {
		return err
	}
	defer h.close()
	var g run.Group
	h.addTo(&g)
	g.Add("", func(ctx context.Context) error {
		err := h.untilReady(ctx)
		if err == nil {
			err = h.announce(to, c.JSON)
		}
		if err == nil {
			<-ctx.Done()
		}
		return ignoreEnd(ctx, err)
	})
	return g.Run(ctx)
}

// ignoreEnd drops errors that come of the end that was asked for.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// readiness is the line of `up --json`.
type readiness struct {
	Ready  bool   `json:"ready"`
	Web    string `json:"web"`
	HTTP   string `json:"http,omitempty"`
	CA     string `json:"ca"`
	APIKey string `json:"api_key"`
}

// announce tells whoever started it that it is ready.
func (h *house) announce(to console, asJSON bool) error {
	if asJSON {
		return printJSON(to.out, readiness{true, h.https, h.http, h.authority.CAFile(), h.apiKey})
	}
	_, err := fmt.Fprint(to.out, h.welcome())
	return err
}

// welcome is the text for a person.
func (h *house) welcome() string {
	var b strings.Builder
	b.WriteString("Causeway is ready. Open this address and create a meeting:\n\n")
	if h.http != "" {
		fmt.Fprintf(&b, "  on this machine    %s\n", h.http)
	}
	for i, address := range h.addresses {
		where := "from elsewhere"
		if i > 0 {
			where = ""
		}
		fmt.Fprintf(&b, "  %-18s %s\n", where, address)
	}
	fmt.Fprintf(&b, `
Browsers elsewhere warn until they trust the certificate authority in
  %s

From the command line:
  export CAUSEWAY_SERVER=%s CAUSEWAY_CA='%s' CAUSEWAY_API_KEY="$(cat '%s')"
  causeway meeting create --topic 'First meeting'
  causeway join JOIN_URL --publish testcard

Ctrl-C ends Causeway.
`, h.authority.CAFile(), h.https, h.authority.CAFile(), h.data.file(apiKeyFile))
	return b.String()
}

// publicURLs are the https addresses to tell people, the best first.
func publicURLs(listen net.Addr, public []string, m machine) []string {
	at, err := netip.ParseAddrPort(listen.String())
	if err != nil {
		return []string{"https://" + listen.String()}
	}
	port := fmt.Sprint(at.Port())
	var hosts []string
	hosts = append(hosts, public...)
	switch addr := at.Addr().Unmap(); {
	case len(public) > 0:
	case !addr.IsUnspecified():
		hosts = append(hosts, addr.String())
	case m.primary.IsValid():
		hosts = append(hosts, m.primary.String())
	default:
		hosts = append(hosts, "localhost")
	}
	urls := make([]string, len(hosts))
	for i, host := range hosts {
		urls[i] = "https://" + net.JoinHostPort(host, port)
		if port == "443" {
			urls[i] = "https://" + strings.TrimSuffix(net.JoinHostPort(host, port), ":443")
		}
	}
	return urls
}
