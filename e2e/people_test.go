//go:build linux

package e2e

import (
	"context"
	"testing"
	"time"

	"causeway/client"
	"causeway/internal/base/pki"
	"causeway/protocol"
)

// A person takes part in a meeting from within the test. People who watch
// count what they receive.
type person struct {
	t       testing.TB
	meeting *client.Meeting
	seen    chan client.Frame
}

// seenQueue bounds frames that a test has not looked at; more are dropped.
const seenQueue = 4096

// attempt joins a meeting, or says why it could not.
func attempt(t testing.TB, ca, link, name string, publish, watch bool) (*person, error) {
	t.Helper()
	roots, err := pki.Pool(ca)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, seen: make(chan client.Frame, seenQueue)}
	o := client.Options{Name: name, Roots: roots, Version: "e2e"}
	if publish {
		o.Feed = client.TestCard()
	}
	if watch {
		o.Receive = func(f client.Frame) {
			select {
			case p.seen <- f:
			default:
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.meeting, err = client.Join(ctx, link, o)
	return p, err
}

// join joins a meeting until the test ends.
func join(t testing.TB, ca, link, name string, publish, watch bool) *person {
	t.Helper()
	p, err := attempt(t, ca, link, name, publish, watch)
	if err != nil {
		t.Fatalf("%s cannot join: %v", name, err)
	}
	t.Cleanup(p.meeting.Leave)
	return p
}

// watch waits until n more frames of each source have come from now on.
func (p *person) watch(n int, sources ...protocol.Source) {
	p.t.Helper()
	for range len(p.seen) { // what came before
		<-p.seen
	}
	missing := map[protocol.Source]int{}
	for _, s := range sources {
		missing[s] = n
	}
	for enough := time.After(patience); len(missing) > 0; {
		select {
		case f := <-p.seen:
			if missing[f.Source]--; missing[f.Source] <= 0 {
				delete(missing, f.Source)
			}
		case <-p.meeting.Done():
			p.t.Fatalf("the meeting is over: %v", p.meeting.Err())
		case <-enough:
			p.t.Fatalf("never received: %v", missing)
		}
	}
}
