package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"causeway/protocol"
)

// maxAnswer bounds an HTTP answer, in bytes.
const maxAnswer = 1 << 20

// A call is one request to one of our servers.
type call struct {
	method, url, bearer string
	in                  any // JSON body, nil for none
}

// errForeign is in the chain when whatever answered is not one of our servers.
var errForeign = errors.New("answered, but not as a server of this system would")

// do runs a call and decodes the answer into out. A problem that the server
// answers comes back as *protocol.Problem.
func (n *Network) do(ctx context.Context, c call, out any, t *timing) error {
	req, err := n.request(t.watch(ctx), c)
	if err != nil {
		return err
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	t.set(func() { t.http2 = resp.ProtoMajor == 2 })
	return readAnswer(resp, out)
}

// LeaveReport tells the web server of a meeting's link how a join went.
func (n *Network) LeaveReport(ctx context.Context, link Link, token string, r protocol.Report) error {
	req, err := n.request(ctx, call{method: http.MethodPost, url: link.Base + protocol.PathReports, bearer: token, in: r})
	if err != nil {
		return err
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return fmt.Errorf("leave report: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	return readAnswer(resp, nil)
}

// readAnswer reads and decodes an answer.
func readAnswer(resp *http.Response, out any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("%w (more than %d bytes)", errForeign, maxAnswer)
	}
	return decode(resp, body, out)
}

func (n *Network) request(ctx context.Context, c call) (*http.Request, error) {
	var body io.Reader
	if c.in != nil {
		b, err := json.Marshal(c.in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if c.in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if n.options.UserAgent != "" {
		req.Header.Set("User-Agent", n.options.UserAgent)
	}
	return req, nil
}

// decode takes an answer apart: what was asked for, a problem (RFC 9457), or
// the word of a stranger in between.
func decode(resp *http.Response, body []byte, out any) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "application/problem+json" {
		var p protocol.Problem
		if err := json.Unmarshal(body, &p); err == nil && p.Code != "" {
			return &p
		}
	}
	if resp.StatusCode/100 == 2 && kind == "application/json" {
		if err := json.Unmarshal(body, out); err != nil {
			return fmt.Errorf("%w: %w", errForeign, err)
		}
		return nil
	}
	what := resp.Status
	if to := resp.Header.Get("Location"); to != "" {
		what += ", to " + to
	}
	if strings.HasPrefix(kind, "text/html") {
		what += ", a web page"
	}
	return fmt.Errorf("%w (%s)", errForeign, what)
}
