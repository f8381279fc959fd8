package token_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"causeway/internal/token"
	"causeway/protocol"

	"github.com/golang-jwt/jwt/v5"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func claims() protocol.JoinClaims {
	return protocol.JoinClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject:   "p-7",
			IssuedAt:  jwt.NewNumericDate(noon),
			ExpiresAt: jwt.NewNumericDate(noon.Add(2 * time.Hour)),
		},
		Meeting: "m-1", Number: "123456789", Topic: "Tea", Name: "Ada", Role: protocol.Host,
	}
}

func seed(b byte) []byte { return bytes.Repeat([]byte{b}, ed25519.SeedSize) }

func pair(t testing.TB) (*token.Signer, *token.Verifier) {
	t.Helper()
	s, err := token.NewSigner(seed(1))
	if err != nil {
		t.Fatal(err)
	}
	v := token.NewVerifier()
	v.Learn(s.Public())
	return s, v
}

func TestRoundTrip(t *testing.T) {
	s, v := pair(t)
	raw, err := s.Sign(claims())
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(raw, noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	want := claims()
	if got.Subject != want.Subject || got.Meeting != want.Meeting || got.Number != want.Number ||
		got.Topic != want.Topic || got.Name != want.Name || got.Role != want.Role {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAttendeeOfWebinar(t *testing.T) {
	s, v := pair(t)
	c := claims()
	c.Role, c.Kind = protocol.Attendee, protocol.KindWebinar
	raw, err := s.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Verify(raw, noon); err != nil || got.Role != protocol.Attendee || got.Kind != protocol.KindWebinar {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTimes(t *testing.T) {
	s, v := pair(t)
	raw, _ := s.Sign(claims())
	expiry := 2 * time.Hour
	for _, c := range []struct {
		name  string
		at    time.Duration
		grace time.Duration
		want  protocol.Code
	}{
		{"at once", 0, 0, ""},
		{"verifier's clock 30 s behind", -30 * time.Second, 0, ""},
		{"issued in the future", -31 * time.Second, 0, protocol.ProblemTokenInvalid},
		{"at expiry", expiry, 0, ""},
		{"within the leeway", expiry + 30*time.Second, 0, ""},
		{"expired", expiry + 31*time.Second, 0, protocol.ProblemTokenExpired},
		{"within the grace", expiry + time.Hour, time.Hour, ""},
		{"beyond the grace", expiry + time.Hour + 31*time.Second, time.Hour, protocol.ProblemTokenExpired},
		{"grace does not help the future", -31 * time.Second, time.Hour, protocol.ProblemTokenInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := v.VerifyExpired(raw, noon.Add(c.at), c.grace)
			wantCode(t, err, c.want)
		})
	}
}

func wantCode(t *testing.T, err error, want protocol.Code) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("error %v, want none", err)
		}
		return
	}
	var p *protocol.Problem
	if !errors.As(err, &p) || p.Code != want {
		t.Errorf("error %v, want problem %s", err, want)
	}
}

// sign makes a token without any of Signer's checks.
func sign(t *testing.T, m jwt.SigningMethod, key any, header map[string]any, c jwt.Claims) string {
	t.Helper()
	tok := jwt.NewWithClaims(m, c)
	for k, v := range header {
		tok.Header[k] = v
	}
	raw, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRefused(t *testing.T) {
	s, v := pair(t)
	ours := ed25519.NewKeyFromSeed(seed(1))
	theirs := ed25519.NewKeyFromSeed(seed(9))
	kid := token.KeyID(ours.Public().(ed25519.PublicKey))
	full := claims()
	full.Issuer, full.Audience = token.Issuer, jwt.ClaimStrings{protocol.JoinAudience}
	change := func(f func(*protocol.JoinClaims)) protocol.JoinClaims {
		c := full
		f(&c)
		return c
	}
	eddsa := func(c protocol.JoinClaims) string {
		return sign(t, jwt.SigningMethodEdDSA, ours, map[string]any{"kid": kid}, c)
	}
	good, _ := s.Sign(claims())
	part := strings.Split(good, ".")
	for name, raw := range map[string]string{
		"empty":                 "",
		"garbage":               "garbage",
		"dots":                  "..",
		"binary":                "\x00\xff.\x01.\x02",
		"huge":                  strings.Repeat("a", 1<<20),
		"no signature":          part[0] + "." + part[1] + ".",
		"cut":                   good[:len(good)-2],
		"fourth part":           good + ".x",
		"padded":                good + "=",
		"payload exchanged":     part[0] + "." + strings.Split(eddsa(change(func(c *protocol.JoinClaims) { c.Role = protocol.Guest })), ".")[1] + "." + part[2],
		"alg none":              sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, map[string]any{"kid": kid}, full),
		"HS256, public key":     sign(t, jwt.SigningMethodHS256, []byte(ours.Public().(ed25519.PublicKey)), map[string]any{"kid": kid}, full),
		"forged, our kid":       sign(t, jwt.SigningMethodEdDSA, theirs, map[string]any{"kid": kid}, full),
		"forged, their kid":     sign(t, jwt.SigningMethodEdDSA, theirs, map[string]any{"kid": token.KeyID(theirs.Public().(ed25519.PublicKey))}, full),
		"no kid":                sign(t, jwt.SigningMethodEdDSA, ours, nil, full),
		"kid not a string":      sign(t, jwt.SigningMethodEdDSA, ours, map[string]any{"kid": 7}, full),
		"critical extension":    sign(t, jwt.SigningMethodEdDSA, ours, map[string]any{"kid": kid, "crit": []string{"x"}}, full),
		"audience":              eddsa(change(func(c *protocol.JoinClaims) { c.Audience = jwt.ClaimStrings{"other"} })),
		"no audience":           eddsa(change(func(c *protocol.JoinClaims) { c.Audience = nil })),
		"issuer":                eddsa(change(func(c *protocol.JoinClaims) { c.Issuer = "other" })),
		"attendee of a meeting": eddsa(change(func(c *protocol.JoinClaims) { c.Role = protocol.Attendee })),
		"unknown kind":          eddsa(change(func(c *protocol.JoinClaims) { c.Kind = "party" })),
		"no subject":            eddsa(change(func(c *protocol.JoinClaims) { c.Subject = "" })),
		"no meeting":            eddsa(change(func(c *protocol.JoinClaims) { c.Meeting = "" })),
		"meeting wildcard":      eddsa(change(func(c *protocol.JoinClaims) { c.Meeting = "*" })),
		"role":                  eddsa(change(func(c *protocol.JoinClaims) { c.Role = "root" })),
		"no expiry":             eddsa(change(func(c *protocol.JoinClaims) { c.ExpiresAt = nil })),
		"not before": eddsa(change(func(c *protocol.JoinClaims) {
			c.NotBefore = jwt.NewNumericDate(noon.Add(time.Hour))
		})),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := v.Verify(raw, noon)
			wantCode(t, err, protocol.ProblemTokenInvalid)
			if got.Subject != "" {
				t.Error("claims of a refused token were handed out")
			}
		})
	}
	wantCode(t, func() error { _, err := v.Verify(eddsa(full), noon); return err }(), "")
}

