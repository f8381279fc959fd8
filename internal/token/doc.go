// Package token signs and verifies join tokens: the tickets, EdDSA JWTs
// (RFC 7519, RFC 8037), with which a participant is let into a meeting.
//
// Web signs them (Signer). Zone controllers and multimedia routers verify
// them offline (Verifier) with public keys that they heard on the bus
// (Follow), so that people can go on joining while web is down.
//
// The package owns no goroutine; Follow runs on its caller's. A token is at
// most MaxLength bytes long, a verifier holds at most MaxKeys keys.
package token

import "time"

const (
	// Issuer is the issuer of every join token.
	Issuer = "causeway"
	// MaxLength bounds a token, in bytes; longer ones are refused unread.
	MaxLength = 4096
	// MaxKeys bounds the keys that a verifier holds; beyond it, those not
	// heard for longest are forgotten.
	MaxKeys = 64
	// maxRevoked bounds the revoked ones that it remembers.
	maxRevoked = 256
	// Leeway is how far the clocks of signer and verifier may be apart.
	Leeway = 30 * time.Second
)
