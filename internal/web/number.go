package web

import (
	"crypto/rand"
	"math/big"
	"strings"
	"unicode"
)

// parseNumber reads a meeting number as people write it: 9 to 11 digits, with
// spaces and hyphens anywhere.
func parseNumber(s string) (string, bool) {
	if len(s) > 64 {
		return "", false
	}
	var digits strings.Builder
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits.WriteRune(r)
		case r == ' ' || r == '-' || r == '\u00a0' || r == '\u2011': // also those that do not break
		default:
			return "", false
		}
	}
	return digits.String(), digits.Len() >= 9 && digits.Len() <= 11
}

// newNumber makes a random number of 10 digits, not beginning with 0, which
// spreadsheets drop.
func newNumber() string { return pick("123456789", 1) + pick("0123456789", 9) }

// newPasscode makes a passcode that can be read out: 10 small letters and
// digits without those that look alike, 49 bits.
func newPasscode() string { return pick("abcdefghjkmnpqrstuvwxyz23456789", 10) }

// newID makes the id of a meeting, participant or report: 125 random bits in
// what protocol.ValidID allows.
func newID() string { return pick("abcdefghijklmnopqrstuvwxyz234567", 25) }

// newSecret makes a secret of 256 bits with a prefix that tells people, and
// programs that look for leaked secrets, what it is.
func newSecret(prefix string) string { return prefix + rand.Text() + rand.Text() }

// pick chooses n of the letters, each as likely as the others.
func pick(letters string, n int) string {
	out := make([]byte, n)
	for i := range out {
		k, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			panic("web: " + err.Error()) // crypto/rand does not fail
		}
		out[i] = letters[k.Int64()]
	}
	return string(out)
}

// cleanText makes a text that people typed fit to be shown in one line and to
// be kept: no control characters, no white space around it.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}
