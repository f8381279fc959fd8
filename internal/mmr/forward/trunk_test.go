package forward

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/rtcpstat"
	"causeway/internal/nettest"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

// cable is one direction of a trunk: what is sent arrives after a delay, or
// is lost.
type cable struct {
	pair  *twin
	kind  protocol.MediaKind
	to    int // index of the receiving side
	delay time.Duration
	lose  func(h header.Header) bool // RTP; nil loses nothing
	mute  bool                       // nothing arrives
	queue []inFlight
	line  *nettest.Link // what both directions' packets of all kinds go through; nil: nothing is narrow
	rtp   int
	log   []rtcp.Packet
}

type inFlight struct {
	at   time.Time
	rtp  bool
	data []byte
}

func (c *cable) Prefetch(int) {}

func (c *cable) SendVerbatim(p []byte) error { return c.SendRTP(p) }

func (c *cable) SendRTP(p []byte) error {
	c.rtp++
	if h, _ := header.Parse(p); c.lose == nil || !c.lose(h) {
		c.send(true, p)
	}
	return nil
}

func (c *cable) SendRTCP(p []byte) error {
	packets, err := rtcp.Unmarshal(p)
	if err != nil {
		return err
	}
	c.log = append(c.log, packets...)
	c.send(false, p)
	return nil
}

func (c *cable) send(rtp bool, p []byte) {
	if c.line != nil {
		p = slices.Clone(p)
		c.line.Send(len(p)+wireOverhead, func() {
			c.pair.sync()
			c.hand(inFlight{rtp: rtp, data: p}, c.pair.now())
		})
		return
	}
	if !c.mute {
		c.queue = append(c.queue, inFlight{c.pair.now().Add(c.delay), rtp, slices.Clone(p)})
	}
}

// took forgets and returns what RTCP of a type was sent.
func took[T rtcp.Packet](c *cable) (out []T) {
	c.log = slices.DeleteFunc(c.log, func(p rtcp.Packet) bool {
		t, ok := p.(T)
		if ok {
			out = append(out, t)
		}
		return ok
	})
	return out
}

// twin is two routers with a trunk between them for each kind of connection
// asked for.
type twin struct {
	t      testing.TB
	world  *nettest.World // nil: nothing is narrow
	side   [2]*rig
	trunks [2]map[protocol.MediaKind]*Trunk
	cables [2]map[protocol.MediaKind]*cable // by sender
	from   [2]*Neighbour                    // the other side's router
	far    [2][]*Source                     // what each knows of the other
	own    [2][]*Source
	loud   [2]*Loudest
	parts  [2]*Selection
}

func newTwin(t testing.TB, shards int, kinds ...protocol.MediaKind) *twin {
	w := &twin{t: t}
	for i := range w.side {
		w.side[i] = newRig(t, shards)
		w.trunks[i], w.cables[i] = map[protocol.MediaKind]*Trunk{}, map[protocol.MediaKind]*cable{}
		w.from[i] = w.side[i].router.NewNeighbour(w.side[i].router.NewTrunkBudget())
		w.loud[i] = w.side[i].router.NewLoudest(func() {})
		w.parts[i] = w.loud[i].Select(func() {})
	}
	for i, s := range w.side {
		for _, k := range kinds {
			trunk, c := s.router.NewTrunk(TrunkConfig{Kind: k, From: w.from[i], Notify: func() {}}), &cable{pair: w, kind: k, to: 1 - i, delay: 20 * time.Millisecond}
			w.trunks[i][k], w.cables[i][k] = trunk, c
			s.shards[0].Run(func() { trunk.Ready(0, c, s.now) })
		}
	}
	return w
}

func (w *twin) now() time.Time { return w.side[0].now }

