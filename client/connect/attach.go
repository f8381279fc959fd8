package connect

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"causeway/protocol"
)

const (
	// otherWaysAfter is how long the control channel's way may take before the
	// other ways are asked whether they are quicker.
	otherWaysAfter = 2 * time.Second
	// slowRouter is how much longer a way gets that has led to the router: then
	// it is the router that is slow, and what it has done for us so far would be
	// lost with the way.
	slowRouter = 5 * time.Second
)

// Attach opens the control channel as OpenControl does, by way, the one that
// the zones were reached by or the channel had before. When that leads
// nowhere, or takes long, it goes by the first that answers of the others:
// directly, or through another tunnel. It returns the way that it went.
func Attach(ctx context.Context, way *Network, controlURL string, hello protocol.Hello, rec *Recorder) (*Control, *protocol.Welcome, *Network, error) {
	c, welcome, by, err := attach(ctx, way, controlURL, hello, rec)
	rec.End(protocol.PhaseMMR, err, time.Now())
	if err != nil {
		return nil, nil, way, err
	}
	if by != way {
		by.went(controlURL, rec)
	}
	return c, welcome, by, nil
}

// Reattach opens the control channel of a session anew, as Attach does; it
// belongs to no phase of the report.
func Reattach(ctx context.Context, way *Network, controlURL string, hello protocol.Hello, rec *Recorder) (*Control, *protocol.Welcome, *Network, error) {
	c, welcome, by, err := attach(ctx, way, controlURL, hello, rec)
	if err != nil {
		return nil, nil, way, err
	}
	if by != way {
		by.went(controlURL, rec)
	}
	return c, welcome, by, nil
}

// went notes that the control channel has taken another way.
func (n *Network) went(controlURL string, rec *Recorder) {
	rec.Event("the control channel goes by "+n.Via(controlURL), time.Now())
	n.remember(n.tunnel != nil)
	n.reportRoute(controlURL, rec)
}

func attach(ctx context.Context, way *Network, controlURL string, hello protocol.Hello, rec *Recorder) (*Control, *protocol.Welcome, *Network, error) {
	others := way.others()
	trying, stop := context.WithCancel(ctx)
	defer stop()
	var c *Control
	var welcome *protocol.Welcome
	var err error
	var t timing
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, welcome, err = openControl(trying, way, controlURL, hello, &t, rec)
	}()
	if !within(otherWaysAfter, done) && t.stands() {
		within(slowRouter, done)
	}
	found := make(chan *Network, 1)
	if !settled(done, &err) && len(others) > 0 {
		go func() { found <- firstToAnswer(trying, others, controlURL) }()
	} else {
		found <- nil
	}
	other := (*Network)(nil)
	select {
	case other = <-found:
	case <-done:
		if settled(done, &err) {
			stop()
			<-found
		} else {
			other = <-found
		}
	}
	if other != nil && t.stands() {
		within(slowRouter, done)
	}
	if other == nil {
		<-done
		return c, welcome, way, err
	}
	// Never two at once: the router would take the second hello for a return.
	stop()
	if <-done; err == nil {
		return c, welcome, way, nil
	}
	c, welcome, err = openControl(ctx, other, controlURL, hello, new(timing), rec)
	return c, welcome, other, err
}

// within waits for the end of an attempt, but only so long.
func within(d time.Duration, done <-chan struct{}) bool {
	enough := time.NewTimer(d)
	defer enough.Stop()
	select {
	case <-done:
		return true
	case <-enough.C:
		return false
	}
}

// settled reports whether the attempt is over and its outcome would be the
// same by any way: it worked, or the router itself has refused.
func settled(done <-chan struct{}, err *error) bool {
	select {
	case <-done:
	default:
		return false
	}
	if *err == nil {
		return true
	}
	switch code := protocol.ProblemOf(*err).Code; code {
	case protocol.ProblemControlFailed, protocol.ProblemCertificate:
		return false
	default:
		return !strings.HasPrefix(string(code), "proxy_")
	}
}

// others are the ways that are not this one.
func (n *Network) others() []*Network {
	list := n.overTunnels()
	if n.tunnel != nil {
		list = append(without(list, n), n.base)
	}
	return list
}

// firstToAnswer asks all ways at once whether they lead to the router; nil if
// none does.
func firstToAnswer(ctx context.Context, ways []*Network, controlURL string) *Network {
	ctx, cancel := context.WithTimeout(ctx, controlBudget)
	defer cancel()
	answers := make(chan *Network, len(ways))
	for _, w := range ways {
		go func() {
			if w.knock(ctx, controlURL) != nil {
				w = nil
			}
			answers <- w
		}()
	}
	var first *Network
	for range ways {
		if w := <-answers; w != nil && first == nil {
			first = w
			cancel()
		}
	}
	return first
}

// knock asks for any answer of the router. The connection stays for the
// control channel.
func (n *Network) knock(ctx context.Context, controlURL string) error {
	u, err := url.Parse(controlURL)
	if err != nil {
		return err
	}
	u.Scheme = strings.Replace(u.Scheme, "ws", "http", 1)
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := n.webSocket.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
