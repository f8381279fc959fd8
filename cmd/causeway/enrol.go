package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"causeway/internal/base/logging"
	"causeway/internal/store"
	"causeway/internal/web"
	"causeway/protocol"
)

// adminFlags say which system is administered: by its API, or by the database
// of a web server's configuration.
type adminFlags struct {
	apiFlags
	Config string `help:"Work on the database of this web server's configuration, without the API; the server may be running." placeholder:"FILE" type:"path"`
}

// admin does something by the API, or by the database.
func (f *adminFlags) admin(ctx context.Context, to console, method, path string, body, answer any, direct func(*store.Store, webFile) error) error {
	if f.Config == "" {
		return f.call(ctx, to, method, path, body, answer)
	}
	file, err := loadFile(f.Config, kindWeb, defaultWebFile())
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, file.Database, logging.New(to.err, logging.Text, slog.LevelWarn))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return direct(db, file)
}

// enrolment makes an enrolment token.
func (f *adminFlags) enrolment(ctx context.Context, to console, c protocol.CreateEnrolment) (protocol.Enrolment, error) {
	var e protocol.Enrolment
	err := f.admin(ctx, to, http.MethodPost, protocol.PathEnrolments, c, &e, func(db *store.Store, file webFile) (err error) {
		e, err = web.CreateEnrolment(ctx, db, c, web.HubsOf(file.Web.Hubs, file.Web.PublicURL), time.Now())
		return err
	})
	return e, err
}

// tellEnrolment prints a token and how to use it.
func (f *adminFlags) tellEnrolment(to console, e protocol.Enrolment) error {
	if f.JSON {
		return printJSON(to.out, e)
	}
	command := e.Role
	if command == "controller" {
		command = kindZone
	}
	_, err := fmt.Fprintf(to.out, "%s\n", e.Token)
	if err == nil {
		_, err = fmt.Fprintf(to.err, "It works once, until %s:\n  causeway %s --config %s.yaml --enroll TOKEN\n",
			e.ExpiresAt.Local().Format(time.DateTime), command, command)
	}
	return err
}

type zoneAddCmd struct {
	adminFlags
	Zone string `arg:"" help:"The zone's id: lower-case letters, digits and hyphens."`
}

// Help is the longer help of `causeway zone add --help`.
func (*zoneAddCmd) Help() string {
	return `It prints an enrolment token for the zone's first controller. Make those for its
routers and further controllers with 'causeway token create'.

Examples:

  causeway zone add taipei --config web.yaml
  causeway zone add taipei --server https://meet.example.org --api-key KEY`
}

// Run adds a zone.
func (c *zoneAddCmd) Run(ctx context.Context, to console) error {
	var z protocol.ZoneEntry
	err := c.admin(ctx, to, http.MethodPost, protocol.PathZones, protocol.AddZone{ID: c.Zone}, &z, func(db *store.Store, _ webFile) (err error) {
		z, err = web.AddZone(ctx, db, c.Zone, time.Now())
		return err
	})
	if err != nil {
		return err
	}
	e, err := c.enrolment(ctx, to, protocol.CreateEnrolment{Role: "controller", Zone: c.Zone})
	if err != nil {
		return err
	}
	return c.tellEnrolment(to, e)
}

type zoneListCmd struct{ adminFlags }

// zones is what `zone list --json` prints.
type zones struct {
	Zones   []protocol.ZoneEntry      `json:"zones"`
	Servers []protocol.EnrolledServer `json:"servers"`
}