// know tells both sides of their sources, as the bus does.
func (w *twin) know() {
	for i, s := range w.side {
		for _, o := range w.own[1-i] {
			if slices.ContainsFunc(w.far[i], func(f *Source) bool { return f.Stream() == o.Stream() }) {
				continue
			}
			cfg := SourceConfig{Owner: o.Owner(), Kind: o.Kind(), Codec: o.Codec(), Stream: o.Stream(), Far: true}
			if o.Kind() == protocol.Mic {
				cfg.Loudest = w.loud[i]
			}
			f := s.router.NewSource(cfg)
			f.SetMuted(false)
			f.ComeBy(w.from[i])
			w.far[i] = append(w.far[i], f)
		}
	}
	w.plan()
}

// plan gives the trunks what there is.
func (w *twin) plan() {
	for i, s := range w.side {
		w.parts[i].Among(w.own[i])
		for k, trunk := range w.trunks[i] {
			trunk.Carry(&Plan{Own: ofKind(k, w.own[i]), Far: ofKind(k, w.far[i]), Loud: w.parts[i].Sources(), Listen: k == protocol.Audio})
			s.router.Settle(0, trunk, s.now)
		}
	}
}

// ofKind picks the sources that travel on a connection.
func ofKind(k protocol.MediaKind, sources []*Source) (list []*Source) {
	for _, s := range sources {
		if (s.Kind() == protocol.Mic) == (k == protocol.Audio) {
			list = append(list, s)
		}
	}
	return list
}

// farOf is what a side knows of the other's source.
func (w *twin) farOf(side int, s *Source) *Source {
	i := slices.IndexFunc(w.far[side], func(f *Source) bool { return f.Stream() == s.Stream() })
	return w.far[side][i]
}

// pass lets time pass on both sides.
func (w *twin) pass(d time.Duration) {
	const step = 5 * time.Millisecond
	for end := w.now().Add(d); w.now().Before(end); {
		now := w.now().Add(step)
		if w.world != nil {
			w.world.Run(now.Sub(epoch) - w.world.Elapsed())
		}
		for _, s := range w.side {
			s.now = now
		}
		for i := range w.side {
			for _, k := range protocol.MediaKinds {
				if c := w.cables[i][k]; c != nil {
					c.arrive(now)
				}
			}
		}
		if now.Sub(epoch)%(25*time.Millisecond) == 0 {
			for _, s := range w.side {
				for i, sh := range s.shards {
					sh.Run(func() { s.router.Tick(i, now) })
				}
			}
		}
		for _, s := range w.side {
			s.router.Flush()
		}
	}
}

// narrow has all go through a path of a rate that changes.
func (w *twin) narrow(rates ...nettest.Step) {
	w.world = nettest.New(1)
	w.world.Run(w.now().Sub(epoch))
	for i, list := range w.cables {
		line := &nettest.Link{World: w.world, Delay: 20 * time.Millisecond}
		if i == 0 {
			line.Rates = rates
		}
		for _, c := range list {
			c.line = line
		}
	}
}

// sync sets the sides' time to the world's.
func (w *twin) sync() {
	for _, s := range w.side {
		s.now = epoch.Add(w.world.Elapsed())
	}
}

func (c *cable) arrive(now time.Time) {
	for len(c.queue) > 0 && !c.queue[0].at.After(now) {
		f := c.queue[0]
		c.queue = c.queue[1:]
		c.hand(f, now)
	}
}

// hand gives the other side what arrives.
func (c *cable) hand(f inFlight, now time.Time) {
	s, trunk := c.pair.side[c.to], c.pair.trunks[c.to][c.kind]
	s.shards[0].Run(func() {
		if f.rtp {
			trunk.RTP(f.data, now)
		} else {
			trunk.RTCP(f.data, now)
		}
	})
}

// camera publishes a picture in three layers at side 0.
func (w *twin) camera(owner string) *publisher {
	p := w.side[0].publisher(owner, protocol.Camera, vp8Codec, len(w.side[0].shards)-1, nil, "q", "h", "f")
	w.own[0] = append(w.own[0], p.source)
	return p
}

