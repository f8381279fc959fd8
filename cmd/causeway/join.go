package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"causeway/client"
	"causeway/internal/base/logging"
	"causeway/internal/base/pki"
	"causeway/protocol"
)

// joinCmd is `causeway join`: a participant without a browser.
type joinCmd struct {
	URL        string        `arg:"" name:"url" help:"The meeting's link: https://HOST/j/NUMBER?pwd=PASSCODE."`
	Name       string        `help:"The name that others see (default ${default})." default:"${user}" placeholder:"NAME"`
	Publish    string        `help:"What to send: testcard (a moving picture with sound), a WebM or Matroska FILE (VP8 or H.264, Opus), or none (default)." default:"none" placeholder:"testcard|FILE|none"`
	Loop       bool          `help:"Begin a published file anew at its end, rather than leave."`
	Record     string        `help:"Record what is received into DIR: a WebM file per participant and source, and manifest.json." placeholder:"DIR" type:"path"`
	Duration   time.Duration `help:"Leave after this long, for example 90s or 1h; 0 stays until the meeting ends, or Ctrl-C." default:"0"`
	Report     string        `help:"Write how the meeting was reached, as JSON, to FILE, or - for standard output." placeholder:"FILE|-"`
	CA         string        `name:"ca" help:"Also trust the certificate authority in FILE; 'causeway up' keeps its own in its data folder." env:"CAUSEWAY_CA" placeholder:"FILE"`
	VideoSlots int           `name:"video-slots" help:"How many cameras to receive at a time, at most 49; 0 is 9 with --record and none without, -1 is none." default:"0" placeholder:"N"`
	Media      string        `help:"The only way for sound and pictures, to try it out: udp, tcp or tls; by default the best that works." enum:",udp,tcp,tls" default:"" placeholder:"udp|tcp|tls"`
	NoBrowser  bool          `name:"no-browser" help:"When nothing else works, do not open the meeting in the browser; only print its address."`
	JSON       bool          `name:"json" help:"Print events as lines of JSON, and the report as the last line, on standard output."`
	proxyFlags
}

// Help is the longer help of `causeway join --help`.
func (*joinCmd) Help() string {
	return `Examples:

  causeway join 'https://meet.example.org/j/123456789?pwd=tulip' --publish testcard
  causeway join URL --record today --duration 1h --report report.json
  causeway join URL --publish talk.webm --name 'Ada Lovelace'

On a terminal a live view shows who is here, who speaks, and how the media
connections do. Ctrl-C leaves.

The exit status is 0 if the meeting was joined and media flowed as asked: what
is published was acknowledged by the router; with --record, something was
recorded. Otherwise it is 1, and standard error says what happened, why, and
what to do.`
}

// checkEvery is how often the recording is looked at.
const checkEvery = 500 * time.Millisecond

// Waits at the end of a stay.
const (
	tailWait = time.Second     // for the end of a published file to arrive
	ackWait  = 3 * time.Second // for the router to acknowledge what is published
)

var errEarly = errors.New("interrupted before the meeting was joined and media flowed as asked")

// joinIO is where a join's output goes.
type joinIO struct {
	out, log io.Writer
	screen   *screen // live view; nil for none
	prompt   *prompt // asks for a proxy's credentials; nil for none
	desktop  bool    // a person looks at standard output
}

// Run joins, takes part and leaves. Its error wraps a *protocol.Problem.
func (c *joinCmd) Run(ctx context.Context, to console) error {
	streams := joinIO{out: to.out, log: to.err, prompt: c.newPrompt(ctx, to)}
	out, ok := to.out.(*os.File)
	streams.desktop = ok && term.IsTerminal(int(out.Fd()))
	if streams.desktop && !c.JSON && os.Getenv("TERM") != "dumb" {
		streams.screen = newScreen(out, func() (int, int) {
			w, h, err := term.GetSize(int(out.Fd()))
			if err != nil {
				return 80, 24
			}
			return w, h
		})
	}
	return c.join(ctx, streams)
}

