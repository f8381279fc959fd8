package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"causeway/client"
	"causeway/client/loadtest"
	"causeway/internal/base/pki"
	"causeway/protocol"
)

// loadtestCmd is `causeway loadtest`.
type loadtestCmd struct {
	apiFlags
	URL          string        `arg:"" optional:"" name:"url" help:"A meeting's link; by default a meeting is created, and ended afterwards."`
	Panel        string        `name:"panel-url" help:"Of a webinar with a link of its own: the panellists' link, by which those who show come." placeholder:"URL"`
	Mix          string        `help:"webinar (a few show, the others watch), gallery (everyone shows and sees others) or audio." enum:"webinar,gallery,audio" default:"webinar" placeholder:"webinar|gallery|audio"`
	Participants int           `short:"n" help:"How many join (default ${default})." default:"20"`
	Publishers   int           `help:"How many of a webinar's participants show (default ${default})." default:"1"`
	Slots        int           `help:"How many pictures each sees at a time; 0 is 9, in a webinar as many as show." default:"0"`
	Ramp         float64       `help:"Joins a second (default ${default})." default:"10"`
	Duration     time.Duration `help:"How long all stay (default ${default})." default:"20s"`
	Bitrate      int           `help:"Of a picture, kbit/s (default ${default})." default:"900"`
	FPS          int           `name:"fps" help:"Pictures a second (default ${default})." default:"25"`
	Height       int           `help:"Lines of a picture (default ${default})." default:"720"`
	Simulcast    bool          `help:"Send pictures in three sizes."`
	Media        string        `help:"The only way for sound and pictures: udp, tcp or tls." enum:",udp,tcp,tls" default:"" placeholder:"udp|tcp|tls"`
	ServerPID    int           `name:"server-pid" help:"The server's process on this machine, to see what it costs." default:"0" placeholder:"PID"`
	HTML         string        `name:"html" help:"Write the report with plots as a page to FILE." placeholder:"FILE" type:"path"`
}

// Help is the longer help of `causeway loadtest --help`.
func (*loadtestCmd) Help() string {
	return `Puts made-up participants into a meeting of your own system and reports what they
get: joins a second, loss, how late sound and pictures are, bit rates, and what
it costs the server. Each of them does all that a participant does, so run it on
another machine than the server, or pin both to cores of their own.

Examples:

  causeway loadtest
  causeway loadtest --mix audio -n 40 --server-pid $(pgrep -f 'causeway up')
  causeway loadtest --server https://meet.example.org --api-key KEY -n 300 --html report.html
  causeway loadtest 'https://meet.example.org/j/123456789?pwd=tulip' --json > report.json

It ends by itself after --duration, and on Ctrl-C with a report of what was until
then. The exit status is 1 when anybody could not join or was sent away.`
}

// Run runs the test.
func (c *loadtestCmd) Run(ctx context.Context, to console) error {
	cfg, err := c.config(ctx, to)
	if err != nil {
		return err
	}
	if cfg.Link == "" {
		var m protocol.Meeting
		body := protocol.CreateMeeting{Topic: "Load test"}
		if cfg.Mix == loadtest.Webinar {
			body.Kind = protocol.KindWebinar
		}
		if err := c.call(ctx, to, http.MethodPost, protocol.PathMeetings, body, &m); err != nil {
			return err
		}
		defer c.endMeeting(ctx, to, m.Number)
		cfg.Link, cfg.PanelLink = m.JoinURL, m.PanelURL
	}
	r, err := loadtest.Run(ctx, cfg, func(p loadtest.Progress) {
		_, _ = fmt.Fprintf(to.err, "%4.0f s  %d in the meeting, %d failed, %.0f packets/s, %.1f Mbit/s, sound %.0f ms, pictures %.0f ms late\n",
			p.Second, p.Joined, p.Failed, p.Packets, p.BPS/1e6, p.Sound.P95, p.Pictures.P95)
	})
	if err != nil {
		return err
	}
	if err := c.write(r, to.out); err != nil {
		return err
	}
	if r.Failed > 0 || r.Ended > 0 {
		return errReported
	}
	return nil
}

// config is the test that the flags ask for.
func (c *loadtestCmd) config(ctx context.Context, to console) (loadtest.Config, error) {
	cfg := loadtest.DefaultConfig()
	cfg.Link, cfg.PanelLink, cfg.Mix, cfg.Participants, cfg.Publishers, cfg.Slots = c.URL, c.Panel, loadtest.Mix(c.Mix), c.Participants, c.Publishers, c.Slots
	cfg.Ramp, cfg.Duration, cfg.KBPS, cfg.FPS, cfg.Height = c.Ramp, c.Duration, c.Bitrate, c.FPS, c.Height
	cfg.Simulcast, cfg.ServerPID = c.Simulcast, c.ServerPID
	pool, err := pki.Pool(c.CA)
	if err != nil {
		return cfg, fmt.Errorf("%w; check --ca", err)
	}
	cfg.Options = client.Options{Roots: pool, Version: version(), Media: protocol.Transport(c.Media)}
	proxy := c.proxyFlags.options(c.newPrompt(ctx, to).ask())
	cfg.Options.Proxy, cfg.Options.PAC, cfg.Options.ProxyUser = proxy.Proxy, proxy.PAC, proxy.User
	cfg.Options.ProxyCredentialsFile, cfg.Options.ProxyPassword = proxy.CredentialsFile, proxy.Password
	return cfg, cfg.Check()
}

// endMeeting ends the meeting that was made for the test, also after Ctrl-C.
func (c *loadtestCmd) endMeeting(ctx context.Context, to console, number string) {
	err := c.call(context.WithoutCancel(ctx), to, http.MethodPost, protocol.PathMeetings+"/"+number+"/end", nil, nil)
	if err != nil && c.key() != "" {
		_, _ = fmt.Fprintf(to.err, "The meeting %s of the test could not be ended: %v\n", number, err)
	}
}

// write writes the report as asked.
func (c *loadtestCmd) write(r loadtest.Report, out io.Writer) error {
	if c.HTML != "" {
		f, err := os.Create(c.HTML)
		if err != nil {
			return fmt.Errorf("write the report: %w; check --html", err)
		}
		err = r.WriteHTML(f)
		if closed := f.Close(); err == nil && closed != nil {
			err = fmt.Errorf("write the report: %w", closed)
		}
		if err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(out, r)
	}
	return r.WriteText(out)
}
