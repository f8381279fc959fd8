package protocol

import "time"

// Servers come to their identities by enrolment: with a token that works once
// and for a short time a server has its key certified by web, and renews the
// certificate over the bus before it ends. What a server may say and hear on
// the bus follows from its identity: zone/Z/controller/C, zone/Z/mmr/M,
// tunnel/T or web/W.
//
//	web.renew    RenewRequest → Certificate   any server → any web (queue group)
//	revoked      RevocationSet                web, every 10 s, on change and on revoked.ask
//	revoked.ask  —                            asks for the revocations
const (
	SubjectRenew      = "web.renew"
	SubjectRevoked    = "revoked"
	SubjectRevokedAsk = "revoked.ask"
)

// Paths of the API for zones and servers. All but PathEnroll take an API key.
const (
	PathEnroll     = "/api/v1/servers/enroll"      // POST EnrollRequest → Certificate
	PathServers    = "/api/v1/servers"             // GET → ServerList
	PathRevoke     = "/api/v1/servers/revoke"      // POST Revoke
	PathZones      = "/api/v1/zones"               // GET → ZoneList, POST AddZone → ZoneEntry; DELETE PathZones/{id}
	PathEnrolments = "/api/v1/enrolments"          // POST CreateEnrolment → Enrolment
	PathRotateKeys = "/api/v1/signing-keys/rotate" // POST RotateKeys → SigningKeyList
)

// ALPN names of the bus on a server's TLS port (RFC 7301).
const (
	ALPNBus   = "causeway-bus"       // a router or tunnel
	ALPNLeaf  = "causeway-bus-leaf"  // a zone's controller, at a hub
	ALPNRoute = "causeway-bus-route" // another server of the same cluster
)

// EnrollRequest asks for a server's first certificate.
type EnrollRequest struct {
	Secret string `json:"secret" maxLength:"128"` // of the enrolment token
	Role   string `json:"role" enum:"controller,mmr,tunnel"`
	Zone   string `json:"zone,omitempty" maxLength:"63"` // "" for a tunnel
	Name   string `json:"name" maxLength:"63"`
	CSR    []byte `json:"csr" maxLength:"8192"` // PKCS #10, DER
}

// Certificate is a server's certificate, and the authority that gave it, DER.
type Certificate struct {
	Certificate []byte `json:"certificate"`
	Authority   []byte `json:"authority"`
}

// RenewRequest asks for a new certificate, for another key.
type RenewRequest struct {
	Certificate []byte `json:"certificate"` // the one that is still valid, DER
	CSR         []byte `json:"csr"`         // PKCS #10, DER
	// Signature of CSR by the key of Certificate: ECDSA, SHA-256, ASN.1.
	Signature []byte `json:"signature"`
}

// Revocation takes from a server (or, with zone/Z, from all of a zone) the
// certificates that it got before a time.
type Revocation struct {
	Identity string    `json:"identity"`
	Before   time.Time `json:"before"`
}

// RevocationSet holds all revocations of certificates that could still be
// valid.
type RevocationSet struct {
	Revocations []Revocation `json:"revocations"`
}

// AddZone is the body of POST PathZones.
type AddZone struct {
	ID string `json:"id" maxLength:"63"`
}

// ZoneEntry is a zone that servers may enrol in.
type ZoneEntry struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
}

// ZoneList is the answer of GET PathZones.
type ZoneList struct {
	Zones []ZoneEntry `json:"zones"`
}

// CreateEnrolment is the body of POST PathEnrolments.
type CreateEnrolment struct {
	Role string `json:"role" enum:"controller,mmr,tunnel"`
	Zone string `json:"zone,omitempty" maxLength:"63"`
	// Name restricts the token to one server, which may be enrolled already;
	// with "" it is for any that is not.
	Name string `json:"name,omitempty" maxLength:"63"`
	// TTLSeconds is how long the token works; 0 is an hour.
	TTLSeconds int `json:"ttl_seconds,omitempty" minimum:"0" maximum:"604800"`
}

// Enrolment is an enrolment token, told once.
type Enrolment struct {
	Token     string    `json:"token"`
	Role      string    `json:"role"`
	Zone      string    `json:"zone,omitempty"`
	Name      string    `json:"name,omitempty"`
	ExpiresAt time.Time `json:"expires_at"`
}

// EnrolledServer is a server with an identity.
type EnrolledServer struct {
	Identity   string     `json:"identity"`
	EnrolledAt time.Time  `json:"enrolled_at"`
	RenewedAt  time.Time  `json:"renewed_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
}

// ServerList is the answer of GET PathServers.
type ServerList struct {
	Servers []EnrolledServer `json:"servers"`
}

// Revoke is the body of POST PathRevoke: an identity, or zone/Z for all
// servers of a zone.
type Revoke struct {
	Identity string `json:"identity" maxLength:"160"`
}

// RotateKeys is the body of POST PathRotateKeys.
type RotateKeys struct {
	// RevokeOld makes every join token that was signed before invalid at once,
	// for when a key has become known to others.
	RevokeOld bool `json:"revoke_old,omitempty"`
}

// SigningKeyInfo is a key that signs or verifies join tokens.
type SigningKeyInfo struct {
	ID        string     `json:"id"`
	State     string     `json:"state" enum:"next,signing,verifying,retired"`
	CreatedAt time.Time  `json:"created_at"`
	RetiredAt *time.Time `json:"retired_at,omitempty"`
}

// SigningKeyList is the answer of POST PathRotateKeys, newest first.
type SigningKeyList struct {
	Keys []SigningKeyInfo `json:"keys"`
}