func TestUnknownKeyCanBeTold(t *testing.T) {
	s, _ := pair(t)
	raw, _ := s.Sign(claims())
	_, err := token.NewVerifier().Verify(raw, noon)
	if !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("error %v, want ErrUnknownKey in its chain", err)
	}
}

func TestRotation(t *testing.T) {
	before, _ := token.NewSigner(seed(1), seed(2))
	after, _ := token.NewSigner(seed(2), seed(1))
	v := token.NewVerifier()
	v.Learn(before.Public())
	raw, _ := after.Sign(claims())
	if _, err := v.Verify(raw, noon); err != nil {
		t.Errorf("key announced before its time: %v", err)
	}
	alone, _ := token.NewSigner(seed(3))
	v.Learn(alone.Public())
	if _, err := v.Verify(raw, noon); err != nil {
		t.Errorf("a key once learned was forgotten: %v", err)
	}
}

func TestLearnBounds(t *testing.T) {
	v := token.NewVerifier()
	v.Learn(protocol.KeySet{Keys: map[string][]byte{"short": {1, 2, 3}, "": seed(1), strings.Repeat("k", 65): seed(1)}})
	if v.Knows() {
		t.Error("learned what is no key")
	}
	s, _ := token.NewSigner(seed(1))
	v.Learn(s.Public())
	raw, _ := s.Sign(claims())
	flood := func(tag string) {
		for i := range token.MaxKeys - 1 {
			v.Learn(protocol.KeySet{Keys: map[string][]byte{fmt.Sprint(tag, i): seed(7)}})
		}
	}
	flood("a")
	v.Learn(s.Public()) // heard again: stays
	flood("b")
	if _, err := v.Verify(raw, noon); err != nil {
		t.Errorf("key repeated lately was forgotten: %v", err)
	}
	flood("c")
	if _, err := v.Verify(raw, noon); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("error %v, want the key heard longest ago forgotten", err)
	}
}

