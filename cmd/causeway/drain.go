package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"causeway/protocol"
)

// drainCmd is `causeway drain`.
type drainCmd struct {
	apiFlags
	Name     string        `arg:"" name:"server" help:"The server as 'causeway status' calls it: mmr/ZONE/ID, controller/ZONE/ID or tunnel/ID."`
	Deadline time.Duration `help:"How long those who are there may stay (default: what the server is configured with)." placeholder:"10m"`
	Cancel   bool          `help:"Take the server back into service."`
	NoWait   bool          `help:"Do not wait until the server has ended."`
}

// Help is the longer help of `causeway drain --help`.
func (*drainCmd) Help() string {
	return `A server that drains takes nobody new. A router moves its participants to other
routers, a few at a time, without their noticing; at the deadline those who are
left are sent away and come back elsewhere by themselves. Then the process ends
with status 0. The same happens on SIGTERM.

Examples:

  causeway drain mmr/taipei/r1
  causeway drain mmr/taipei/r1 --deadline 10m
  causeway drain mmr/taipei/r1 --cancel`
}

// Run asks the server to drain, and shows how far it is until it has gone.
func (c *drainCmd) Run(ctx context.Context, to console) error {
	d, err := parseServer(c.Name)
	if err != nil {
		return err
	}
	if c.Deadline < 0 || c.Deadline.Milliseconds() > protocol.MaxDrainMS {
		return fmt.Errorf("--deadline %v is out of range; use up to 24h", c.Deadline)
	}
	d.DeadlineMS, d.Cancel = c.Deadline.Milliseconds(), c.Cancel
	var state protocol.DrainState
	if err := c.call(ctx, to, http.MethodPost, protocol.PathDrain, d, &state); err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(to.out, state); err != nil {
			return err
		}
	}
	switch {
	case c.Cancel:
		return c.say(to, "%s is in service.\n", c.Name)
	case c.NoWait:
		return c.say(to, "%s is draining, %d left, at most %v.\n", c.Name, state.Left, time.Duration(state.DeadlineMS)*time.Millisecond)
	}
	return c.wait(ctx, to, d)
}

// say prints a sentence, unless JSON was asked for.
func (c *drainCmd) say(to console, format string, args ...any) error {
	if c.JSON {
		return nil
	}
	if _, err := fmt.Fprintf(to.out, format, args...); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// wait follows the drain in the status until the server is gone from it.
func (c *drainCmd) wait(ctx context.Context, to console, d protocol.DrainServer) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	said := -1
	for {
		var s protocol.SystemStatus
		if err := c.call(ctx, to, http.MethodGet, protocol.PathStatus, nil, &s); err != nil {
			return fmt.Errorf("the drain goes on, but cannot be followed: %w", err)
		}
		o := findServer(s, d)
		switch {
		case o == nil:
			return c.say(to, "%s has ended.\n", c.Name)
		case o.Health == protocol.Silent:
			return fmt.Errorf("%s has fallen silent before it said that it ends; look at its log", c.Name)
		case o.Drain == nil && o.Health == protocol.Healthy && said >= 0:
			return fmt.Errorf("%s is back in service: somebody has cancelled the drain", c.Name)
		case o.Drain != nil && o.Drain.Left != said:
			said = o.Drain.Left
			if err := c.say(to, "%s: %d left, at most %v\n", c.Name, said, (time.Duration(o.Drain.DeadlineMS) * time.Millisecond).Round(time.Second)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return c.say(to, "%s goes on draining.\n", c.Name)
		case <-tick.C:
		}
	}
}

// findServer finds a server in the status, nil if it is not there.
func findServer(s protocol.SystemStatus, d protocol.DrainServer) *protocol.ServerOverview {
	all := s.Tunnels
	for _, z := range s.Zones {
		all = append(append(all, z.Controllers...), z.MMRs...)
	}
	for i, o := range all {
		if o.Kind == d.Kind && o.Zone == d.Zone && o.ID == d.ID {
			return &all[i]
		}
	}
	return nil
}

// parseServer reads the name of a server, kind/zone/id or tunnel/id.
func parseServer(name string) (protocol.DrainServer, error) {
	bad := fmt.Errorf("%q names no server that can drain; write mmr/ZONE/ID, controller/ZONE/ID or tunnel/ID, as 'causeway status' does", name)
	parts := strings.Split(name, "/")
	d := protocol.DrainServer{Kind: protocol.ServerKind(parts[0]), ID: parts[len(parts)-1]}
	switch d.Kind {
	case protocol.KindMMR, protocol.KindController:
		if len(parts) != 3 || !protocol.ValidID(parts[1]) {
			return d, bad
		}
		d.Zone = parts[1]
	case protocol.KindTunnel:
		if len(parts) != 2 {
			return d, bad
		}
	default:
		return d, bad
	}
	if !protocol.ValidID(d.ID) {
		return d, bad
	}
	return d, nil
}
