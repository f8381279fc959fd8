package route

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"runtime/metrics"
	"strings"
	"sync"
	"time"

	"github.com/dop251/goja"
)

//go:embed pac.js
var pacLibrary string

// Bounds of one evaluation of a PAC script.
const (
	pacMaxScript = 1 << 20         // bytes of source
	pacMaxTime   = 3 * time.Second // name look-ups included
	pacMaxHeap   = 64 << 20        // bytes that the process may grow by
	pacMaxWays   = 16              // entries of an answer that are looked at
)

// PAC is a proxy auto-configuration script. It may be asked from any
// goroutine; one evaluation runs at a time.
type PAC struct {
	mu      sync.Mutex
	program *goja.Program
	lookup  func(ctx context.Context, host string) (string, error)
	local   func() string
}

// NewPAC compiles a script.
func NewPAC(source string) (*PAC, error) {
	if len(source) > pacMaxScript {
		return nil, fmt.Errorf("PAC script of %d bytes: more than %d", len(source), pacMaxScript)
	}
	program, err := goja.Compile("proxy.pac", source, false)
	if err != nil {
		return nil, fmt.Errorf("PAC script: %w", err)
	}
	return &PAC{program: program, lookup: lookupIPv4, local: localAddress}, nil
}

// Find asks the script for the ways to a URL: what FindProxyForURL answers,
// read by ParseWays.
func (p *PAC) Find(ctx context.Context, target, host string) ([]Proxy, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, pacMaxTime)
	defer cancel()

	vm := goja.New()
	vm.SetMaxCallStackSize(256)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { guard(ctx, vm, done) })
	defer watch.Wait()
	defer close(done)

	if err := p.install(ctx, vm); err != nil {
		return nil, err
	}
	if _, err := vm.RunProgram(p.program); err != nil {
		return nil, fmt.Errorf("run the PAC script: %w", err)
	}
	find, ok := goja.AssertFunction(vm.Get("FindProxyForURL"))
	if !ok {
		return nil, errors.New("the PAC script has no function FindProxyForURL")
	}
	v, err := find(goja.Undefined(), vm.ToValue(target), vm.ToValue(host))
	if err != nil {
		return nil, fmt.Errorf("run the PAC script: %w", err)
	}
	if goja.IsNull(v) || goja.IsUndefined(v) {
		return []Proxy{{Kind: Direct, Origin: FromPAC}}, nil
	}
	return ParseWays(v.String())
}

func (p *PAC) install(ctx context.Context, vm *goja.Runtime) error {
	functions := map[string]any{
		"dnsResolve": func(host string) any {
			if ip, err := p.lookup(ctx, host); err == nil {
				return ip
			}
			return nil
		},
		"myIpAddress": p.local,
		"alert":       func(string) {},
	}
	for name, f := range functions {
		if err := vm.Set(name, f); err != nil {
			return fmt.Errorf("prepare the PAC script: %w", err)
		}
	}
	if _, err := vm.RunScript("pac.js", pacLibrary); err != nil {
		return fmt.Errorf("prepare the PAC script: %w", err)
	}
	return nil
}

// guard interrupts a script that takes too long or too much memory. Memory is
// the process's heap: goja does not count its own.
func guard(ctx context.Context, vm *goja.Runtime, done <-chan struct{}) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	start := heap()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			vm.Interrupt("took too long")
			return
		case <-tick.C:
			if heap() > start+pacMaxHeap {
				vm.Interrupt("took too much memory")
				return
			}
		}
	}
}

func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// ParseWays reads a PAC answer such as "PROXY a:8080; SOCKS b:1080; DIRECT".
// Entries that it does not know are passed over.
func ParseWays(answer string) ([]Proxy, error) {
	var ways []Proxy
	entries := strings.Split(answer, ";")
	for _, e := range entries[:min(len(entries), pacMaxWays)] {
		word, address, _ := strings.Cut(strings.TrimSpace(e), " ")
		var scheme string
		switch strings.ToUpper(word) {
		case "DIRECT":
			ways = append(ways, Proxy{Kind: Direct, Origin: FromPAC})
			continue
		case "PROXY", "HTTP":
			scheme = "http://"
		case "HTTPS":
			scheme = "https://"
		case "SOCKS", "SOCKS5":
			scheme = "socks5://"
		default:
			continue
		}
		if p, err := ParseProxy(scheme+strings.TrimSpace(address), FromPAC); err == nil {
			ways = append(ways, p)
		}
	}
	if len(ways) == 0 {
		return nil, fmt.Errorf("the PAC script answered %.80q, which names no way out", answer)
	}
	return ways, nil
}

func lookupIPv4(ctx context.Context, host string) (string, error) {
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return "", err
	}
	if len(ips) == 0 {
		return "", errors.New("no IPv4 address")
	}
	return ips[0].Unmap().String(), nil
}

// localAddress is the address that faces the outside: connecting a UDP
// socket sends nothing.
func localAddress() string {
	for _, to := range []string{"198.51.100.1:9", "[2001:db8::1]:9"} {
		c, err := net.Dial("udp", to)
		if err != nil {
			continue
		}
		host, _, _ := net.SplitHostPort(c.LocalAddr().String())
		_ = c.Close()
		return host
	}
	return "127.0.0.1"
}