// film sends pictures at 40 a second, key frames where asked.
func (w *twin) film(d time.Duration, cams ...*publisher) {
	for end := w.now().Add(d); w.now().Before(end); {
		for _, p := range cams {
			for layer := range p.rids {
				key := p.keyRequests1(layer) > 0 || p.seq[layer] == uint16(65000+layer)
				p.put(append(p.frame(layer, key, 180<<layer), make([]byte, layer*300)...))
			}
		}
		w.pass(25 * time.Millisecond)
	}
}

// passed counts the packets that went over a cable meanwhile, by layer.
func (w *twin) passed(k protocol.MediaKind, f func()) map[uint32]int {
	n := map[uint32]int{}
	c := w.cables[0][k]
	was := c.lose
	defer func() { c.lose = was }()
	c.lose = func(h header.Header) bool {
		n[h.SSRC&7]++
		return was != nil && was(h)
	}
	f()
	return n
}

// Layers travel only while somebody takes them, whichever fits the wish.
func TestTrunkOnDemand(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			w := newTwin(t, shards, protocol.Video)
			cam := w.camera("ada")
			w.know()
			bob, eve := w.side[1].taker(protocol.Camera, 1, shards-1, vp8Codec), w.side[1].taker(protocol.Camera, 1, 0, vp8Codec)
			far := w.farOf(1, cam.source)
			second := func() { w.film(time.Second, cam) }

			if n := w.passed(protocol.Video, second); len(n) != 0 {
				t.Errorf("sent though nobody takes it: %v", n)
			}
			bob.assign(0, far, 180)
			w.film(400*time.Millisecond, cam)
			if n := w.passed(protocol.Video, second); n[0] < 35 || n[1]+n[2] != 0 {
				t.Errorf("180 lines: %v", n)
			}
			eve.assign(0, far, 720)
			w.film(600*time.Millisecond, cam)
			if n := w.passed(protocol.Video, second); n[0] < 35 || n[2] < 35 || n[1] != 0 {
				t.Errorf("180 and 720 lines: %v", n)
			}
			if b, e := bob.layer(), eve.layer(); b != 0 || e != 2 {
				t.Errorf("layers %d and %d, want 0 and 2", b, e)
			}
			joe := w.side[1].taker(protocol.Camera, 1, 0, vp8Codec)
			joe.assign(0, far, 360)
			w.film(600*time.Millisecond, cam)
			if n := w.passed(protocol.Video, second); n[0] < 35 || n[1] < 35 || n[2] < 35 {
				t.Errorf("180, 360 and 720 lines: %v", n)
			}
			joe.assign(0, nil, 0)
			bob.assign(0, far, 360)
			eve.assign(0, nil, 0)
			w.film(600*time.Millisecond, cam)
			if n := w.passed(protocol.Video, second); n[1] < 35 || n[0]+n[2] != 0 {
				t.Errorf("360 lines: %v", n)
			}
			if b := bob.layer(); b != 1 {
				t.Errorf("layer %d, want 1", b)
			}

			// The other router falls silent: what is not asked for again ends.
			w.cables[1][protocol.Video].mute = true
			w.film(4*time.Second, cam)
			if n := w.passed(protocol.Video, second); n[1] < 5 {
				t.Errorf("ended too soon: %v", n)
			}
			w.film(time.Second, cam)
			if n := w.passed(protocol.Video, second); len(n) != 0 {
				t.Errorf("sent though nobody asks any more: %v", n)
			}
			w.cables[1][protocol.Video].mute = false
			w.film(2*time.Second, cam)
			bob.layer()
			second()
			if b := bob.layer(); b != 1 {
				t.Errorf("not begun again: layer %d", b)
			}

			// The camera is gone from the roster on its own side.
			w.own[0] = nil
			w.plan()
			if n := w.passed(protocol.Video, second); len(n) != 0 {
				t.Errorf("sent though it is gone: %v", n)
			}
		})
	}
}

