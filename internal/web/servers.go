package web

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"causeway/internal/base/pki"
	"causeway/internal/store"
	"causeway/protocol"

	"github.com/danielgtaylor/huma/v2"
)

// defaultEnrolment is how long an enrolment token works.
const defaultEnrolment = time.Hour

type (
	enrollInput       struct{ Body protocol.EnrollRequest }
	certificateOutput struct{ Body protocol.Certificate }
	serversOutput     struct{ Body protocol.ServerList }
	revokeInput       struct{ Body protocol.Revoke }
	zonesOutput       struct{ Body protocol.ZoneList }
	addZoneInput      struct{ Body protocol.AddZone }
	zoneOutput        struct{ Body protocol.ZoneEntry }
	zoneInput         struct {
		ID string `path:"id" maxLength:"63"`
	}
	enrolmentInput  struct{ Body protocol.CreateEnrolment }
	enrolmentOutput struct{ Body protocol.Enrolment }
	rotateInput     struct{ Body protocol.RotateKeys }
	rotateOutput    struct{ Body protocol.SigningKeyList }
)

func (s *Server) registerServers(api huma.API) {
	key := []map[string][]string{{"apiKey": {}}}
	tags := []string{"Zones and servers"}
	handle(s, api, huma.Operation{
		OperationID: "enroll", Method: http.MethodPost, Path: protocol.PathEnroll, Tags: tags,
		Summary:     "Become part of the system",
		Description: "A server's first certificate, for the secret of an enrolment token, which works once. Servers call this by themselves.",
	}, s.enroll)
	handle(s, api, huma.Operation{
		OperationID: "list-servers", Method: http.MethodGet, Path: protocol.PathServers, Tags: tags, Security: key, Summary: "List the servers that have identities",
	}, withKey(s, func(ctx context.Context, _ *struct{}) (*serversOutput, error) {
		list, err := ListServers(ctx, s.store)
		return &serversOutput{list}, err
	}))
	handle(s, api, huma.Operation{
		OperationID: "revoke", Method: http.MethodPost, Path: protocol.PathRevoke, Tags: tags, Security: key,
		Summary: "Revoke a server's identity, or those of a zone", Description: "Its connections to others end within seconds.",
	}, withKey(s, func(ctx context.Context, in *revokeInput) (*struct{}, error) {
		err := RevokeServers(ctx, s.store, in.Body.Identity, time.Now())
		if err == nil {
			s.log.Info("revoked", "server", in.Body.Identity)
			signal(s.revoked)
		}
		return nil, err
	}))
	handle(s, api, huma.Operation{
		OperationID: "list-zones", Method: http.MethodGet, Path: protocol.PathZones, Tags: tags, Security: key, Summary: "List the zones that servers may enrol in",
	}, withKey(s, func(ctx context.Context, _ *struct{}) (*zonesOutput, error) {
		list, err := ListZones(ctx, s.store)
		return &zonesOutput{list}, err
	}))
	handle(s, api, huma.Operation{
		OperationID: "add-zone", Method: http.MethodPost, Path: protocol.PathZones, Tags: tags, Security: key,
		DefaultStatus: http.StatusCreated, Summary: "Add a zone",
	}, withKey(s, func(ctx context.Context, in *addZoneInput) (*zoneOutput, error) {
		z, err := AddZone(ctx, s.store, in.Body.ID, time.Now())
		return &zoneOutput{z}, err
	}))
	handle(s, api, huma.Operation{
		OperationID: "remove-zone", Method: http.MethodDelete, Path: protocol.PathZones + "/{id}", Tags: tags, Security: key,
		Summary: "Remove a zone", Description: "The identities of all its servers are revoked.",
	}, withKey(s, func(ctx context.Context, in *zoneInput) (*struct{}, error) {
		err := RemoveZone(ctx, s.store, in.ID, time.Now())
		if err == nil {
			signal(s.revoked)
		}
		return nil, err
	}))
	s.registerEnrolments(api, key, tags)
}

func (s *Server) registerEnrolments(api huma.API, key []map[string][]string, tags []string) {
	handle(s, api, huma.Operation{
		OperationID: "create-enrolment", Method: http.MethodPost, Path: protocol.PathEnrolments, Tags: tags, Security: key,
		DefaultStatus: http.StatusCreated, Summary: "Create an enrolment token", Description: "It is told in this answer and never again: only its hash is kept.",
	}, withKey(s, func(ctx context.Context, in *enrolmentInput) (*enrolmentOutput, error) {
		hubs := HubsOf(s.cfg.Hubs, visitOf(ctx).base)
		e, err := CreateEnrolment(ctx, s.store, in.Body, hubs, time.Now())
		return &enrolmentOutput{e}, err
	}))
	handle(s, api, huma.Operation{
		OperationID: "rotate-keys", Method: http.MethodPost, Path: protocol.PathRotateKeys, Tags: tags, Security: key,
		Summary:     "Sign join tokens with a new key",
		Description: "Everybody is told of the new key for a minute before it signs; what older ones have signed stays valid unless they are revoked.",
	}, withKey(s, func(ctx context.Context, in *rotateInput) (*rotateOutput, error) {
		keys, err := RotateKeys(ctx, s.store, in.Body.RevokeOld, time.Now())
		if err == nil {
			s.log.Info("signing keys rotated", "key", keys[0].ID, "revoke_old", in.Body.RevokeOld)
			signal(s.keysChanged)
		}
		return &rotateOutput{protocol.SigningKeyList{Keys: keys}}, err
	}))
}

