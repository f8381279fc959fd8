package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"causeway/client/connect"
	"causeway/internal/base/pki"
	"causeway/protocol"
)

// meetingCmd is `causeway meeting`.
type meetingCmd struct {
	Create meetingCreateCmd `cmd:"" help:"Create a meeting and print how to join it."`
	List   meetingListCmd   `cmd:"" help:"List meetings, newest first."`
	End    meetingEndCmd    `cmd:"" help:"End a meeting: everyone in it is sent out."`
}

const (
	defaultServer = "http://localhost:8080" // of apiFlags, as 'causeway up' serves it
	apiKeyFile    = "api-key"               // in the data folder of 'causeway up'
)

// apiFlags say which system is spoken to.
type apiFlags struct {
	Server string `help:"The system's address (default ${default})." env:"CAUSEWAY_SERVER" default:"http://localhost:8080" placeholder:"URL"`
	CA     string `name:"ca" help:"Also trust the certificate authority in FILE." env:"CAUSEWAY_CA" placeholder:"FILE" type:"path"`
	APIKey string `name:"api-key" help:"API key; that of 'causeway up' on this machine is found by itself." env:"CAUSEWAY_API_KEY" placeholder:"KEY"`
	JSON   bool   `name:"json" help:"Print JSON."`
	proxyFlags
}

type meetingCreateCmd struct {
	apiFlags
	Topic    string `help:"What the meeting is about." placeholder:"TEXT"`
	Passcode string `help:"Passcode; one is made when none is given." placeholder:"TEXT"`
	Webinar  bool   `help:"A webinar: whoever comes by the join link only watches."`
}

// Help is the longer help of `causeway meeting create --help`.
func (*meetingCreateCmd) Help() string {
	return `Examples:

  causeway meeting create --topic 'Monday'
  causeway meeting create --server https://meet.example.org --api-key KEY --json
  causeway meeting create --webinar --topic 'Open day'

With --json it prints number, passcode, join_url and host_url, for a webinar
panel_url too. Whoever has the host_url is a host, who has the panel_url speaks
in the webinar, and who has the join_url watches until a host brings them up.`
}

// created is what `meeting create --json` prints.
type created struct {
	Number   string `json:"number"`
	Passcode string `json:"passcode"`
	JoinURL  string `json:"join_url"`
	HostURL  string `json:"host_url"`
	PanelURL string `json:"panel_url,omitempty"`
}

// Run creates a meeting.
func (c *meetingCreateCmd) Run(ctx context.Context, to console) error {
	var m protocol.Meeting
	body := protocol.CreateMeeting{Topic: c.Topic, Passcode: c.Passcode}
	if c.Webinar {
		body.Kind = protocol.KindWebinar
	}
	if err := c.call(ctx, to, http.MethodPost, protocol.PathMeetings, body, &m); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(to.out, created{m.Number, m.Passcode, m.JoinURL, m.HostURL, m.PanelURL})
	}
	if m.Kind == protocol.KindWebinar {
		_, err := fmt.Fprintf(to.out, "Webinar %s, passcode %s\n\n  watch  %s\n  speak  %s\n  host   %s\n", m.Number, m.Passcode, m.JoinURL, m.PanelURL, m.HostURL)
		return err
	}
	_, err := fmt.Fprintf(to.out, "Meeting %s, passcode %s\n\n  join  %s\n  host  %s\n", m.Number, m.Passcode, m.JoinURL, m.HostURL)
	return err
}

type meetingListCmd struct{ apiFlags }