func (c *joinCmd) join(ctx context.Context, streams joinIO) error {
	options, recorder, err := c.options(streams)
	if err != nil {
		return err
	}
	m, err := client.Join(ctx, c.URL, options)
	streams.prompt.close() // the view has the terminal from now on
	var hint string
	if err != nil && ctx.Err() == nil {
		hint = c.offerBrowser(ctx, m, err, streams)
	}
	if err == nil {
		err = c.stay(ctx, m, recorder, streams)
		m.Leave()
		c.rest(m, streams)
		if err == nil {
			err = endOf(m)
		}
	}
	if recorder != nil {
		err = errors.Join(err, recorder.Close(time.Now()))
	}
	report := m.Report()
	early := ctx.Err() != nil && !report.OK // what is not there yet has not failed
	if err == nil {
		if err = c.verdict(report, recorder); err != nil && m.Err() != nil {
			err = m.Err() // it ended too early for that
		}
	}
	report.OK = report.OK && err == nil
	if e := c.writeReport(report, streams.out); err == nil {
		err = e
	}
	switch {
	case err != nil && early:
		return errEarly
	case err != nil:
		return &hinted{protocol.ProblemOf(err), hint}
	}
	c.summarize(m, recorder, streams)
	return nil
}

// options opens what is named on the command line.
func (c *joinCmd) options(streams joinIO) (client.Options, *client.Recorder, error) {
	o := client.Options{
		Name: c.Name, VideoSlots: c.VideoSlots, Media: protocol.Transport(c.Media), Version: version(), Log: c.logger(streams),
	}
	p := c.proxyFlags.options(streams.prompt.ask())
	o.Proxy, o.PAC, o.ProxyUser, o.ProxyCredentialsFile = p.Proxy, p.PAC, p.User, p.CredentialsFile
	o.NoSystemProxy, o.ProxyPassword = p.NoSystem, p.Password
	if c.CA != "" {
		roots, err := pki.Pool(c.CA)
		if err != nil {
			return o, nil, protocol.Wrap(protocol.ProblemCertificate, err)
		}
		o.Roots = roots
	}
	switch c.Publish {
	case "none", "":
	case "testcard":
		o.Feed = client.TestCard()
	default:
		feed, err := client.OpenFile(c.Publish, c.Loop)
		if err != nil {
			return o, nil, err
		}
		o.Feed = feed
	}
	if err := c.checkReport(); err != nil {
		return o, nil, err
	}
	if c.Record == "" {
		return o, nil, nil
	}
	recorder, err := client.NewRecorder(c.Record, time.Now())
	if err != nil {
		return o, nil, err
	}
	o.Receive = recorder.Write
	return o, recorder, nil
}

// blocked are the problems that a browser may get around: it knows the
// network's proxies and how to sign in to them.
var blocked = []protocol.Code{
	protocol.ProblemWebUnreachable, protocol.ProblemZonesUnreachable, protocol.ProblemControlFailed,
	protocol.ProblemMediaFailed, protocol.ProblemProxyAuthNeeded, protocol.ProblemProxyAuthFailed,
	protocol.ProblemProxyRefused, protocol.ProblemProxyUnreachable, protocol.ProblemPACFailed,
}

// offerBrowser gives the last resort in words, "" if there is none, and opens
// it where a person can see it.
func (c *joinCmd) offerBrowser(ctx context.Context, m *client.Meeting, err error, streams joinIO) string {
	address := m.WebClient()
	if address == "" || !slices.Contains(blocked, protocol.ProblemOf(err).Code) {
		return ""
	}
	hint := "The meeting can also be joined in a browser, without installing anything:\n  " + address
	if streams.desktop && !c.NoBrowser && openBrowser(ctx, address) {
		hint += "\nYour browser is opening it."
	}
	return hint
}

func (c *joinCmd) logger(streams joinIO) *slog.Logger {
	if streams.screen != nil {
		return slog.New(slog.DiscardHandler) // the view shows what happens
	}
	return logging.New(streams.log, "text", slog.LevelInfo)
}

