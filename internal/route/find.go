package route

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// Settings say where a proxy may be named. The first that names one decides:
// flag, PAC, environment, system.
type Settings struct {
	// Proxy is what the person wrote, as ParseProxy reads it; "direct" keeps
	// everything else from being asked.
	Proxy string
	// PAC is the file or http(s) address of a PAC script, or "auto" for WPAD
	// by DNS.
	PAC string
	// Environment has HTTPS_PROXY, NO_PROXY and the like; nil is not asked.
	Environment *httpproxy.Config
	// System is asked last; nil is not asked.
	System func(ctx context.Context) (System, error)
}

// System is what the operating system's settings say.
type System struct {
	Proxy  string   // as ParseProxy reads it, "" for none
	Bypass []string // host patterns that are reached directly
	PAC    string   // address of a script, or "auto"
}

// Finder finds the ways out for a target. Scripts are fetched when first
// needed and kept.
type Finder struct {
	settings Settings
	flag     *Proxy
	client   *http.Client
	log      *slog.Logger

	mu      sync.Mutex
	scripts map[string]*PAC // by address; nil when it could not be had
	system  *System
}

// NewFinder reads the settings; nothing is fetched yet. dial reaches the PAC
// script's server; nil is the network.
func NewFinder(s Settings, dial DialFunc, log *slog.Logger) (*Finder, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &Finder{settings: s, log: log, scripts: map[string]*PAC{}}
	f.client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: dial, Proxy: nil, DisableKeepAlives: true}}
	if s.Proxy != "" {
		p, err := ParseProxy(s.Proxy, FromFlag)
		if err != nil {
			return nil, err
		}
		f.flag = &p
	}
	return f, nil
}

// Check fetches the PAC script that the person named, if any: one that cannot
// be had is a mistake to be told of, not a reason to go out unprotected.
func (f *Finder) Check(ctx context.Context) error {
	if f.settings.PAC == "" || f.settings.Proxy != "" {
		return nil
	}
	_, err := f.script(ctx, f.settings.PAC)
	return err
}

// For gives the ways to reach address (host:port), in the order to try.
func (f *Finder) For(ctx context.Context, address string) []Proxy {
	direct := []Proxy{{Kind: Direct}}
	host, _, err := net.SplitHostPort(address)
	if err != nil || isLoopback(host) {
		return direct
	}
	if f.flag != nil {
		return []Proxy{*f.flag}
	}
	if f.settings.PAC != "" {
		return f.byScript(ctx, f.settings.PAC, address, host)
	}
	if f.settings.Environment != nil {
		u, err := f.settings.Environment.ProxyFunc()(&url.URL{Scheme: "https", Host: address})
		if err == nil && u != nil {
			if p, err := ParseProxy(u.String(), FromEnvironment); err == nil {
				return []Proxy{p}
			}
		}
		if e := f.settings.Environment; e.HTTPSProxy != "" {
			return direct // the environment has a proxy, but not for this host
		}
	}
	sys := f.systemSettings(ctx)
	switch {
	case bypassed(host, sys.Bypass):
		return direct
	case sys.PAC != "":
		return f.byScript(ctx, sys.PAC, address, host)
	case sys.Proxy != "":
		if p, err := ParseProxy(sys.Proxy, FromSystem); err == nil {
			return []Proxy{p}
		}
	}
	return direct
}

func (f *Finder) systemSettings(ctx context.Context) *System {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.system != nil || f.settings.System == nil {
		return cmp.Or(f.system, &System{})
	}
	s, err := f.settings.System(ctx)
	if err != nil {
		f.log.Debug("system proxy settings", "err", err)
		s = System{}
	}
	if !gaveUp(ctx) {
		f.system = &s
	}
	return &s
}