// Of all microphones the loudest four travel, with their levels, and compete
// with those on the other side.
func TestTrunkSound(t *testing.T) {
	w := newTwin(t, 1, protocol.Audio)
	var mics []*publisher
	for i := range 6 {
		p := w.side[0].publisher(fmt.Sprint("mic", i), protocol.Mic, opusCodec, 0, w.loud[0])
		w.own[0] = append(w.own[0], p.source)
		mics = append(mics, p)
	}
	local := w.side[1].publisher("local", protocol.Mic, opusCodec, 0, w.loud[1])
	w.own[1] = append(w.own[1], local.source)
	w.know()
	bob := w.side[1].taker(protocol.Mic, 3, 0, opusCodec)
	talk := func(d time.Duration, levels ...uint8) {
		for end := w.now().Add(d); w.now().Before(end); {
			for i, l := range levels {
				p := local
				if i < len(mics) {
					p = mics[i]
				}
				if l < 127 {
					p.say(0x80 | l)
				}
			}
			w.plan() // as the mesh does when told
			w.pass(20 * time.Millisecond)
		}
	}
	talk(2*time.Second, 60, 50, 40, 30, 20, 10, 25)
	streams := map[uint32]int{}
	c := w.cables[0][protocol.Audio]
	c.lose = func(h header.Header) bool { streams[h.SSRC]++; return false }
	talk(time.Second, 60, 50, 40, 30, 20, 10, 25)
	if len(streams) != 4 {
		t.Errorf("%d streams, want the loudest 4", len(streams))
	}
	for _, quiet := range mics[:2] {
		if streams[quiet.source.Stream()] != 0 {
			t.Error("a quiet one travels")
		}
	}
	var heard []string
	for _, s := range w.loud[1].Selected()[:3] {
		heard = append(heard, s.Owner())
	}
	slices.Sort(heard)
	if got := strings.Join(heard, " "); got != "local mic4 mic5" {
		t.Errorf("loudest on the other side: %s", got)
	}
	speakers := w.loud[1].Speakers(w.now())
	if len(speakers) == 0 || speakers[0].Participant != "mic5" || speakers[0].Level > 12 {
		t.Errorf("levels got lost: %v", speakers)
	}
	bob.assign(0, w.farOf(1, mics[5].source), 0)
	bob.wire.take()
	talk(time.Second, 127, 127, 127, 127, 127, 10, 127)
	if n := len(bob.wire.take()); n < 45 {
		t.Errorf("%d packets of sound", n)
	}

	// Nobody listens there any more: nothing is sent.
	w.trunks[1][protocol.Audio].Carry(&Plan{})
	w.side[1].router.Settle(0, w.trunks[1][protocol.Audio], w.now())
	w.pass(100 * time.Millisecond)
	clear(streams)
	for range 10 {
		mics[5].say(0x80 | 10)
		w.pass(20 * time.Millisecond)
	}
	if len(streams) != 0 {
		t.Errorf("sent though nobody listens: %v", streams)
	}
}