// stay takes part until it is time to leave.
func (c *joinCmd) stay(ctx context.Context, m *client.Meeting, recorder *client.Recorder, streams joinIO) error {
	log := c.logger(streams)
	view := newView(m, recorder, time.Now())
	if streams.screen != nil {
		streams.screen.open()
		defer streams.screen.close()
	}
	var end <-chan time.Time
	if c.Duration > 0 {
		end = time.After(c.Duration)
	}
	every := time.NewTicker(checkEvery)
	defer every.Stop()
	events := m.Events()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return nil
			}
			c.show(e, view, log, streams)
			if e.Kind == client.FeedEnded && c.Duration == 0 {
				end = time.After(tailWait)
			}
		case now := <-every.C:
			view.update(now)
			streams.screen.draw(view.state)
			if recorder != nil && recorder.Err() != nil {
				return recorder.Err()
			}
		case <-end:
			awaitAcknowledgement(ctx, m)
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// awaitAcknowledgement gives the router's first reports time to arrive.
func awaitAcknowledgement(ctx context.Context, m *client.Meeting) {
	ctx, cancel := context.WithTimeout(ctx, ackWait)
	defer cancel()
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for !m.Report().OK {
		select {
		case <-every.C:
		case <-m.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// rest prints what happened while the meeting was left.
func (c *joinCmd) rest(m *client.Meeting, streams joinIO) {
	for e := range m.Events() {
		if c.JSON {
			c.show(e, nil, nil, streams)
		}
	}
}

// show tells of an event: in the view, as JSON, or in the log.
func (c *joinCmd) show(e client.Event, view *view, log *slog.Logger, streams joinIO) {
	switch {
	case c.JSON:
		_ = json.NewEncoder(streams.out).Encode(e)
	case streams.screen != nil:
		view.event(e)
	case e.Problem != nil:
		log.Warn(e.String(), "remedy", e.Problem.Remedy)
	case e.Kind != client.Speaking && e.Kind != client.Carries && e.Kind != client.KeyWanted:
		log.Info(clean(e.String()))
	}
}

// endOf is what is wrong with how a participation ended. That the meeting is
// over is not.
func endOf(m *client.Meeting) error {
	err := m.Err()
	if errors.Is(err, protocol.NewProblem(protocol.ProblemMeetingEnded, "")) {
		return nil
	}
	return err
}

// verdict says whether media flowed as asked.
func (c *joinCmd) verdict(report protocol.Report, recorder *client.Recorder) error {
	if !report.OK {
		return protocol.NewProblem(protocol.ProblemMediaFailed, "the router did not acknowledge what was published")
	}
	if recorder == nil {
		return nil
	}
	for _, r := range recorder.Manifest().Recordings {
		if r.Frames > 0 {
			return nil
		}
	}
	return protocol.NewProblem(protocol.ProblemMediaFailed, "nothing was received that could be recorded; was anybody sending?")
}

// checkReport finds out before joining, rather than after the meeting, whether
// the report can be written.
func (c *joinCmd) checkReport() error {
	if c.Report == "" || c.Report == "-" {
		return nil
	}
	f, err := os.OpenFile(c.Report, os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("the report cannot be written: %w; name another file with --report", err)
	}
	return nil
}

// writeReport puts the report where it was asked for.
func (c *joinCmd) writeReport(report protocol.Report, out io.Writer) error {
	if c.JSON {
		if err := json.NewEncoder(out).Encode(report); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	if c.Report == "" || c.Report == "-" && c.JSON {
		return nil
	}
	b, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	b = append(b, '\n')
	if c.Report == "-" {
		_, err = out.Write(b)
	} else {
		err = os.WriteFile(c.Report, b, 0o644)
	}
	if err != nil {
		return protocol.NewProblem(protocol.ProblemBadRequest, "the report cannot be written: "+err.Error())
	}
	return nil
}

// summarize says at the end what was done, on standard error.
func (c *joinCmd) summarize(m *client.Meeting, recorder *client.Recorder, streams joinIO) {
	report := m.Report()
	how := "Left meeting"
	if m.Err() != nil {
		how = "This is the end of meeting"
	}
	media := "nobody sent anything"
	if report.FirstMediaMS > 0 {
		media = fmt.Sprintf("first media after %.0f ms", report.FirstMediaMS)
	}
	fmt.Fprintf(streams.log, "%s %s; %s by way of %s in zone %s.\n", how, report.Meeting, media, report.MMR, report.Zone)
	if recorder == nil {
		return
	}
	files := 0
	for _, r := range recorder.Manifest().Recordings {
		files++
		fmt.Fprintf(streams.log, "Recorded %s: %s, %d frames, %d packets lost.\n", r.File, clean(r.Name), r.Frames, r.Lost)
	}
	fmt.Fprintf(streams.log, "%d files and manifest.json are in %s.\n", files, strings.TrimSuffix(c.Record, "/"))
}