// gaveUp reports whether whoever asked did not want the answer any more: that
// there is none says nothing then.
func gaveUp(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// byScript asks a PAC script; one that cannot be had or fails means direct.
func (f *Finder) byScript(ctx context.Context, script, address, host string) []Proxy {
	p, err := f.script(ctx, script)
	if err == nil {
		var ways []Proxy
		// Browsers hide path and query from scripts; so do we.
		if ways, err = p.Find(ctx, "https://"+address+"/", host); err == nil {
			return ways
		}
	}
	f.log.Warn("the PAC script gave no way out; going direct", "script", script, "err", err)
	return []Proxy{{Kind: Direct, Origin: FromPAC}}
}

func (f *Finder) script(ctx context.Context, from string) (*PAC, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, ok := f.scripts[from]; ok {
		if p == nil {
			return nil, errors.New("it could not be fetched before")
		}
		return p, nil
	}
	source, err := f.fetch(ctx, from)
	if err != nil {
		if !gaveUp(ctx) {
			f.scripts[from] = nil
		}
		return nil, err
	}
	p, err := NewPAC(source)
	f.scripts[from] = p
	return p, err
}

func (f *Finder) fetch(ctx context.Context, from string) (string, error) {
	if from == "auto" {
		return f.fetchWPAD(ctx)
	}
	if !strings.HasPrefix(from, "http://") && !strings.HasPrefix(from, "https://") {
		b, err := os.ReadFile(strings.TrimPrefix(from, "file://"))
		if err != nil {
			return "", fmt.Errorf("read the PAC script: %w", err)
		}
		return string(b), nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return "", fmt.Errorf("the PAC script's address: %w", err)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("fetch the PAC script: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("fetch the PAC script: %s answered %s", from, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, pacMaxScript+1))
	if err != nil {
		return "", fmt.Errorf("fetch the PAC script: %w", err)
	}
	return string(b), nil
}

// fetchWPAD finds the script by DNS: wpad in each of the machine's search
// domains, which are taken as they are and not climbed.
func (f *Finder) fetchWPAD(ctx context.Context) (string, error) {
	var errs []error
	for _, domain := range searchDomains() {
		s, err := f.fetch(ctx, "http://wpad."+domain+"/wpad.dat")
		if err == nil {
			return s, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("no PAC script by WPAD: %w", errors.Join(append(errs, errors.New("no more search domains"))...))
}

// searchDomains reads resolv.conf (resolver(5)); there is none on Windows.
func searchDomains() []string {
	b, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	return parseSearch(string(b))
}

func parseSearch(conf string) []string {
	var out []string
	for line := range strings.Lines(conf) {
		w := strings.Fields(line)
		if len(w) > 1 && (w[0] == "search" || w[0] == "domain") {
			out = nil // the last one counts
			for _, d := range w[1:] {
				// A bare top-level domain is nobody's own.
				if d = strings.Trim(d, "."); strings.Contains(d, ".") {
					out = append(out, d)
				}
			}
		}
	}
	return out
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// bypassed matches a host against exceptions as systems write them: names,
// .suffixes, *globs, addresses, CIDRs, <local>.
func bypassed(host string, patterns []string) bool {
	addr, addrErr := netip.ParseAddr(host)
	host = strings.ToLower(host)
	for _, p := range patterns {
		p = strings.ToLower(strings.TrimSpace(p))
		switch {
		case p == "":
		case p == "<local>":
			if !strings.Contains(host, ".") {
				return true
			}
		case strings.Contains(p, "/"):
			if net, err := netip.ParsePrefix(p); err == nil && addrErr == nil && net.Contains(addr) {
				return true
			}
		case strings.HasPrefix(p, "*"):
			if strings.HasSuffix(host, p[1:]) {
				return true
			}
		case strings.HasSuffix(p, "*"):
			if strings.HasPrefix(host, p[:len(p)-1]) {
				return true
			}
		case host == strings.TrimPrefix(p, ".") || strings.HasSuffix(host, "."+strings.TrimPrefix(p, ".")):
			return true
		}
	}
	return false
}