// Run lists all meetings.
func (c *meetingListCmd) Run(ctx context.Context, to console) error {
	all := protocol.MeetingList{Meetings: []protocol.Meeting{}}
	for after := ""; ; {
		var page protocol.MeetingList
		path := protocol.PathMeetings + "?" + url.Values{"after": {after}}.Encode()
		if err := c.call(ctx, to, http.MethodGet, path, nil, &page); err != nil {
			return err
		}
		all.Meetings = append(all.Meetings, page.Meetings...)
		if page.Next == "" || page.Next == after {
			break
		}
		after = page.Next
	}
	if c.JSON {
		return printJSON(to.out, all)
	}
	table := tabwriter.NewWriter(to.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "NUMBER\tCREATED\tSTATE\tTOPIC")
	for _, m := range all.Meetings {
		state := "open"
		if m.EndedAt != nil {
			state = "ended"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", m.Number, m.CreatedAt.Local().Format(time.DateTime), state, oneLine(m.Topic))
	}
	return table.Flush()
}

// oneLine keeps a topic from disturbing a table or the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

type meetingEndCmd struct {
	apiFlags
	Number string `arg:"" help:"The meeting's number."`
}

// Run ends a meeting.
func (c *meetingEndCmd) Run(ctx context.Context, to console) error {
	var m protocol.Meeting
	path := protocol.PathMeetings + "/" + url.PathEscape(c.Number) + "/end"
	if err := c.call(ctx, to, http.MethodPost, path, nil, &m); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(to.out, m)
	}
	_, err := fmt.Fprintf(to.out, "Meeting %s is over.\n", c.Number)
	return err
}

// printJSON prints a line of JSON, with & in links as it is.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

const (
	apiTimeout   = 30 * time.Second
	maxAPIAnswer = 16 << 20
)

// key is the API key to use: the one given, or that of 'causeway up' where it
// runs on this machine with its usual data folder.
func (f *apiFlags) key() string {
	if f.APIKey != "" || f.Server != defaultServer {
		return f.APIKey
	}
	data, err := os.ReadFile(filepath.Join(defaultDataDir(), apiKeyFile))
	if err != nil {
		return "" // the answer will say that one is needed
	}
	return strings.TrimSpace(string(data))
}

// call makes one request of the API.
func (f *apiFlags) call(ctx context.Context, to console, method, path string, body, answer any) error {
	base, err := url.Parse(f.Server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return fmt.Errorf("%q is not the address of a system; use --server https://HOST", f.Server)
	}
	pool, err := pki.Pool(f.CA)
	if err != nil {
		return fmt.Errorf("%w; check --ca", err)
	}
	var sent []byte
	if body != nil {
		if sent, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	network, err := connect.NewNetwork(connect.Options{
		TLS:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		Proxy: f.proxyFlags.options(f.newPrompt(ctx, to).ask()),
	})
	if err != nil {
		return err
	}
	defer network.Close()
	address := strings.TrimSuffix(base.String(), "/") + path
	for {
		err := f.once(ctx, network, method, address, sent, answer)
		if err == nil || !network.Ask(err) {
			return err
		}
	}
}

// once makes the request once.
func (f *apiFlags) once(ctx context.Context, network *connect.Network, method, address string, sent []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(sent))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if sent != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key := f.key(); key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := (&http.Client{Transport: network.Transport()}).Do(req)
	if err != nil {
		return connect.Unreachable(err, address)
	}
	defer func() { _ = res.Body.Close() }()
	return readAnswer(res, address, answer)
}

func readAnswer(res *http.Response, address string, answer any) error {
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAPIAnswer))
	if err != nil {
		return connect.Unreachable(err, address)
	}
	if res.StatusCode/100 != 2 {
		var p protocol.Problem
		if json.Unmarshal(data, &p) == nil && p.Code != "" {
			if p.Code == protocol.ProblemUnauthorized {
				p.Remedy = "Give one with --api-key or in CAUSEWAY_API_KEY: that of 'causeway up' is in its data folder, 'causeway apikey create' makes one for other servers."
			}
			return &p
		}
		return fmt.Errorf("the server answered %s; is --server the address of a Causeway system?", res.Status)
	}
	if len(data) == 0 || answer == nil {
		return nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("the server's answer cannot be read (%w); is --server the address of a Causeway system?", err)
	}
	return nil
}
