package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"

	"causeway/internal/base/config"
	"causeway/internal/base/logging"
	"causeway/internal/base/pki"
)

// Kinds of servers, as the field "server" of their files names them.
const (
	kindWeb    = "web"
	kindZone   = "zone"
	kindMMR    = "mmr"
	kindTunnel = "tunnel"
)

// Common are the fields that every server's file has.
type Common struct {
	Server string    `yaml:"server"`
	Listen string    `yaml:"listen"` // HTTPS
	TLS    TLSFields `yaml:"tls"`
	Admin  string    `yaml:"admin"` // plain HTTP: /healthz, /readyz, /metrics; "" for none
	Log    LogFields `yaml:"log"`
}

// TLSFields say where a server's certificate comes from.
type TLSFields struct {
	Cert  string   `yaml:"cert"`
	Key   string   `yaml:"key"`
	OwnCA string   `yaml:"own_ca"` // folder of an authority of its own
	Names []string `yaml:"names"`  // what that authority certifies besides what is obvious
}

// LogFields say how a server logs.
type LogFields struct {
	Format string `yaml:"format"`
	Level  string `yaml:"level"`
}

// BusFields are the fields of the bus that every server has.
type BusFields struct {
	NATS []string `yaml:"nats"` // an outside NATS instead of the embedded one
	CA   string   `yaml:"ca"`   // also trusted, for it and for other servers' addresses
}

// defaultCommon are the defaults of a kind of server.
func defaultCommon(kind, admin string) Common {
	return Common{Server: kind, Listen: ":443", Admin: admin, Log: LogFields{Format: logging.Text, Level: "info"}}
}

// issues collects what is wrong.
type issues []config.Issue

func (i *issues) add(field, problem, remedy string) {
	*i = append(*i, config.Issue{Field: field, Problem: problem, Remedy: remedy})
}

// address checks a field that holds [HOST]:PORT.
func (i *issues) address(field, value string, optional bool) {
	if value == "" && optional {
		return
	}
	if checkAddress(value, field) != nil {
		i.add(field, fmt.Sprintf("%q is not an address to listen on", value), "write :PORT or HOST:PORT")
	}
}

// peers checks a list of HOST:PORT.
func (i *issues) peers(field string, values []string) {
	for n, v := range values {
		if host, port, err := net.SplitHostPort(v); err != nil || host == "" || port == "" {
			i.add(fmt.Sprintf("%s[%d]", field, n), fmt.Sprintf("%q is not the address of a server", v), "write HOST:PORT")
		}
	}
}

// check finds out what is wrong with the common fields of a kind's file.
func (c Common) check(kind string) issues {
	var found issues
	if c.Server != kind {
		found.add("server", fmt.Sprintf("%q is another kind of server", c.Server), "write "+kind+", or start it with causeway "+c.Server)
	}
	found.address("listen", c.Listen, false)
	found.address("admin", c.Admin, true)
	switch t := c.TLS; {
	case t.OwnCA == "" && t.Cert == "" && t.Key == "":
		found.add("tls", "there is no certificate", "name the files with cert and key, or a folder with own_ca")
	case t.OwnCA != "" && (t.Cert != "" || t.Key != ""):
		found.add("tls.own_ca", "there are certificate files as well", "keep either own_ca or cert and key")
	case t.OwnCA == "" && t.Cert == "":
		found.add("tls.cert", "is missing", "name the file with the certificate chain")
	case t.OwnCA == "" && t.Key == "":
		found.add("tls.key", "is missing", "name the file with the certificate's key")
	case t.OwnCA == "" && len(t.Names) > 0:
		found.add("tls.names", "is only for own_ca", "remove it")
	}
	if c.Log.Format != logging.Text && c.Log.Format != logging.JSON {
		found.add("log.format", fmt.Sprintf("%q is unknown", c.Log.Format), "write text or json")
	}
	var level slog.Level
	if level.UnmarshalText([]byte(c.Log.Level)) != nil {
		found.add("log.level", fmt.Sprintf("%q is unknown", c.Log.Level), "write debug, info, warn or error")
	}
	return found
}

// check finds out what is wrong with the bus's common fields. embedded tells
// whether any field of the embedded bus is set.
func (b BusFields) check(embedded bool) issues {
	var found issues
	for n, s := range b.NATS {
		if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "tls" && u.Scheme != "nats" {
			found.add(fmt.Sprintf("bus.nats[%d]", n), fmt.Sprintf("%q is not the address of a NATS server", s), "write tls://HOST:PORT")
		}
	}
	if len(b.NATS) > 0 && embedded {
		found.add("bus.nats", "the embedded bus is configured as well", "keep nats, or the other addresses of the bus")
	}
	return found
}

// logger is the logger that the file asks for.
func (c Common) logger(to console) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log.Level)) // checked
	return logging.New(to.err, c.Log.Format, level)
}

// tls is the server's certificate, and whom it trusts when it dials other
// servers as clients do. public is the address under which clients know it.
func (c Common) tls(kind, public, ca string) (*tls.Config, error) {
	pool, err := pki.Pool(ca)
	if err != nil {
		return nil, err
	}
	var cfg *tls.Config
	if c.TLS.OwnCA == "" {
		get, err := pki.Reloading(c.TLS.Cert, c.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("%w; check tls.cert and tls.key, or use tls.own_ca", err)
		}
		cfg = pki.TLSConfig(get)
	} else {
		names := c.TLS.Names
		if u, err := url.Parse(public); err == nil && u.Hostname() != "" {
			names = append(names, u.Hostname())
		}
		authority, err := pki.OpenFor(c.TLS.OwnCA, kind, thisMachine().names(names...))
		if err != nil {
			return nil, err
		}
		if err := trust(pool, authority.CAFile()); err != nil {
			return nil, err
		}
		cfg = authority.TLSConfig()
	}
	cfg.RootCAs = pool
	return cfg, nil
}

func trust(pool *x509.CertPool, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read certificate authority: %w", err)
	}
	pool.AppendCertsFromPEM(data)
	return nil
}
