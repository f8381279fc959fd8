//go:build linux

package lab

import (
	"context"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"causeway/client"
	"causeway/protocol"
)

var long = flag.Duration("long", 20*time.Second, "how long TestLongCallThroughProxy runs; 5m is the measurement")

// LossyProxy lets out nothing but the proxy, and loses one packet in a
// hundred between it and the internet, each way.
var LossyProxy = Policy{"drop", proxyRule + "numgen random mod 100 == 0 drop", proxyReturnRule + "numgen random mod 100 == 0 drop"}

// window is how much of the call's start and end is compared.
const window = 5 * time.Second

// listen joins through a proxy and prints the median delay of the sound, from
// capture to delivery, at the start and at the end. All hosts of the lab have
// one clock.
func listen(link, proxy, caFile string, d time.Duration) error {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	var mu sync.Mutex
	var at []time.Time
	var delays []time.Duration
	ctx, cancel := context.WithTimeout(context.Background(), d+30*time.Second)
	defer cancel()
	m, err := client.Join(ctx, link, client.Options{
		Name: "Listener", Roots: roots, Proxy: proxy, NoSystemProxy: true,
		Receive: func(f client.Frame) {
			if f.Source != protocol.Mic {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			at, delays = append(at, time.Now()), append(delays, time.Since(f.Captured))
		},
	})
	if err != nil {
		return err
	}
	<-time.After(d)
	report := m.Report()
	m.Leave()
	mu.Lock()
	defer mu.Unlock()
	if len(at) == 0 {
		return fmt.Errorf("no sound in %v", d)
	}
	// The first two seconds are for the clocks to find each other.
	begin := at[0].Add(2 * time.Second)
	fmt.Printf("delay %d %d frames %d route %s sound %s\n",
		median(at, delays, begin, begin.Add(window)).Milliseconds(), median(at, delays, at[len(at)-1].Add(-window), at[len(at)-1]).Milliseconds(),
		len(at), report.Route, report.Media[protocol.Audio].Transport)
	return nil
}

func median(at []time.Time, delays []time.Duration, from, to time.Time) time.Duration {
	var in []time.Duration
	for i, t := range at {
		if !t.Before(from) && !t.After(to) {
			in = append(in, delays[i])
		}
	}
	if len(in) == 0 {
		return -1
	}
	slices.Sort(in)
	return in[len(in)/2]
}

// TestLongCallThroughProxy holds a call over TLS through a proxy on a lossy
// line: its delay must not grow.
func TestLongCallThroughProxy(t *testing.T) {
	d := NewDeployment(NewWorld(t))
	d.StartProxies()
	speaker := d.Start("web", d.binary, "join", d.meeting.JoinURL, "--name", "Speaker", "--publish", "testcard", "--ca", d.ca, "--json")
	if !speaker.Until(`"event":"joined"`, startWithin) {
		t.Fatal("the speaker did not get in")
	}
	d.Apply(LossyProxy)
	p := d.Start("client", "env", "CAUSEWAY_LAB_JOIN="+d.meeting.JoinURL, "CAUSEWAY_LAB_PROXY="+proxyURL("open"), "CAUSEWAY_LAB_CA="+d.ca,
		"CAUSEWAY_LAB_FOR="+long.String(), "HOME="+d.dir, "XDG_CACHE_HOME="+t.TempDir(), os.Args[0])
	if !p.Until("delay ", *long+60*time.Second) {
		t.Fatal("the listener printed nothing")
	}
	var start, end, frames int
	var route, sound string
	<-p.done
	if _, err := fmt.Sscanf(p.log.String(), "delay %d %d frames %d route %s sound %s", &start, &end, &frames, &route, &sound); err != nil {
		t.Fatalf("%q: %v", p.log.String(), err)
	}
	t.Logf("%v over %s by %s: %d pieces of sound, median delay %d ms at the start, %d ms at the end", *long, sound, route, frames, start, end)
	if route != "proxy" || sound != string(protocol.TLS) {
		t.Errorf("by %s over %s", route, sound)
	}
	if want := int(long.Seconds() * 50 * 9 / 10); frames < want {
		t.Errorf("%d pieces of sound, want %d", frames, want)
	}
	if end > start+200 {
		t.Errorf("the delay grew from %d to %d ms", start, end)
	}
}
