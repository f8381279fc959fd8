//go:build linux

package lab

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A row is one network, or one thing that happens.
type row struct {
	name       string
	peer, goal string // shared words of the table
	quick      bool   // of the ordinary test run
	publisher  bool   // the publisher is behind the line, not the subscriber
	way        Way    // both directions
	down       *Way   // towards the subscriber, if other
	act        func(*call)
	tell       func(result) string // in the table; nil: freezes, gap, rate, sound
}

func (r row) out() Way { return r.way }

func (r row) in() Way {
	if r.down != nil {
		return *r.down
	}
	return r.way
}

const (
	twenty  = 10 * time.Millisecond // of delay each way
	fifty   = 25 * time.Millisecond
	hundred = 50 * time.Millisecond
)

// narrow is a downlink.
func narrow(rate float64) *Way {
	return &Way{Delay: twenty, Rate: rate, Queue: 100 * time.Millisecond}
}

// rows are the table, with what LiveKit 1.13.5 and its browser SDK 2.23 gave
// in the same places.
var rows = []row{
	{name: "join, 20 ms", way: Way{Delay: twenty}, quick: true, peer: "762 ms; full size after 1.8–2.5 s", goal: "300 ms; full size within 1 s", act: nothing, tell: joining},
	{name: "join, 100 ms", way: Way{Delay: hundred}, peer: "970 ms; full size after 1.8–2.5 s", goal: "500 ms; full size within 1 s", act: nothing, tell: joining},
	{name: "20 ms, clean", way: Way{Delay: twenty}, peer: "frozen 0 s, gap 100–159 ms, sound 0.0–0.1 %", goal: "the same or better"},
	{name: "100 ms, clean", way: Way{Delay: hundred}, peer: "frozen 0 s, gap 100–159 ms, sound 0.0–0.1 %", goal: "the same or better"},
	{name: "100 ms, jitter ±30 ms", way: Way{Delay: hundred, Jitter: 30 * time.Millisecond}, peer: "frozen 0 s, gap 100–159 ms, sound 0.0–0.1 %", goal: "the same or better"},
	{name: "100 ms, 3 % loss", way: Way{Delay: hundred, Loss: 0.03}, quick: true, peer: "5–8 freezes, 1.3–2.3 s, gap 350–469 ms, 20 fps, sound 0.04–0.2 %", goal: "0 freezes, gap ≤ 200 ms, ≥ 24 fps"},
	{name: "100 ms, 3 % loss in bursts of 5", way: Way{Delay: hundred, Loss: 0.03, Burst: 5}, peer: "12 freezes, 3.2 s, gap 434 ms, sound 1.1 %", goal: "≤ 1 freeze, sound ≤ 0.5 %"},
	{name: "50 ms, 10 % loss", way: Way{Delay: fifty, Loss: 0.1}, peer: "80 freezes, 22.9 s, gap 3.2 s, sound 1.5 %; first picture after 3 s", goal: "≤ 1 s frozen, ≥ 20 fps, sound ≤ 1 %"},
	{name: "downlink 700 kbit/s, queue 100 ms", way: Way{Delay: twenty}, down: narrow(700e3), peer: "5–6 freezes, 15–18 s, gap 4.8–5.9 s, 6.6 fps; a third of the packets repairs", goal: "0 frozen after 3 s, ≥ 20 fps"},
	{name: "downlink 3 → 0.7 → 3 Mbit/s", way: Way{Delay: twenty}, down: narrow(3e6), act: step, peer: "gap 3.3–3.6 s; full size after 16 s or not in 30 s", goal: "gap ≤ 0.5 s; full size within 8 s", tell: stepping},
	{name: "publisher's path 100 ms, 3 % loss", way: Way{Delay: hundred, Loss: 0.03}, publisher: true, peer: "37 freezes, 9.3 s, gap 617 ms, sound 0.1 %", goal: "≤ 1 s frozen"},
	{name: "UDP blocked from the start, 20 ms", way: Way{Delay: twenty, NoUDP: true}, peer: "704 ms to the first picture", goal: "600 ms", act: nothing, tell: joining},
	{name: "UDP cut in mid-call", way: Way{Delay: twenty}, act: cutUDP, peer: "17 s", goal: "≤ 2 s", tell: gapping},
	{name: "router killed, restarted after 1 s", way: Way{Delay: twenty}, act: restart, peer: "7 s", goal: "≤ 2.5 s", tell: gapping},
	{name: "router killed, there is a second", way: Way{Delay: twenty}, act: killed, peer: "7 s", goal: "≤ 2 s", tell: gapping},
	{name: "client changes network", way: Way{Delay: twenty}, act: roam, peer: "2.0 s", goal: "≤ 0.8 s", tell: gapping},
	{name: "client changes network, and again", way: Way{Delay: twenty}, act: roamAgain, peer: "not measured", goal: "≤ 0.8 s", tell: gapping},
}

