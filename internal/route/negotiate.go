//go:build !windows

package route

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/spnego"
)

// negotiateScheme speaks Negotiate (RFC 4559) with Kerberos: the ticket cache
// of the person who is signed in, else user and password.
type negotiateScheme struct {
	spn            string
	user, password string
	krb            *client.Client
}

// newNegotiate returns nil when the machine has no Kerberos configuration.
func newNegotiate(proxyHost, user, password string) scheme {
	if _, err := os.Stat(krb5Config()); err != nil {
		return nil
	}
	n := &negotiateScheme{spn: "HTTP/" + proxyHost, user: user, password: password}
	if err := n.sign(); err != nil {
		return nil
	}
	return n
}

func krb5Config() string {
	if f := os.Getenv("KRB5_CONFIG"); f != "" {
		return f
	}
	return "/etc/krb5.conf"
}

// sign gets a ticket-granting ticket: from the cache, else by password.
func (n *negotiateScheme) sign() error {
	cfg, err := config.Load(krb5Config())
	if err != nil {
		return fmt.Errorf("read the Kerberos configuration: %w", err)
	}
	cacheName := strings.TrimPrefix(os.Getenv("KRB5CCNAME"), "FILE:")
	if cacheName == "" {
		cacheName = fmt.Sprintf("/tmp/krb5cc_%d", os.Getuid())
	}
	if cache, err := credentials.LoadCCache(cacheName); err == nil {
		if n.krb, err = client.NewFromCCache(cache, cfg, client.DisablePAFXFAST(true)); err == nil {
			return nil
		}
	}
	if n.user == "" {
		return fmt.Errorf("no Kerberos ticket in %s", cacheName)
	}
	name, realm, ok := strings.Cut(n.user, "@")
	if !ok {
		realm = cfg.LibDefaults.DefaultRealm
	}
	n.krb = client.NewWithPassword(name, realm, n.password, cfg, client.DisablePAFXFAST(true))
	if err := n.krb.Login(); err != nil {
		return fmt.Errorf("sign in with Kerberos: %w", err)
	}
	return nil
}

func (n *negotiateScheme) next(string, string) (string, error) {
	s := spnego.SPNEGOClient(n.krb, n.spn)
	if err := s.AcquireCred(); err != nil {
		return "", fmt.Errorf("a Kerberos ticket: %w", err)
	}
	t, err := s.InitSecContext()
	if err != nil {
		return "", fmt.Errorf("a Kerberos ticket for %s: %w", n.spn, err)
	}
	b, err := t.Marshal()
	if err != nil {
		return "", fmt.Errorf("a Negotiate token: %w", err)
	}
	return "Negotiate " + base64.StdEncoding.EncodeToString(b), nil
}

func (n *negotiateScheme) close() { n.krb.Destroy() }