// withKey is f for holders of an API key.
func withKey[I, O any](s *Server, f func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		if _, err := s.authenticate(ctx, time.Now()); err != nil {
			return nil, err
		}
		return f(ctx, in)
	}
}

// enroll gives a server its first certificate. Wrong secrets are counted like
// wrong API keys.
func (s *Server) enroll(ctx context.Context, in *enrollInput) (*certificateOutput, error) {
	now := time.Now()
	id := pki.Identity{Role: pki.Role(in.Body.Role), Zone: in.Body.Zone, Name: in.Body.Name}
	if !id.Valid() || id.Role == pki.RoleWeb {
		return nil, protocol.NewProblem(protocol.ProblemBadRequest, "role, zone and name do not name a server")
	}
	e, err := s.store.FindEnrolment(ctx, in.Body.Secret, now)
	unknown := errors.Is(err, store.ErrNotFound)
	if err != nil && !unknown {
		return nil, err
	}
	if !s.limits.keys.Judge(visitOf(ctx).client, unknown, now) {
		return nil, tooMany(s.limits.keys.Retry())
	}
	if unknown {
		return nil, protocol.NewProblem(protocol.ProblemEnrolment, "the token is unknown, used or too old")
	}
	if e.Role != string(id.Role) || e.Zone != id.Zone || e.Name != "" && e.Name != id.Name {
		return nil, protocol.NewProblem(protocol.ProblemEnrolment, "the token is for "+describe(e)+", not for "+id.String())
	}
	answer, err := s.admitServer(ctx, in.Body, e, id, now)
	return &certificateOutput{answer}, err
}

// describe tells whom a token is for.
func describe(e store.Enrolment) string {
	return pki.Identity{Role: pki.Role(e.Role), Zone: e.Zone, Name: cmp.Or(e.Name, "*")}.String()
}

// admitServer certifies a server whose token is right, and uses the token up.
// A token for this very name takes the place of a server of that name, whose
// older certificates then count no longer; that is not done before it is clear
// that the new one gets its own.
func (s *Server) admitServer(ctx context.Context, q protocol.EnrollRequest, e store.Enrolment, id pki.Identity, now time.Time) (protocol.Certificate, error) {
	replace := e.Name != ""
	there, err := s.store.Server(ctx, id.String())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return protocol.Certificate{}, err
	}
	good := err == nil && there.RevokedAt == nil && there.ExpiresAt.After(now)
	if good && !replace {
		return protocol.Certificate{}, protocol.NewProblem(protocol.ProblemEnrolled, "")
	}
	if _, err := pki.RequestedKey(q.CSR); err != nil {
		return protocol.Certificate{}, protocol.Wrap(protocol.ProblemBadRequest, err)
	}
	err = s.store.UseEnrolment(ctx, q.Secret, now)
	if err == nil && good {
		_, err = s.store.RevokeServers(ctx, id.String(), "", now)
		signal(s.revoked)
	}
	var answer protocol.Certificate
	var expires time.Time
	if err == nil {
		answer, expires, err = s.issue(ctx, q.CSR, id, now)
	}
	if err == nil {
		err = s.store.EnrolServer(ctx, store.EnrolledServer{Identity: id.String(), Zone: id.Zone, EnrolledAt: now, ExpiresAt: expires}, replace)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return protocol.Certificate{}, protocol.NewProblem(protocol.ProblemEnrolment, "the token is used")
	case errors.Is(err, store.ErrTaken):
		return protocol.Certificate{}, protocol.NewProblem(protocol.ProblemEnrolled, "")
	case err != nil:
		return protocol.Certificate{}, err
	}
	s.log.Info("server enrolled", "server", id.String(), "expires", expires)
	return answer, nil
}

// HubsOf is where servers reach the web nodes' bus: as configured, else by
// the address of the site.
func HubsOf(configured []string, site string) []string {
	if len(configured) > 0 {
		return configured
	}
	u, err := url.Parse(site)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" {
		return nil
	}
	return []string{net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))}
}

