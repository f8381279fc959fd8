//go:build linux

package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A page is a script that drives Chromium (webclient/e2e/lab-….mjs) and tells
// what it sees, a T, in lines of JSON.
type page[T interface{ trouble() Trouble }] struct {
	t     *testing.T
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// Trouble is what a page tells when it could not go on.
type Trouble struct {
	Error string
	Text  string   // on the page
	Said  []string // on the console
}

func (t Trouble) trouble() Trouble { return t }

// openPage runs a script in a host. It ends with the test.
func openPage[T interface{ trouble() Trouble }](d *Deployment, t *testing.T, host string, environ []string, script string, args ...string) *page[T] {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := d.command(ctx, host, append([]string{"node", "../webclient/e2e/" + script}, args...)...)
	cmd.Env = append(append(os.Environ(), "HOME="+d.trusting()), environ...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	d.must(err)
	stdout, err := cmd.StdoutPipe()
	d.must(err)
	d.must(cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close() // the page leaves
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
		cancel()
	})
	p := &page[T]{t: t, stdin: stdin, lines: bufio.NewScanner(stdout)}
	p.lines.Buffer(nil, 1<<24)
	return p
}

// trusting makes a home folder whose browser trusts the deployment's own CA.
func (d *Deployment) trusting() string {
	d.t.Helper()
	home := d.t.TempDir()
	store := filepath.Join(home, ".pki", "nssdb")
	d.must(os.MkdirAll(store, 0o700))
	d.in("client", "certutil", "-d", "sql:"+store, "-N", "--empty-password")
	d.in("client", "certutil", "-d", "sql:"+store, "-A", "-t", "C,,", "-n", "causeway", "-i", d.ca)
	return home
}

// next waits for what the page tells next.
func (p *page[T]) next() (seen T) {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatalf("the page ended: %v", p.lines.Err())
	}
	if err := json.Unmarshal(p.lines.Bytes(), &seen); err != nil {
		p.t.Fatalf("%v: %s", err, p.lines.Text())
	}
	if t := seen.trouble(); t.Error != "" {
		p.t.Fatalf("%s\nthe page says: %s\nthe console: %s", t.Error, t.Text, strings.Join(t.Said, "\n"))
	}
	return seen
}

// ask has the page tell once more, of what it is asked for.
func (p *page[T]) ask(what string) T {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, what); err != nil {
		p.t.Fatal(err)
	}
	return p.next()
}

// look is ask for nothing in particular.
func (p *page[T]) look() T { p.t.Helper(); return p.ask("") }
