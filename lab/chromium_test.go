//go:build linux

package lab

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	table   = flag.Bool("table", false, "measure the whole of docs/chromium.md in TestChromiumTable")
	onlyRow = flag.String("row", "", "of TestChromiumTable measure only rows whose names match this")
	during  = flag.Duration("window", 45*time.Second, "how long a row of TestChromiumTable is measured")
)

// Names of the two people.
const (
	publisher  = "Publisher"
	subscriber = "Subscriber"
)

// A call is two people in a meeting, one of them behind a line.
type call struct {
	*Deployment
	t          *testing.T
	line       *Line
	subscriber *person
	window     time.Duration
	begin      Sight // of the subscriber
	changed    float64
}

// A person is a page that is asked what it saw.
type person struct {
	*page[Sight]
	first Sight // when media flowed
}

// open has a person join from a host; it ends with the test.
func (d *Deployment) open(t *testing.T, host, name, watched, camera, sound string) *person {
	t.Helper()
	p := openPage[Sight](d, t, host, []string{"CAMERA=" + camera, "SOUND=" + sound}, "lab-person.mjs", d.meeting.JoinURL, name, watched)
	return &person{page: p, first: p.next()}
}

// wait lets a while of the measurement pass.
func (c *call) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.t.Context().Done():
	}
}

// untilFull waits until the publisher's largest layer is encoded well.
func (c *call) untilFull(p *person) {
	c.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		now := p.look()
		if f := now.Layers["f"]; f.Height >= sceneHeight && f.FPS >= sceneFPS*3/5 {
			return
		}
		if time.Now().After(deadline) { // slow or lossy: what is measured shows it
			c.t.Logf("the publisher's layers: %v", now.Layers)
			return
		}
		c.wait(500 * time.Millisecond)
	}
}

// measure runs one row.
func (c *call) measure(r row, camera, sound string) result {
	c.t.Helper()
	hosts := map[string]string{publisher: "client", subscriber: "far"}
	if r.publisher {
		hosts[publisher], hosts[subscriber] = "far", "client"
	}
	c.line.Set(r.out(), r.in())
	pub := c.open(c.t, hosts[publisher], publisher, "", camera, sound)
	c.untilFull(pub)
	before := machine()
	c.subscriber = c.open(c.t, hosts[subscriber], subscriber, publisher, camera, sound)
	c.wait(3 * time.Second) // the row's own time begins when all has settled
	c.begin = c.subscriber.look()
	if r.act == nil {
		c.wait(c.window)
	} else {
		r.act(c)
	}
	end := c.subscriber.ask("report")
	g := got(c.begin, end)
	res := result{Got: g, busy: machine().since(before)}
	if c.changed > 0 {
		res.againMS = fullAfter(end.Frames, c.changed)
	}
	c.t.Logf("the report: %s", strings.Join(end.Events, "; "))
	if r.publisher {
		c.t.Logf("the publisher's: %s", strings.Join(pub.ask("report").Events, "; "))
	}
	c.t.Logf("steps of joining: %s", steps(c.subscriber.first.Steps))
	c.t.Logf("%s: %v; full again %.0f ms; publisher's layers %v; machine %.0f %% busy", r.name, g, res.againMS, pub.look().Layers, 100*res.busy)
	return res
}

// steps are in words, in their order.
func steps(of map[string]float64) string {
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Compare(of[a], of[b]) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %.0f", name, of[name])
	}
	return strings.Join(names, ", ")
}

// result is what a row came to.
type result struct {
	Got
	againMS float64 // until full size after the row's last change
	busy    float64 // share of the machine's processors
}

// ticks are the processors' clock ticks since the machine started.
type ticks struct{ all, idle float64 }

// machine reads /proc/stat.
func machine() ticks {
	data, _ := os.ReadFile("/proc/stat")
	var name string
	var n [8]float64
	_, _ = fmt.Sscan(string(data), &name, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7])
	var t ticks
	for _, v := range n {
		t.all += v
	}
	t.idle = n[3] + n[4]
	return t
}

// since is the share that was busy.
func (t ticks) since(before ticks) float64 {
	return 1 - (t.idle-before.idle)/max(t.all-before.all, 1)
}

// TestChromiumTable measures what a person in Chromium gets on bad networks.
// Without -table a few rows show for a moment that the harness works.
func TestChromiumTable(t *testing.T) {
	d := NewDeployment(NewWorld(t))
	d.startSecondRouter(t)
	line := d.AddRemote("far")
	camera, sound := scene(t)
	results := map[string]result{}
	picked := regexp.MustCompile(*onlyRow)
	for _, r := range rows {
		if !*table && !r.quick || !picked.MatchString(r.name) {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			window := 5 * time.Second
			if *table {
				window = *during
			}
			c := &call{Deployment: d, t: t, line: line, window: window}
			res := c.measure(r, camera, sound)
			if res.FirstMS < 0 || len(res.Rungs) == 0 {
				t.Errorf("nothing is shown: %v", res.Got)
			}
			results[r.name] = res
		})
	}
	if *update && *table {
		writeTable(t, results)
	}
}