func nothing(c *call) { c.wait(3 * time.Second) }

func step(c *call) {
	c.wait(5 * time.Second)
	c.line.Set(Way{Delay: twenty}, *narrow(700e3))
	c.wait(15 * time.Second)
	c.changed = c.subscriber.look().Now
	c.line.Set(Way{Delay: twenty}, *narrow(3e6))
	c.wait(20 * time.Second)
}

func cutUDP(c *call) {
	c.wait(3 * time.Second)
	way := Way{Delay: twenty, NoUDP: true}
	c.line.Set(way, way)
	c.wait(20 * time.Second)
}

func roam(c *call) {
	c.wait(3 * time.Second)
	c.line.Readdress()
	c.wait(12 * time.Second)
}

// roamAgain measures a second change, after the browser has told the page of
// the first and ICE was restarted.
func roamAgain(c *call) {
	c.line.Readdress()
	c.wait(2 * time.Second)
	c.subscriber.ask("online")
	c.wait(5 * time.Second)
	c.begin = c.subscriber.look()
	c.wait(3 * time.Second)
	c.line.Readdress()
	c.wait(12 * time.Second)
}

// serving is the router that carries the meeting, and the one that does not.
func (c *call) serving() (busy, idle string) {
	if strings.Contains(c.subscriber.look().Control, names["tunnel2"]) {
		return "mmr2", "mmr"
	}
	return "mmr", "mmr2"
}

func restart(c *call) {
	busy, idle := c.serving()
	c.servers[idle].Kill() // so that there is no other
	c.wait(3 * time.Second)
	c.begin = c.subscriber.look()
	c.wait(2 * time.Second)
	c.servers[busy].Kill()
	c.wait(time.Second)
	c.startRouter(busy)
	c.wait(15 * time.Second)
	c.startRouter(idle)
}

func killed(c *call) {
	busy, _ := c.serving()
	c.begin = c.subscriber.look()
	c.wait(2 * time.Second)
	c.servers[busy].Kill()
	c.wait(15 * time.Second)
	c.startRouter(busy)
}

// startSecondRouter starts another router of the zone.
func (d *Deployment) startSecondRouter(t *testing.T) {
	t.Helper()
	d.startRouter("mmr2")
	if !d.servers["mmr2"].Until(`"ready":true`, startWithin) {
		t.Fatal("the second router did not get ready")
	}
}

// startRouter starts one of the zone's two routers.
func (d *Deployment) startRouter(name string) {
	d.t.Helper()
	if name == "mmr" {
		d.StartServer("mmr")
		return
	}
	const host = "tunnel2" // which has no other use here
	d.start(server{
		name: name, host: host, kind: "mmr", dns: names[host], listen: ":443",
		config: fmt.Sprintf("bus: {controllers: [\"zone.causeway.test:443\"]}\nmmr: {id: mmr2, zone: lab, control_url: \"wss://%s/mmr/v1/control\", public_addresses: [%q]}\n",
			names[host], addresses[host]),
		enrol: []string{"--zone", "lab", "--role", "mmr", "--name", "mmr2"},
	})
}

