package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/term"

	"causeway/client/connect"
)

// proxyFlags say by which proxy to go out, for every command that speaks to a
// system.
type proxyFlags struct {
	Proxy            string `help:"Go out by this proxy: [http|https|socks5://][USER:PASSWORD@]HOST[:PORT]; 'direct' uses none. Otherwise the environment (HTTPS_PROXY, NO_PROXY) and the system's settings are asked." env:"CAUSEWAY_PROXY" placeholder:"PROXY"`
	PAC              string `name:"pac" help:"Ask the proxy script in FILE or at URL; 'auto' looks for one by DNS." env:"CAUSEWAY_PAC" placeholder:"FILE|URL|auto"`
	ProxyUser        string `name:"proxy-user" help:"Who to be for a proxy that asks; without a password it is asked for on the terminal." env:"CAUSEWAY_PROXY_USER" placeholder:"USER[:PASSWORD]"`
	ProxyCredentials string `name:"proxy-credentials" help:"FILE with lines 'HOST[:PORT] USER PASSWORD', that nobody else may read." env:"CAUSEWAY_PROXY_CREDENTIALS" type:"path" placeholder:"FILE"`
	NoSystemProxy    bool   `name:"no-system-proxy" help:"Leave the system's proxy settings alone."`
}

// options are the flags as package connect takes them.
func (f *proxyFlags) options(ask func(string) (string, string, bool)) connect.ProxyOptions {
	return connect.ProxyOptions{
		Proxy: f.Proxy, PAC: f.PAC, User: f.ProxyUser, CredentialsFile: f.ProxyCredentials,
		NoSystem: f.NoSystemProxy, Password: ask,
	}
}

// A prompt asks the person at the terminal for a proxy's credentials.
type prompt struct {
	ctx    context.Context
	user   string // known already, "" if not
	in     *os.File
	out    io.Writer
	closed atomic.Bool // the terminal shows something else now
}

// newPrompt gives nil where there is no terminal to ask on.
func (f *proxyFlags) newPrompt(ctx context.Context, to console) *prompt {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	user, _, _ := strings.Cut(f.ProxyUser, ":")
	return &prompt{ctx: ctx, user: user, in: os.Stdin, out: to.err}
}

// ask is what connect calls; nil if nobody can be asked.
func (p *prompt) ask() func(string) (string, string, bool) {
	if p == nil {
		return nil
	}
	return p.credentials
}

// close makes the prompt ask nothing more.
func (p *prompt) close() {
	if p != nil {
		p.closed.Store(true)
	}
}

func (p *prompt) credentials(proxy string) (user, password string, ok bool) {
	if p.closed.Load() || p.ctx.Err() != nil {
		return "", "", false
	}
	before, err := term.GetState(int(p.in.Fd()))
	if err != nil {
		return "", "", false
	}
	// What the terminal says may come after Ctrl-C; nobody waits for it then.
	type answer struct {
		user, password string
		err            error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		a.user, a.password, a.err = p.read(proxy)
		answers <- a
	}()
	select {
	case a := <-answers:
		return a.user, a.password, a.err == nil && a.user != ""
	case <-p.ctx.Done():
		_ = term.Restore(int(p.in.Fd()), before)
		_, _ = fmt.Fprintln(p.out)
		return "", "", false
	}
}

func (p *prompt) read(proxy string) (user, password string, err error) {
	user = p.user
	if user == "" {
		_, _ = fmt.Fprintf(p.out, "User name for the proxy %s: ", proxy)
		line, err := bufio.NewReader(p.in).ReadString('\n')
		if err != nil {
			return "", "", fmt.Errorf("read user name: %w", err)
		}
		user = strings.TrimSpace(line)
	}
	_, _ = fmt.Fprintf(p.out, "Password of %s for the proxy %s: ", user, proxy)
	secret, err := term.ReadPassword(int(p.in.Fd()))
	_, _ = fmt.Fprintln(p.out)
	if err != nil {
		return "", "", fmt.Errorf("read password: %w", err)
	}
	return user, string(secret), nil
}
