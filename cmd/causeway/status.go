package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"causeway/protocol"

	"golang.org/x/term"
)

// watchEvery is how often `status --watch` looks again.
const watchEvery = time.Second

// statusCmd is `causeway status`.
type statusCmd struct {
	apiFlags
	Watch    bool `short:"w" help:"Go on showing it, anew every second, until Ctrl-C."`
	Meetings bool `short:"m" help:"List every meeting, not only the ten largest."`
	Events   bool `short:"e" help:"Show what has happened to servers instead."`
}

// Help is the longer help of `causeway status --help`.
func (*statusCmd) Help() string {
	return `Shows zones with their controllers and routers, tunnels, web servers and
meetings, as the web server that is asked hears of them. A server that has said
nothing for 3 s is shown as silent: it is dead, frozen or cut off.

Examples:

  causeway status
  causeway status --server https://meet.example.org --api-key KEY
  causeway status --watch
  causeway status --events
  causeway status --json | jq '.zones[].mmrs[] | select(.health == "silent")'

The exit status is 1 when the system cannot be asked.`
}

// Run shows the system.
func (c *statusCmd) Run(ctx context.Context, to console) error {
	show := c.picture
	if c.Events {
		show = c.events()
	}
	if !c.Watch {
		return show(ctx, to)
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		var page strings.Builder
		if err := show(ctx, console{&page, to.err}); err != nil {
			if first || ctx.Err() != nil {
				return err
			}
			fmt.Fprintf(&page, "%v\nAsking again.\n", err)
		}
		if err := c.turn(to.out, page.String()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// turn shows a page in the place of the one before on a terminal, and below it
// elsewhere. Events and JSON are a stream, not pages.
func (c *statusCmd) turn(w io.Writer, page string) error {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && !c.Events && !c.JSON {
		page = home + strings.ReplaceAll(page, "\n", clearLine+"\n") + clearBelow
	}
	if _, err := io.WriteString(w, page); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// picture asks for the status and prints it.
func (c *statusCmd) picture(ctx context.Context, to console) error {
	var s protocol.SystemStatus
	if err := c.ask(ctx, to, protocol.PathStatus, &s); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(to.out, s)
	}
	shown := 10
	if c.Meetings {
		shown = len(s.Meetings)
	}
	return printStatus(to.out, s, shown)
}

// events gives what prints the events since it was called last.
func (c *statusCmd) events() func(context.Context, console) error {
	var last int64
	return func(ctx context.Context, to console) error {
		var list protocol.EventList
		if err := c.ask(ctx, to, fmt.Sprintf("%s?after=%d&limit=1000", protocol.PathEvents, last), &list); err != nil {
			return err
		}
		for _, e := range list.Events {
			last = e.ID
			if c.JSON {
				if err := printJSON(to.out, e); err != nil {
					return err
				}
				continue
			}
			if _, err := fmt.Fprintf(to.out, "%s  %s %s\n", e.At.Local().Format(time.DateTime), serverName(e.Kind, e.Zone, e.Server), happened[e.Event]); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
		return nil
	}
}

// ask is one request, with a word on the key that it needs.
func (c *statusCmd) ask(ctx context.Context, to console, path string, answer any) error {
	return c.call(ctx, to, http.MethodGet, path, nil, answer)
}

// happened are events in words.
var happened = map[protocol.EventKind]string{
	protocol.EventAppeared: "has appeared",
	protocol.EventSilent:   "has fallen silent: dead, frozen or cut off",
	protocol.EventReturned: "is heard again",
	protocol.EventStopped:  "has stopped",
	protocol.EventDraining: "is draining",
	protocol.EventHealthy:  "takes participants again",
	protocol.EventFull:     "is full",
	protocol.EventRoom:     "has room again",
}

// serverName is how a server is called on the command line: kind/zone/id.
func serverName(kind protocol.ServerKind, zone, id string) string {
	if zone == "" {
		return string(kind) + "/" + id
	}
	return string(kind) + "/" + zone + "/" + id
}

// printStatus prints the system as tables.
func printStatus(w io.Writer, s protocol.SystemStatus, meetings int) error {
	out := &strings.Builder{}
	fmt.Fprintf(out, "%s in %s in %s\n", count(s.Participants, "participant"), count(s.MeetingCount, "meeting"), count(len(s.Zones), "zone"))
	for _, z := range s.Zones {
		fmt.Fprintf(out, "\nZone %s", z.ID)
		if z.Name != "" && z.Name != z.ID {
			fmt.Fprintf(out, " (%s)", oneLine(z.Name))
		}
		fmt.Fprintf(out, ": %s, load %s, %s", zoneWord(z), percent(z.Load), count(z.Participants, "participant"))
		if z.OnPremises {
			fmt.Fprint(out, ", on premises")
		}
		fmt.Fprintln(out)
		printServers(out, append(append([]protocol.ServerOverview{}, z.Controllers...), z.MMRs...))
	}
	if len(s.Tunnels)+len(s.Webs) > 0 {
		fmt.Fprintln(out, "\nOutside zones")
		printServers(out, append(append([]protocol.ServerOverview{}, s.Webs...), s.Tunnels...))
	}
	printMeetings(out, s, meetings)
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

func zoneWord(z protocol.ZoneOverview) string {
	switch z.State {
	case protocol.ZoneEmpty:
		return "closed, no healthy router or no controller is heard"
	case protocol.ZoneFull:
		return "full"
	case protocol.ZoneDraining:
		return "draining"
	}
	return "open"
}

func printServers(w io.Writer, servers []protocol.ServerOverview) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "  SERVER\tHEALTH\tLOAD\tCPU\tPEOPLE\tPACKETS/S\tMBIT/S\tVERSION\tADDRESS")
	for _, o := range servers {
		_, _ = fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", serverName(o.Kind, o.Zone, o.ID), healthWord(o),
			unless(o.Kind == protocol.KindWeb, percent(o.LoadValue)), unless(o.Load.MaxCPU == 0 && o.Load.CPU == 0, percent(o.Load.CPU)),
			people(o), unless(o.Kind != protocol.KindMMR, fmt.Sprintf("%.0f", o.Load.PacketsPerSecond)),
			unless(o.Kind != protocol.KindMMR, fmt.Sprintf("%.1f", o.Load.EgressBPS/1e6)), oneLine(o.Version), oneLine(o.Address))
	}
	_ = table.Flush()
}

func unless(absent bool, s string) string {
	if absent {
		return "-"
	}
	return s
}

func people(o protocol.ServerOverview) string {
	switch {
	case o.Kind != protocol.KindMMR && o.Kind != protocol.KindTunnel:
		return "-"
	case o.Load.MaxParticipants > 0:
		return fmt.Sprintf("%d/%d", o.Participants, o.Load.MaxParticipants)
	}
	return fmt.Sprint(o.Participants)
}

// healthWord says how a server is, and why or how far.
func healthWord(o protocol.ServerOverview) string {
	switch {
	case o.Health == protocol.Silent:
		return fmt.Sprintf("SILENT for %ds", o.HeardMS/1000)
	case o.Drain != nil:
		return fmt.Sprintf("draining, %d left", o.Drain.Left)
	case o.Ailment != "":
		return "ailing: " + ailing[o.Ailment]
	case o.Health == protocol.Waiting:
		return "waiting for a zone"
	}
	return string(o.Health)
}

// ailing are ailments in words.
var ailing = map[protocol.Ailment]string{
	protocol.AilsSilent:  "answered no controller lately",
	protocol.AilsNoMedia: "media does not connect",
	protocol.AilsLeft:    "seemed dead to participants",
}

func printMeetings(w io.Writer, s protocol.SystemStatus, shown int) {
	if len(s.Meetings) == 0 {
		return
	}
	shown = min(shown, len(s.Meetings))
	fmt.Fprintln(w, "\nMeetings")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "  NUMBER\tPEOPLE\tROUTERS\tTOPIC")
	for _, m := range s.Meetings[:shown] {
		var legs []string
		for _, l := range m.Legs {
			legs = append(legs, fmt.Sprintf("%s/%s %d", l.Zone, l.MMR, l.Participants))
		}
		number := m.Number
		if number == "" {
			number = "?"
		}
		_, _ = fmt.Fprintf(table, "  %s\t%d\t%s\t%s\n", number, m.Participants, strings.Join(legs, ", "), oneLine(m.Topic))
	}
	_ = table.Flush()
	if more := s.MeetingCount - shown; more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", share*100) }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
