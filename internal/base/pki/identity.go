package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ServerName is the name that servers ask for when they speak to each other
// (RFC 6066 §3): whoever serves it shows its identity, not the certificate
// that people see.
const ServerName = "causeway.internal"

// Role is what a server is.
type Role string

// The roles of servers.
const (
	RoleWeb        Role = "web"
	RoleController Role = "controller"
	RoleMMR        Role = "mmr"
	RoleTunnel     Role = "tunnel"
)

// inZone reports whether servers of the role belong to a zone.
func (r Role) inZone() bool { return r == RoleController || r == RoleMMR }

// Identity names one server. Zone is "" for web nodes and tunnels.
type Identity struct {
	Role       Role
	Zone, Name string
}

// String is the identity's path: zone/Z/controller/C, zone/Z/mmr/M, tunnel/T
// or web/W.
func (i Identity) String() string {
	if i.Role.inZone() {
		return "zone/" + i.Zone + "/" + string(i.Role) + "/" + i.Name
	}
	return string(i.Role) + "/" + i.Name
}

// URI is the identity as certificates hold it: causeway://PATH (RFC 5280
// §4.2.1.6).
func (i Identity) URI() *url.URL {
	host, path, _ := strings.Cut(i.String(), "/")
	return &url.URL{Scheme: "causeway", Host: host, Path: "/" + path}
}

// Valid reports whether the identity is complete.
func (i Identity) Valid() bool {
	switch i.Role {
	case RoleController, RoleMMR:
		return validName(i.Zone) && validName(i.Name)
	case RoleWeb, RoleTunnel:
		return i.Zone == "" && validName(i.Name)
	}
	return false
}

// ParseIdentity reads what String writes.
func ParseIdentity(s string) (Identity, error) {
	parts := strings.Split(s, "/")
	var i Identity
	switch {
	case len(parts) == 4 && parts[0] == "zone":
		i = Identity{Role: Role(parts[2]), Zone: parts[1], Name: parts[3]}
	case len(parts) == 2:
		i = Identity{Role: Role(parts[0]), Name: parts[1]}
	}
	if !i.Valid() {
		return Identity{}, fmt.Errorf("%q is not a server; write zone/ZONE/controller/NAME, zone/ZONE/mmr/NAME or tunnel/NAME", s)
	}
	return i, nil
}

// IdentityOf is whose certificate this is.
func IdentityOf(cert *x509.Certificate) (Identity, error) {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != "causeway" {
		return Identity{}, errors.New("the certificate is not that of one of the system's servers")
	}
	return ParseIdentity(cert.URIs[0].Host + cert.URIs[0].Path)
}

// validName is protocol.ValidID, which this package is below.
func validName(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