func TestNewSignerRefuses(t *testing.T) {
	if _, err := token.NewSigner(); err == nil {
		t.Error("no seed was accepted")
	}
	if _, err := token.NewSigner(seed(1), []byte("short")); err == nil {
		t.Error("short seed was accepted")
	}
	if _, err := token.NewSigner(make([][]byte, token.MaxKeys+1)...); err == nil {
		t.Error("more keys than verifiers hold were accepted")
	}
}

func TestSignRefuses(t *testing.T) {
	s, _ := pair(t)
	for name, f := range map[string]func(*protocol.JoinClaims){
		"no subject": func(c *protocol.JoinClaims) { c.Subject = "" },
		"no meeting": func(c *protocol.JoinClaims) { c.Meeting = "" },
		"no role":    func(c *protocol.JoinClaims) { c.Role = "" },
		"no expiry":  func(c *protocol.JoinClaims) { c.ExpiresAt = nil },
		"too long":   func(c *protocol.JoinClaims) { c.Topic = strings.Repeat("t", token.MaxLength) },
	} {
		t.Run(name, func(t *testing.T) {
			c := claims()
			f(&c)
			if _, err := s.Sign(c); err == nil {
				t.Error("signed")
			}
		})
	}
}

func TestNewSeed(t *testing.T) {
	a, b := token.NewSeed(), token.NewSeed()
	if len(a) != ed25519.SeedSize || bytes.Equal(a, b) {
		t.Errorf("seeds %x and %x", a, b)
	}
}

// FuzzVerify checks that nothing but what was signed is let in.
func FuzzVerify(f *testing.F) {
	s, v := pair(f)
	good, _ := s.Sign(claims())
	f.Add(good)
	f.Add("")
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, raw string) {
		_, err := v.Verify(raw, noon)
		if err == nil && raw != good {
			t.Fatalf("let in: %q", raw)
		}
		if err != nil && protocol.ProblemOf(err).Code != protocol.ProblemTokenInvalid {
			t.Fatalf("error %v is no token_invalid", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	s, v := pair(b)
	raw, _ := s.Sign(claims())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(raw, noon); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRevokedKeysStayRevoked, though one who has not heard of it tells them again.
func TestRevokedKeysStayRevoked(t *testing.T) {
	signer, err := token.NewSigner(token.NewSeed())
	if err != nil {
		t.Fatal(err)
	}
	v := token.NewVerifier()
	v.Learn(signer.Public())
	if !v.Knows() {
		t.Fatal("the key is not known")
	}
	for id := range signer.Public().Keys {
		v.Learn(protocol.KeySet{Revoked: []string{id}})
	}
	v.Learn(signer.Public())
	if v.Knows() {
		t.Error("a revoked key is believed again")
	}
}