// What is lost between the routers is repaired from the cache of the first:
// the taker misses nothing, whatever gets lost when. But when the key frame
// itself was late, it has to ask for what came before it and was no use then.
func TestTrunkRepairs(t *testing.T) {
	for seed := range uint64(40) {
		w := newTwin(t, 2, protocol.Video)
		cam := w.camera("ada")
		w.know()
		dice := rand.New(rand.NewPCG(seed, 1))
		w.cables[0][protocol.Video].lose = func(header.Header) bool { return dice.IntN(9) == 0 }
		bob := w.side[1].taker(protocol.Camera, 1, 1, vp8Codec)
		bob.assign(0, w.farOf(1, cam.source), 180)
		w.film(5*time.Second, cam)
		w.cables[0][protocol.Video].lose = nil
		w.film(200*time.Millisecond, cam)
		got := headers(t, bob.wire.take())
		slices.SortFunc(got, func(a, b header.Header) int { return int(int16(a.Sequence - b.Sequence)) })
		for i := 1; i < len(got); i++ {
			if got[i].Sequence != got[i-1].Sequence+1 && i > 10 {
				t.Errorf("seed %d: %d after %d, %d of %d", seed, got[i].Sequence, got[i-1].Sequence, i, len(got))
			}
		}
		if traffic := w.side[0].router.Traffic(); len(got) < 150 || traffic.Repairs < 5 || traffic.RelayedOut < 150 {
			t.Errorf("seed %d: %d packets, %+v", seed, len(got), traffic)
		}
		if traffic := w.side[1].router.Traffic(); traffic.RelayedIn < 150 || traffic.Nacks < 5 {
			t.Errorf("seed %d: %+v", seed, traffic)
		}
	}
}

// The first packet of a stream is lost between the routers: the picture does
// not wait for another key frame.
func TestTrunkBeginningIsLost(t *testing.T) {
	w := newTwin(t, 1, protocol.Video)
	cam := w.camera("ada")
	w.know()
	w.film(time.Second, cam)
	n := 0
	w.cables[0][protocol.Video].lose = func(header.Header) bool { n++; return n == 1 }
	bob := w.side[1].taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, w.farOf(1, cam.source), 180)
	w.film(300*time.Millisecond, cam)
	if got := bob.wire.take(); len(got) == 0 {
		t.Error("no picture yet")
	}
}

// However many ask for a key frame, one request goes over the trunk, and one
// to the publisher.
func TestTrunkKeyFrames(t *testing.T) {
	w := newTwin(t, 1, protocol.Video)
	cam := w.camera("ada")
	w.know()
	var takers []*taker
	for range 5 {
		b := w.side[1].taker(protocol.Camera, 1, 0, vp8Codec)
		b.assign(0, w.farOf(1, cam.source), 180)
		takers = append(takers, b)
	}
	w.film(2*time.Second, cam)
	took[*rtcp.PictureLossIndication](w.cables[1][protocol.Video])
	cam.keyRequests(0)
	for _, b := range takers {
		b.feedback(&rtcp.PictureLossIndication{MediaSSRC: slotSSRC})
	}
	w.pass(100 * time.Millisecond)
	if n := len(took[*rtcp.PictureLossIndication](w.cables[1][protocol.Video])); n != 1 {
		t.Errorf("%d requests over the trunk", n)
	}
	if n := cam.keyRequests(0); n != 1 {
		t.Errorf("%d requests to the publisher", n)
	}
}

