// Command causeway is a self-hosted video meeting system: all of its servers
// and its command-line client.
//
// Each subcommand is one file: flags → config → Run(ctx). Errors are
// sentences on standard error; the exit status is 1 when something went
// wrong and 2 when the command line was not understood.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"causeway/internal/base/config"
	"causeway/protocol"
)

// buildVersion is set by the linker.
var buildVersion string

// version names this build.
func version() string {
	if buildVersion != "" {
		return buildVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return "unknown"
}

// commandLine is what can be typed.
type commandLine struct {
	Up       upCmd       `cmd:"" help:"Run everything on this machine."`
	Web      webCmd      `cmd:"" help:"Run a web server: site, API and lookup."`
	Zone     zoneCmd     `cmd:"" help:"Run a zone controller; add, list and remove zones."`
	MMR      mmrCmd      `cmd:"" name:"mmr" help:"Run a multimedia router."`
	Tunnel   tunnelCmd   `cmd:"" help:"Run an HTTP tunnel."`
	Join     joinCmd     `cmd:"" help:"Join a meeting from the command line."`
	Check    checkCmd    `cmd:"" help:"Look at every way into a meeting, and say what to do."`
	Status   statusCmd   `cmd:"" help:"Show the whole system: zones, servers, load, meetings."`
	Drain    drainCmd    `cmd:"" help:"Take a server out of service without anyone noticing."`
	Loadtest loadtestCmd `cmd:"" help:"Put made-up participants into a meeting and measure what they get."`
	Meeting  meetingCmd  `cmd:"" help:"Create, list and end meetings."`
	APIKey   apiKeyCmd   `cmd:"" name:"apikey" help:"Make the first API key of a web server."`
	Token    tokenCmd    `cmd:"" help:"Make enrolment tokens for servers."`
	Revoke   revokeCmd   `cmd:"" help:"Cut a server off from the system."`
	Keys     keysCmd     `cmd:"" help:"Change the keys of join tokens."`
	Config   configCmd   `cmd:"" help:"Check configuration files, print samples."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

const description = `Causeway holds video meetings on your own machines.

To try it, run 'causeway up' and open the address that it prints. For more than
one machine, 'causeway config sample web' (then zone, mmr) prints the files to
begin with.`

// console is where a command's output goes.
type console struct{ out, err io.Writer }

func main() {
	ctx, stop := untilSignal()
	status := execute(ctx, os.Args[1:], console{os.Stdout, os.Stderr})
	stop()
	os.Exit(status)
}

// execute runs the command that args name and returns the exit status.
func execute(ctx context.Context, args []string, to console) int {
	var line commandLine
	exited := -1 // set by --help
	parser, err := kong.New(&line,
		kong.Name("causeway"),
		kong.Description(description),
		kong.Writers(to.out, to.err),
		kong.Exit(func(status int) { exited = status }),
		kong.Vars{"user": userName(), "data": defaultDataDir()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(to),
	)
	if err != nil {
		return fail(to.err, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		_, _ = fmt.Fprintf(to.err, "causeway: %s; see 'causeway %s--help'\n", strings.TrimSuffix(err.Error(), "?"), commandOf(parser, args))
		return 2
	}
	if err := parsed.Run(); err != nil {
		return fail(to.err, err)
	}
	return 0
}

// commandOf is the command that args begin with, to name its help; "" if they
// begin with none.
func commandOf(parser *kong.Kong, args []string) string {
	for _, c := range parser.Model.Children {
		if c.Name == args[0] {
			return c.Name + " "
		}
	}
	return ""
}

// hinted is a problem with one more thing that the person may do.
type hinted struct {
	error
	hint string
}

// Unwrap returns the problem.
func (h *hinted) Unwrap() error { return h.error }

// errReported ends a command whose output has said already what is wrong.
var errReported = errors.New("reported")

// fail tells an error to a person and returns the exit status.
func fail(w io.Writer, err error) int {
	if errors.Is(err, errReported) {
		return 1
	}
	var p *protocol.Problem
	if errors.As(err, &p) {
		_, _ = fmt.Fprintf(w, "causeway: %s\n", p.Error())
		for _, more := range []string{p.Cause, p.Remedy} {
			if more != "" {
				_, _ = fmt.Fprintf(w, "  %s\n", more)
			}
		}
		if h, ok := errors.AsType[*hinted](err); ok && h.hint != "" {
			_, _ = fmt.Fprintf(w, "%s\n", h.hint)
		}
		return 1
	}
	prefix := "causeway: "
	if _, inFile := errors.AsType[*config.Fault](err); inFile {
		prefix = "" // FILE:LINE: comes first, as editors like it
	}
	for text := range strings.Lines(err.Error()) {
		_, _ = fmt.Fprintf(w, "%s%s\n", prefix, strings.TrimSuffix(text, "\n"))
	}
	return 1
}

// userName is the default name of a participant.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return "Guest"
	}
	if u.Name != "" {
		return u.Name
	}
	return u.Username
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(to console) error {
	_, err := fmt.Fprintln(to.out, "causeway", version())
	return err
}