// CreateEnrolment makes an enrolment token. Like the functions below it needs
// no server: whoever holds the database may use them.
func CreateEnrolment(ctx context.Context, keep *store.Store, c protocol.CreateEnrolment, hubs []string, now time.Time) (protocol.Enrolment, error) {
	id := pki.Identity{Role: pki.Role(c.Role), Zone: c.Zone, Name: cmp.Or(c.Name, "any")}
	if !id.Valid() || id.Role == pki.RoleWeb {
		return protocol.Enrolment{}, protocol.NewProblem(protocol.ProblemBadRequest, "role, zone and name do not name a server; controllers and routers have a zone, tunnels have none")
	}
	if len(hubs) == 0 {
		return protocol.Enrolment{}, protocol.NewProblem(protocol.ProblemBadRequest, "it is not known where servers reach the web servers; set web.hubs or web.public_url")
	}
	if c.Zone != "" {
		if err := needZone(ctx, keep, c.Zone); err != nil {
			return protocol.Enrolment{}, err
		}
	}
	issuer, err := Authority(ctx, keep)
	if err != nil {
		return protocol.Enrolment{}, err
	}
	life := defaultEnrolment
	if c.TTLSeconds > 0 {
		life = time.Duration(c.TTLSeconds) * time.Second
	}
	ticket := pki.Ticket{Hubs: hubs, Pin: issuer.Pin(), Secret: newSecret("")}
	e := protocol.Enrolment{Token: ticket.String(), Role: c.Role, Zone: c.Zone, Name: c.Name, ExpiresAt: now.Add(life).UTC().Truncate(time.Second)}
	kept := store.Enrolment{Role: c.Role, Zone: c.Zone, Name: c.Name, ExpiresAt: e.ExpiresAt}
	return e, keep.CreateEnrolment(ctx, kept, ticket.Secret, now)
}

func needZone(ctx context.Context, keep *store.Store, zone string) error {
	zones, err := keep.Zones(ctx)
	if err != nil {
		return err
	}
	for _, z := range zones {
		if z.ID == zone {
			return nil
		}
	}
	return protocol.NewProblem(protocol.ProblemNotFound, "there is no zone "+zone+"; add it with 'causeway zone add "+zone+"'")
}

// AddZone adds a zone; one that is there already is left as it is.
func AddZone(ctx context.Context, keep *store.Store, id string, now time.Time) (protocol.ZoneEntry, error) {
	if !protocol.ValidID(id) {
		return protocol.ZoneEntry{}, protocol.NewProblem(protocol.ProblemBadRequest, "id: use lower-case letters, digits and hyphens")
	}
	z := store.Zone{ID: id, CreatedAt: now.UTC().Truncate(time.Microsecond)}
	err := keep.AddZone(ctx, z)
	if errors.Is(err, store.ErrTaken) {
		err = nil
	}
	return protocol.ZoneEntry{ID: z.ID, CreatedAt: z.CreatedAt}, err
}

// RemoveZone removes a zone and revokes the identities of its servers. Done
// again after it has failed half-way it does the rest.
func RemoveZone(ctx context.Context, keep *store.Store, id string, now time.Time) error {
	err := keep.DeleteZone(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = needServers(ctx, keep, id)
	}
	if err != nil {
		return err
	}
	_, err = keep.RevokeServers(ctx, "zone/"+id, id, now)
	return err
}

// needServers finds out whether servers are left of a zone that is not there.
func needServers(ctx context.Context, keep *store.Store, zone string) error {
	servers, err := keep.Servers(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(servers, func(e store.EnrolledServer) bool { return e.Zone == zone && e.RevokedAt == nil }) {
		return nil
	}
	return protocol.NewProblem(protocol.ProblemNotFound, "there is no zone "+zone)
}

// ListZones lists the zones.
func ListZones(ctx context.Context, keep *store.Store) (protocol.ZoneList, error) {
	zones, err := keep.Zones(ctx)
	list := protocol.ZoneList{Zones: []protocol.ZoneEntry{}}
	for _, z := range zones {
		list.Zones = append(list.Zones, protocol.ZoneEntry{ID: z.ID, CreatedAt: z.CreatedAt})
	}
	return list, err
}

// ListServers lists the servers that have identities.
func ListServers(ctx context.Context, keep *store.Store) (protocol.ServerList, error) {
	servers, err := keep.Servers(ctx)
	list := protocol.ServerList{Servers: []protocol.EnrolledServer{}}
	for _, e := range servers {
		list.Servers = append(list.Servers, protocol.EnrolledServer{
			Identity: e.Identity, EnrolledAt: e.EnrolledAt, RenewedAt: e.RenewedAt, ExpiresAt: e.ExpiresAt, RevokedAt: e.RevokedAt,
		})
	}
	return list, err
}

// RevokeServers revokes a server's identity, or with zone/Z those of a zone's
// servers.
func RevokeServers(ctx context.Context, keep *store.Store, identity string, now time.Time) error {
	zone, whole := strings.CutPrefix(identity, "zone/")
	if whole = whole && protocol.ValidID(zone); !whole {
		zone = ""
		if _, err := pki.ParseIdentity(identity); err != nil {
			return protocol.NewProblem(protocol.ProblemBadRequest, err.Error())
		}
	}
	n, err := keep.RevokeServers(ctx, identity, zone, now)
	if err == nil && n == 0 && !whole {
		err = protocol.NewProblem(protocol.ProblemNotFound, "there is no server "+identity)
	}
	return err
}