// Run lists the zones and the servers that are enrolled.
func (c *zoneListCmd) Run(ctx context.Context, to console) error {
	var list protocol.ZoneList
	err := c.admin(ctx, to, http.MethodGet, protocol.PathZones, nil, &list, func(db *store.Store, _ webFile) (err error) {
		list, err = web.ListZones(ctx, db)
		return err
	})
	if err != nil {
		return err
	}
	var servers protocol.ServerList
	err = c.admin(ctx, to, http.MethodGet, protocol.PathServers, nil, &servers, func(db *store.Store, _ webFile) (err error) {
		servers, err = web.ListServers(ctx, db)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(to.out, zones{list.Zones, servers.Servers})
	}
	table := tabwriter.NewWriter(to.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ZONE OR SERVER\tSINCE\tCERTIFICATE")
	for _, z := range list.Zones {
		_, _ = fmt.Fprintf(table, "zone/%s\t%s\t\n", z.ID, z.CreatedAt.Local().Format(time.DateTime))
	}
	for _, s := range servers.Servers {
		state := "until " + s.ExpiresAt.Local().Format(time.DateTime)
		switch {
		case s.RevokedAt != nil:
			state = "revoked " + s.RevokedAt.Local().Format(time.DateTime)
		case s.ExpiresAt.Before(time.Now()):
			state = "ended " + s.ExpiresAt.Local().Format(time.DateTime)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", s.Identity, s.EnrolledAt.Local().Format(time.DateTime), state)
	}
	return table.Flush()
}

type zoneRemoveCmd struct {
	adminFlags
	Zone string `arg:"" help:"The zone's id."`
}

// Help is the longer help of `causeway zone remove --help`.
func (*zoneRemoveCmd) Help() string {
	return `The identities of all its servers are revoked: within seconds they are cut off
from the rest of the system.`
}

// Run removes a zone.
func (c *zoneRemoveCmd) Run(ctx context.Context, to console) error {
	path := protocol.PathZones + "/" + url.PathEscape(c.Zone)
	err := c.admin(ctx, to, http.MethodDelete, path, nil, nil, func(db *store.Store, _ webFile) error {
		return web.RemoveZone(ctx, db, c.Zone, time.Now())
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to.err, "Zone %s is removed, and the identities of its servers are revoked.\n", c.Zone)
	return err
}

// tokenCmd is `causeway token`.
type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make an enrolment token, with which a server becomes part of the system."`
}

type tokenCreateCmd struct {
	adminFlags
	Role string        `help:"What the server is: controller, mmr or tunnel." enum:"controller,mmr,tunnel" required:""`
	Zone string        `help:"The zone of a controller or router." placeholder:"ZONE"`
	Name string        `help:"Only for the server of this name, in whose place it comes if there is one." placeholder:"NAME"`
	For  time.Duration `help:"How long the token works (default ${default})." default:"1h" placeholder:"DURATION"`
}

// Help is the longer help of `causeway token create --help`.
func (*tokenCreateCmd) Help() string {
	return `The token works once. The server makes a key of its own, has it certified by a
web server, keeps both in its data folder and renews the certificate by itself.

Examples:

  causeway token create --zone taipei --role mmr --config web.yaml
  causeway token create --role tunnel --server https://meet.example.org --api-key KEY`
}

// Run makes a token and prints it.
func (c *tokenCreateCmd) Run(ctx context.Context, to console) error {
	e, err := c.enrolment(ctx, to, protocol.CreateEnrolment{
		Role: c.Role, Zone: c.Zone, Name: c.Name, TTLSeconds: max(int(c.For/time.Second), 1),
	})
	if err != nil {
		return err
	}
	return c.tellEnrolment(to, e)
}

// revokeCmd is `causeway revoke`.
type revokeCmd struct {
	adminFlags
	Server string `arg:"" name:"identity" help:"zone/ZONE/controller/NAME, zone/ZONE/mmr/NAME, tunnel/NAME, or zone/ZONE for all servers of a zone."`
}

// Help is the longer help of `causeway revoke --help`.
func (*revokeCmd) Help() string {
	return `Within seconds the server is cut off from the others, and it cannot come back
without a new enrolment token. 'causeway zone list' shows who there is.

Example:

  causeway revoke zone/taipei/mmr/mmr-1 --config web.yaml`
}

// Run revokes an identity.
func (c *revokeCmd) Run(ctx context.Context, to console) error {
	identity := strings.Trim(c.Server, "/")
	err := c.admin(ctx, to, http.MethodPost, protocol.PathRevoke, protocol.Revoke{Identity: identity}, nil, func(db *store.Store, _ webFile) error {
		return web.RevokeServers(ctx, db, identity, time.Now())
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to.err, "%s is revoked.\n", identity)
	return err
}

// keysCmd is `causeway keys`.
type keysCmd struct {
	Rotate keysRotateCmd `cmd:"" help:"Sign join tokens with a new key."`
}

type keysRotateCmd struct {
	adminFlags
	RevokeOld bool `help:"Make every join token that was signed before invalid at once, for when a key has become known to others. Who is in a meeting stays."`
}

// Help is the longer help of `causeway keys rotate --help`.
func (*keysRotateCmd) Help() string {
	return `Every server is told of the new key for a minute before it signs, and of older
keys for as long as what they have signed is valid, so that nobody notices.

Example:

  causeway keys rotate --config web.yaml`
}

// Run rotates the keys.
func (c *keysRotateCmd) Run(ctx context.Context, to console) error {
	var list protocol.SigningKeyList
	body := protocol.RotateKeys{RevokeOld: c.RevokeOld}
	err := c.admin(ctx, to, http.MethodPost, protocol.PathRotateKeys, body, &list, func(db *store.Store, _ webFile) (err error) {
		list.Keys, err = web.RotateKeys(ctx, db, c.RevokeOld, time.Now())
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(to.out, list)
	}
	table := tabwriter.NewWriter(to.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "KEY\tCREATED\tSTATE")
	for _, k := range list.Keys {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", k.ID, k.CreatedAt.Local().Format(time.DateTime), k.State)
	}
	return table.Flush()
}
