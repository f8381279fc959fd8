package protocol

import "github.com/golang-jwt/jwt/v5"

// JoinAudience is the audience of join tokens.
const JoinAudience = "causeway/join"

// JoinClaims are the claims of a join token: an EdDSA JWT (RFC 8037) that web
// signs and that zone controllers, routers and tunnels verify offline with
// the keys of KeySet. The subject is the participant id.
type JoinClaims struct {
	jwt.RegisteredClaims
	Meeting string `json:"mtg"`
	Number  string `json:"num"`
	Topic   string `json:"top,omitempty"`
	Name    string `json:"nam"`
	Role    Role   `json:"rol"`
	// Kind is KindWebinar or "". An Attendee may be one only there.
	Kind MeetingKind `json:"knd,omitempty"`
}
