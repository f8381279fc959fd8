package peer

import (
	"crypto/rand"
	"errors"
	"fmt"
)

// Credentials are one side's short-term ICE credentials (RFC 8445 section 5.3).
type Credentials struct {
	Ufrag string
	Pwd   string
}

// iceChars is the ice-char production of RFC 8839 section 5.4. Its 64 members
// let six random bits choose one without bias.
const iceChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// Lengths in characters of six bits: RFC 8445 section 5.3 asks for at least
// 24 and 128 bits.
const (
	ufragLength = 8
	pwdLength   = 24
)

// NewCredentials returns fresh random credentials.
func NewCredentials() Credentials {
	return Credentials{Ufrag: randomChars(ufragLength), Pwd: randomChars(pwdLength)}
}

func randomChars(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = iceChars[b[i]&63]
	}
	return string(b)
}

var errCredentials = errors.New("peer: credentials do not have the form of RFC 8839 section 5.4")

// valid checks the lengths that RFC 8839 section 5.4 sets, so that nothing
// absurd is kept or sent for a peer.
func (c Credentials) valid() error {
	if n := len(c.Ufrag); n < 4 || n > 256 {
		return fmt.Errorf("%w: user name fragment of %d characters", errCredentials, n)
	}
	if n := len(c.Pwd); n < 22 || n > 256 {
		return fmt.Errorf("%w: password of %d characters", errCredentials, n)
	}
	return nil
}