func joining(r result) string {
	return fmt.Sprintf("%s; full size after %s", ms(r.FirstMS), ms(r.FullMS))
}

func stepping(r result) string {
	return fmt.Sprintf("gap %s; full size after %s", ms(r.LongestMS), ms(r.againMS))
}

func gapping(r result) string { return ms(r.LongestMS) + ", over " + strings.Join(r.Rungs, ", ") }

func quality(r result) string {
	return fmt.Sprintf("%d freezes, %.1f s, gap %s, %.0f fps of %.0f lines, sound %.2f %%", r.Freezes, r.FrozenS, ms(r.LongestMS), r.FPS, r.Height, 100*r.Concealed)
}

func ms(v float64) string {
	switch {
	case v < 0:
		return "never"
	case v < 1000:
		return fmt.Sprintf("%.0f ms", v)
	}
	return fmt.Sprintf("%.1f s", v/1000)
}

// chromiumDoc is written by -update.
const chromiumDoc = "../docs/chromium.md"

// tableRow finds a row that was written before.
var tableRow = regexp.MustCompile(`(?m)^\| ([^|]+) \|.*\n`)

// writeTable writes the document anew; rows that were not measured stay.
func writeTable(t *testing.T, results map[string]result) {
	t.Helper()
	before := map[string]string{}
	if old, err := os.ReadFile(chromiumDoc); err == nil {
		for _, found := range tableRow.FindAllStringSubmatch(string(old), -1) {
			before[found[1]] = found[0]
		}
	}
	var b strings.Builder
	b.WriteString(chromiumHead)
	for _, r := range rows {
		res, ok := results[r.name]
		if !ok {
			b.WriteString(before[r.name])
			continue
		}
		tell := quality
		if r.tell != nil {
			tell = r.tell
		}
		fmt.Fprintf(&b, "| %s | %s | %s | **%s** | %.0f %% |\n", r.name, r.peer, r.goal, tell(res), 100*res.busy)
	}
	b.WriteString(chromiumFoot)
	if err := os.WriteFile(chromiumDoc, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

const chromiumHead = `# What a person in Chromium gets

Two people in Chromium: one publishes a camera of 960×540 at 25 pictures a second, in three sizes (VP8), and a voice without pauses; the other watches.
One of them is behind a line with delay, losses or a narrow downlink, both ways unless told. Round trips. Everything is on one machine with two processors, quiet but for this: two browsers,
all servers, and the emulated line; the last column says how busy it was, the start of a browser included. Where it was far over 80 % the figures are the machine's rather than the system's.
A call took 1.2 of the two cores before layers were paused: 0.4 the publisher's page (three sizes encoded in software), 0.25 the other's, 0.07 the router, 0.07 the line.

Beside it: LiveKit 1.13.5 with its browser SDK 2.23 on networks with the same parameters, with pictures of the same size and rate, measured on the same kind of machine; the windows here were of 20 s, there of 60 s.

<!-- go test ./lab -run TestChromiumTable -table -v -update; -row picks rows, -window says for how long -->
| network | LiveKit | goal | Causeway | machine busy |
|---|---|---|---|---|
`

const chromiumFoot = `<!-- end -->

*Join*: from letting go of Join in a lobby that has had its second; before, the pointer rests on it for 150 ms, and the press takes 80. *Freezes*, seconds frozen and the longest gap are of the pictures shown (requestVideoFrameCallback), a freeze by
the measure of webrtc-stats; *sound* is the share of samples that were made up; each counted from 3 s after the first picture.

What was found by it:

- A frame rate of its own for the smallest layer slowed the camera down for all: 15 pictures a second at every size. Now 25.
- From Join to the first picture there were a look-up (the name had changed), a preflight, 56 kB of offers on a connection that begins slowly, five round trips of the control
  channel, and only then the wish to see somebody. Then the name was looked up with as it is typed, the join was one round trip of 2.6 kB, and the wish for anybody went with the hello: 486 and 817 ms.
  Now all of that is done in the lobby, and Join is one message: the first packet of the picture is there one round trip and a key frame later, at 20 ms after 116 ms, at 100 ms after 214 (single runs).
- What cost most then was the camera of whoever had been alone, and therefore paused: its encoder takes a third of a second to begin. It is sent while somebody is in the lobby. An empty wish of a page that had no stage
  yet took the first picture away again; the key frame that was asked for anew came 300 ms after the one that was lost, since Chromium makes none sooner. So did another wish that moved the picture to another slot.
- After a change of network Chromium goes on for two seconds with the addresses of before: its sockets for media are bound to them, new ones fail at once, and there is no event. Its notifier waits on
  Linux for 2,000 ms after the last change of an address (net/base/network_change_notifier_linux.cc and network_change_notifier.cc), and only then it lists the addresses anew
  (services/network/p2p/socket_manager.cc). But pages that may use neither camera nor microphone are not told of addresses, so that their sockets are bound to none, and go on with the new one.
  A hidden frame that is allowed neither (its *allow* attribute) is such a page, and connections made of it take the tracks of the page around it. What was connected sends from
  the new address within 20 ms, but checks its way to the router every 2.66 s only, whatever has changed. The router followed these checks: after 0.5 to 1.6 s, whenever the next was due, and by then the
  page may have taken it for dead. Now it follows the media: a packet's source tells whose it is, the address it came from is checked, and media goes there when that answers, 64 ms after the change in a run
  that was looked into (20 ms of round trip); gaps were of 50 to 133 ms in eleven runs, 2.1 to 2.2 s before all that. When
  the browser tells the page of the change, that restarts ICE, and its password is another: it tells the router, since at the next change there was a gap of 1.3 and 1.4 s else. Permissions that DevTools grant hold in the frame, too, so the people here have a profile with the permission in it.
- Chromium's jitter buffers do not know that a repair takes a round trip. At 100 ms and 3 % loss it showed 18 of 25 pictures a second and made up 2.8 % of the sound. Now the client asks
  the buffers for as much room as the loss takes rounds of asking, and the router tells how late its own repairs came from the publisher; it sends repairs twice where losses are the path's own.
- A delay that wanders by ±30 ms was taken for a queue: the estimate fell to a tenth. A sender that has less to send than it may is now patient until the delay has grown by 60 ms.
- Sound that the publisher's network loses is asked for again and comes late. With redundancy (RED: each packet with what the one before carried) none was made up where it was 0.13 % at 3 % loss and
  100 ms, and 0.22 % at 10 % and 200 ms (25 s each, single runs). It takes 41 kbit/s more of everybody who listens, and did nothing against losses on the subscriber's side (50 ms, 10 %: 0.00 % either way). So the page
  sends it only while 1 % or more of its own sound does not arrive at first.
- With room for 100 ms at 700 kbit/s the picture changed its size every few seconds, each time with a freeze. The estimate was wrong both ways: losses of the queue were taken for the path's own, and
  half a second in which little was sent for the bottleneck's rate. Then it stayed with every other picture of the middle size, where all of the smallest would have fit: 17 a second. Half of the pictures is now
  what a second goes by with, not what a slot settles on. And the rate of a layer that begins was followed so slowly that for 2.5 s four fifths of the packets were lost: what lasts for a second counts now.
- A camera in VP9 or AV1 was encoded in all its sizes (L3T3_KEY) though only the smallest was watched. ` + "`" + `RTCRtpSender.setParameters` + "`" + ` takes another scalabilityMode and scaleResolutionDownBy without negotiation: the encoder is
  set up anew and begins with a key picture, one or two of them, unasked. The sizes inside and their numbers stay what they were (L2T3_KEY at half, L1T3 at a quarter of the size), AV1's key picture brings
  its new structure, and between two pictures were 50 to 83 ms at the switches as well as before (720 lines, 20 pictures a second, page to page). The encoder's time in a second went from 0.58 to 0.10 and 0.03 s
  for VP9 and from 0.70 to 0.18 and 0.03 s for AV1, the rate from 1,600 to 270 and 160, and from 1,170 to 430 and 100 kbit/s. The rate has to be bounded with the mode: with one layer alone Chromium gives it all that the
  encoding may have. To lower the bound alone drops the upper layers, too, but then Chromium makes the whole picture smaller, 136 lines for a bound of 150 kbit/s, and comes back step by step. Over two routers the full size is there 0.45 to 0.52 s after the window has become large (four runs, each look 0.1 s apart).
- Pictures that came while the page made the room were decoded and lost: the element that shows them was made only when the slots had been told, and takes some 30 ms more to find its stream. Now it is made in the
  lobby. Where the router had heard of the network before it chose a size it broke off the key frame of the large one for a smaller one's, since its estimate begins at 1.5 Mbit/s, which a picture of full size just
  exceeds; Chromium makes another one 300 ms later at the soonest. Now a probe of padding in the lobby, some 26 kB, has told by then. Three runs before gave 207, 322 and 520 ms at 20 ms, full size after 207, 688 and
  520; five runs after it 197, 222, 251, 399 and 474, and 298, 307, 336, 363 and 368 at 100; six more at 20 ms, in which the page was watched more closely, 269, 273, 288, 318, 336 and 376. Full size was the first in fifteen of these
  sixteen, and came after 714 ms in the other.

- Then the key frame cost most: from the wish until it left the publisher's browser 50 to 140 ms, and until all of it had, since its pacer spreads the 33 to 50 kB of three sizes, 95 to 200 more. The pointer is on Join before that is pressed.
  Now the page says so, a key frame is made, and whoever enters begins with it and what has come since, from the router's cache. At 20 ms, by turns: 209, 302, 305, 388 and 434 ms before, 96, 151, 172, 201 and 432 with it;
  fifteen more with it 121 to 335, and of all twenty two over 300. For whoever presses Enter in the field of the name it is made when
  nothing was typed for a quarter of a second. Cameras that send all sizes in one stream (VP9, AV1) begin in the same way, and so do those of another router, which is asked for what nobody takes yet for two seconds.
- In the slowest of these the page's own motion had a part. For a third of a second after *Join* both processors are busy (no more than 20 of 640 ms were idle, in five runs looked into with perf), and the page's main thread, with 40 to 65 ms of work, gets its turns late: a task of 0.1 ms
  took 55. Compositing, in software, takes much of them: tiles glided to their new places and pictures faded in, and each draws the page sixty times a second, the publisher's as well, rather than twenty-five. With browsers that ask for less motion, by turns: 120, 150, 177, 185, 239, 243 and 409 ms
  with motion, 121, 128, 130, 149, 172, 209 and 218 without. Now tiles glide only where somebody else becomes large, and a picture is there at once. And the key frame's 24 kB took 30 to 90 ms to come, at five quarters of the rate that had been looked for: now what the network takes in 25 ms
  leaves ahead. Both, by turns: 125, 136, 136, 155, 173, 195, 245 and 286 ms before, 88, 110, 114, 116, 124, 139, 145 and 186 with them; and four more each 126, 151, 228 and 243, and 105, 122, 124 and 292.
- At 700 kbit/s sound was held back for 380 to 450 ms though none of it was lost: the cushion for repairs was reckoned from the start, when the queue was full (a round trip of 102 ms) and every tenth packet of the pictures missing, and kept so for 20 s. Now the number of
  rounds is kept, and the round trip is the longest of the last seconds: 245, 266 and 301 ms on average in three runs, and still none made up.

What is missed: nothing in this table. Single runs of *join* are slower where the machine is: of twelve at 20 ms the slowest took 292 ms (twelve before, by turns with these: 125 to 286), and where somebody is behind 700 kbit/s the first picture took 298, 408, 730, 742 and 1,353 ms in five.
`
