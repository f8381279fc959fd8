package route

import (
	"encoding/base64"
	"fmt"

	"github.com/alexbrainman/sspi"
	"github.com/alexbrainman/sspi/negotiate"
)

// negotiateScheme speaks Negotiate (RFC 4559) by SSPI, as the person who is
// signed in to Windows.
type negotiateScheme struct {
	spn        string
	credential *sspi.Credentials
	context    *negotiate.ClientContext
}

func newNegotiate(proxyHost, _, _ string) scheme {
	c, err := negotiate.AcquireCurrentUserCredentials()
	if err != nil {
		return nil
	}
	return &negotiateScheme{spn: "HTTP/" + proxyHost, credential: c}
}

func (n *negotiateScheme) next(challenge, _ string) (string, error) {
	var out []byte
	var err error
	if n.context == nil || challenge == "" {
		n.context, out, err = negotiate.NewClientContext(n.credential, n.spn)
	} else {
		var in []byte
		if in, err = base64.StdEncoding.DecodeString(challenge); err == nil {
			_, out, err = n.context.Update(in)
		}
	}
	if err != nil {
		return "", fmt.Errorf("sign in to the proxy with Windows: %w", err)
	}
	return "Negotiate " + base64.StdEncoding.EncodeToString(out), nil
}

func (n *negotiateScheme) close() {
	if n.context != nil {
		_ = n.context.Release()
	}
	_ = n.credential.Release()
}