// Sound and picture of one moment are one moment to who takes them from
// another router, whatever their connections' delays.
func TestTrunkLipSync(t *testing.T) {
	w := newTwin(t, 1, protocol.Audio, protocol.Video)
	w.cables[0][protocol.Audio].delay = 30 * time.Millisecond
	w.cables[0][protocol.Video].delay = 90 * time.Millisecond
	clock := w.side[0].router.NewClock()
	mic := w.side[0].publisher("ada", protocol.Mic, opusCodec, 0, w.loud[0])
	cam := w.side[0].publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	mic.source.cfg.Clock, cam.source.cfg.Clock = clock, clock
	w.own[0] = []*Source{mic.source, cam.source}
	w.know()
	bob, eve := w.side[1].taker(protocol.Mic, 1, 0, opusCodec), w.side[1].taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, w.farOf(1, mic.source), 0)
	eve.assign(0, w.farOf(1, cam.source), 180)

	// The publisher's clock is an hour ahead. Its time is told apart from RTP
	// times by their beginnings.
	const skew, soundBase, pictureBase = time.Hour, 1 << 20, 1<<32 - 5000
	report := func(p *publisher, ssrc uint32, base uint32, rate int64) {
		at := w.now().Sub(epoch)
		r := &rtcp.SenderReport{SSRC: ssrc, NTPTime: rtcpstat.NTP(w.now().Add(skew)), RTPTime: base + uint32(int64(at)*rate/int64(time.Second))}
		raw, _ := rtcp.Marshal([]rtcp.Packet{r})
		w.side[0].shards[0].Run(func() { p.link.RTCP(raw, w.now().Add(5*time.Millisecond)) })
	}
	for i := range 400 {
		at := uint32(i * 10)
		if i%2 == 0 {
			mic.put(rtpPacket(111, false, uint16(65000+i/2), soundBase+at*48, ssrcOf(0), []ext{{levelID, "\x8a"}}, []byte("opus")))
		}
		if i%4 == 0 {
			cam.put(rtpPacket(96, true, uint16(65500+i/4), pictureBase+at*90, ssrcOf(0), nil, vp8Payload(uint16(i), cam.keyRequests(0) > 0 || i == 0, 180)))
		}
		if i%100 == 50 {
			report(mic, ssrcOf(0), soundBase, 48000)
			report(cam, ssrcOf(0), pictureBase, 90000)
		}
		w.plan()
		w.pass(10 * time.Millisecond)
	}
	sound, picture := syncOf(t, w, bob), syncOf(t, w, eve)
	// When was the latest packet of each captured, by what the router says?
	soundAt, soundMS := captured(w.trunks[0][protocol.Audio].sending[mic.source.Stream()], bob, sound, soundBase, 48)
	pictureAt, pictureMS := captured(w.trunks[0][protocol.Video].sending[cam.source.Stream()], eve, picture, pictureBase, 90)
	if d := (soundAt - soundMS) - (pictureAt - pictureMS); d < -3 || d > 3 {
		t.Errorf("picture against sound: %.1f ms", d)
	}
	if soundAt == 0 || pictureAt == 0 {
		t.Error("nothing arrived")
	}
}

// syncOf is what the second router tells of a taker's slot.
func syncOf(t *testing.T, w *twin, b *taker) protocol.SlotSync {
	s := w.side[1].router.Sync(b.link.Slots(), w.now())[0]
	if s.ClockRate == 0 {
		t.Fatal("no map")
	}
	return s
}

// captured returns when the taker's latest packet was captured: on the
// publisher's timeline in milliseconds, and on the router's clock as Sync maps
// it. Both routers rewrite RTP times.
func captured(first *Slot, b *taker, s protocol.SlotSync, base uint32, rate float64) (published, mapped float64) {
	got := b.wire.take()
	if len(got) == 0 {
		return 0, 0
	}
	h, _ := header.Parse(got[len(got)-1])
	relayed, _ := first.sent.stream.Timestamp(base)
	zero, _ := b.link.slots[0].sent.stream.Timestamp(relayed)
	return float64(int32(h.Timestamp-zero)) / rate, s.AtMS + float64(int32(h.Timestamp-s.RTP))/rate
}

// Who only receives learns the round trip from who sends.
func TestTrunkRoundTrip(t *testing.T) {
	w := newTwin(t, 1, protocol.Video)
	w.cables[0][protocol.Video].delay, w.cables[1][protocol.Video].delay = 80*time.Millisecond, 40*time.Millisecond
	cam := w.camera("ada")
	w.know()
	bob := w.side[1].taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, w.farOf(1, cam.source), 180)
	w.film(5*time.Second, cam)
	for i := range w.trunks {
		if rtt := w.trunks[i][protocol.Video].rtt; rtt < 115*time.Millisecond || rtt > 130*time.Millisecond {
			t.Errorf("side %d: %v", i, rtt)
		}
	}
}

func TestValidStream(t *testing.T) {
	for range 1000 {
		if s := NewStream(); !ValidStream(s) {
			t.Fatalf("%x", s)
		}
	}
	if ValidStream(0) || ValidStream(9) {
		t.Error("taken for a stream")
	}
}
