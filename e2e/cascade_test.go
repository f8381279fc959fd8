//go:build linux

package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

// another adds a zone of one controller and one router, made like the first.
func (s *system) another(zone, controller, router string) {
	s.t.Helper()
	s.atHome("zone", "add", zone)
	files := fmt.Sprintf("{cert: %s, key: %s}", s.file("servers.pem"), s.file("servers.key"))
	s.write(controller+".yaml", fmt.Sprintf(`server: zone
listen: %s
admin: %s
log: {level: warn}
tls: %s
bus: {ca: %s, hubs: [%q]}
data: %s
zone: {id: %s, zone: %s, name: %s, url: %q, joins_per_minute: 6000, join_burst: 3000}
`, s.address(controller), s.address(controller+"-admin"), files, s.ca, s.address("web"), s.file("data-"+controller), controller, zone, zone, s.url(controller)))
	s.admitTo(zone, controller, "controller")
	s.start(controller)
	s.ready(controller)
	s.write(router+".yaml", fmt.Sprintf(`server: mmr
listen: %s
admin: %s
log: {level: warn}
tls: %s
bus: {ca: %s, controllers: [%q]}
data: %s
mmr: {id: %s, zone: %s, control_url: "wss://%s%s", media_listen: %s%s}
`, s.address(router), s.address(router+"-admin"), files, s.ca, s.address(controller), s.file("data-"+router), router, zone,
		s.address(router), protocol.PathControl, s.address(router+"-media"), twoEach))
	s.admitTo(zone, router, "mmr")
	s.start(router)
	s.ready(router)
	m := s.create("--topic", "Probe")
	s.eventually("web offers zone "+zone, func() bool {
		status, body := s.post(s.url("web")+protocol.PathMeetings+"/"+m.Number+"/lookup", "", protocol.LookupRequest{Passcode: m.Passcode, Name: "Probe"})
		return status == 200 && strings.Contains(body, s.url(controller))
	})
}

// twoEach is the room of each router: people spread over all.
const twoEach = ", limits: {participants: 2}"

var relays = regexp.MustCompile(`(?m)^causeway_mmr_relays (\d+)`)

// neighbours is with how many other routers a router exchanges media.
func (s *system) neighbours(router string) int {
	_, page := s.get("http://" + s.address(s.router(router)+"-admin") + "/metrics")
	if found := relays.FindStringSubmatch(page); found != nil {
		n, _ := strconv.Atoi(found[1])
		return n
	}
	return 0
}

// middle waits until the meeting's trunks make a tree, and returns the router in
// its middle.
func (c *crowd) middle() (router string) {
	c.t.Helper()
	at := c.at()
	if len(at) < 8 {
		c.t.Fatalf("people are on %d routers", len(at))
	}
	most, trunks := 0, 0
	c.eventually("the trunks make a tree", func() bool {
		most, trunks = 0, 0
		for r := range at {
			n := c.neighbours(r)
			if trunks += n; n > most {
				router, most = r, n
			}
		}
		return trunks <= 2*(len(at)+1) // three zones are connected each with each
	})
	c.t.Logf("%d routers, %d trunks, %s in the middle with %d", len(at), trunks/2, router, most)
	return router
}

// TestManyRouters has a meeting on eight or nine routers of three zones, whose media
// go by a tree, and takes the router in its middle out: first it drains, and
// nothing is missing, then the next is killed.
func TestManyRouters(t *testing.T) {
	s := newSystem(t)
	text, err := os.ReadFile(s.file("mmr.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s.processes["mmr"].kill()
	s.write("mmr.yaml", strings.Replace(string(text), "media_listen: "+s.address("media"), "media_listen: "+s.address("media")+twoEach, 1))
	s.start("mmr")
	s.ready("mmr")
	for i := 2; i <= 7; i++ {
		s.addRouter(fmt.Sprint("m", i))
	}
	s.another("north", "zc3", "m8")
	s.another("south", "zc4", "m9")
	m := s.create("--topic", "Tree")
	// So many that at least six routers of the first zone have some of them,
	// which makes a tree, and that there is room for all without one router.
	c := newCrowd(s, m.JoinURL, 15, 6)
	c.reset()
	c.allBack(c.guests)
	c.whole()

	middle, before := c.middle(), c.at()
	c.reset()
	if status := c.processes[c.router(middle)].terminate(); status != 0 {
		t.Errorf("%s drained with status %d", middle, status)
	}
	c.whole()
	c.account("drain of the router in the middle")
	missing, received := c.missing(before)
	t.Logf("%d of %d pieces of sound are missing, of those who were elsewhere all the time", missing, missing+received)
	if missing*100 > received { // what a busy machine drops; that the ways lose nothing is tested in package relay
		t.Error("these are too many")
	}
	c.start(c.router(middle))
	c.ready(c.router(middle))

	middle = c.middle()
	c.reset()
	c.processes[c.router(middle)].kill()
	for source, list := range c.allBack(c.guests) {
		t.Logf("SIGKILL of the router in the middle: %s again after, of %s", source, spread(list))
	}
	t.Logf("each speaker again after, of %s", spread(c.allHeard()))
	c.account("SIGKILL of the router in the middle")
	c.eventually("everybody is elsewhere", func() bool { return len(c.at()[middle]) == 0 })
	c.whole()
	c.reset()
	c.allBack(c.guests)
	began := time.Now()
	c.eventually("everybody hears without a gap", func() bool {
		if time.Since(began) < 3*time.Second {
			return false
		}
		began = time.Now()
		defer c.reset()
		worst := c.account("on the new tree")
		return worst[protocol.Mic] > 0 && worst[protocol.Mic] < time.Second
	})
}
