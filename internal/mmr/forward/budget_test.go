package forward

import (
	"slices"
	"testing"
	"time"

	"causeway/internal/media/alloc"
	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/internal/media/twcc"
	"causeway/internal/nettest"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

const ccID = 7

// viewer is a participant behind a virtual network, who sends feedback.
type viewer struct {
	*rig
	world    *nettest.World
	down, up *nettest.Link
	budget   *Budget
	links    []*Link

	shows   [8]int // layer that a slot shows, by size; -1 none yet
	frames  [8][]time.Duration
	arrived []arrival
	waits   []arrival
	sent    [][]byte // in the first slot
}

// arrival is a packet that arrived; as a wait, how long it was queued.
type arrival struct {
	at   time.Duration
	size int
	wait time.Duration
}

// screenful is a world in which cameras are filmed and seen.
func newViewer(t testing.TB, shards int, rates ...nettest.Step) *viewer {
	w := nettest.New(1)
	v := &viewer{rig: newRig(t, shards), world: w}
	v.down = &nettest.Link{World: w, Rates: rates, Delay: 25 * time.Millisecond}
	v.up = &nettest.Link{World: w, Delay: 25 * time.Millisecond}
	v.budget = v.router.NewBudget()
	w.Every(25*time.Millisecond, func() {
		v.sync()
		for i, s := range v.shards {
			s.Run(func() { v.router.Tick(i, v.now) })
		}
		v.router.Flush()
	})
	return v
}

// sync sets the rig's time to the world's.
func (v *viewer) sync() { v.now = epoch.Add(v.world.Elapsed()) }

func (v *viewer) run(d time.Duration) {
	v.world.Run(d)
	v.sync()
}

// link adds a connection with slots.
func (v *viewer) link(kind protocol.Source, slots, shard int, codec offer.Codec) *Link {
	cfg := LinkConfig{Kind: protocol.Video, Notify: func() {}, Budget: v.budget}
	for i := range slots {
		c := SlotConfig{ID: protocol.SlotID(string(rune('a' + i))), Kind: kind, SSRC: slotSSRC + uint32(i), Codecs: []offer.Codec{codec}, TransportCC: ccID, Descriptor: slotDesc}
		if codec.RTX != 0 {
			c.RTX = slotRTX + uint32(i)
		}
		cfg.Slots = append(cfg.Slots, c)
	}
	l := v.router.NewLink(cfg)
	wire := &viewerWire{viewer: v, recorder: twcc.NewRecorder(1)}
	v.shards[shard].Run(func() { l.Ready(shard, wire, v.now) })
	v.links = append(v.links, l)
	v.world.Every(50*time.Millisecond, func() {
		for wire.recorder.Pending() {
			raw := wire.recorder.Append(nil)
			v.up.Send(len(raw)+wireOverhead, func() {
				v.sync()
				v.shards[shard].Run(func() { l.RTCP(raw, v.now) })
				v.router.Flush()
			})
		}
	})
	return l
}

// viewerWire is a connection through the virtual network.
type viewerWire struct {
	viewer   *viewer
	recorder *twcc.Recorder
}

func (w *viewerWire) SendRTCP([]byte) error { return nil }

func (w *viewerWire) Prefetch(int) {}

func (w *viewerWire) SendVerbatim(p []byte) error { return w.SendRTP(p) }

func (w *viewerWire) SendRTP(p []byte) error {
	v := w.viewer
	p = slices.Clone(p)
	h, ok := header.Parse(p)
	cc := h.Extension(p, ccID)
	if !ok || len(cc) != 2 {
		v.t.Errorf("no transport-wide number: %x", p[:24])
		return nil
	}
	if h.SSRC == slotSSRC {
		v.sent = append(v.sent, p)
	}
	wait := v.down.Send(len(p)+wireOverhead, func() {
		at := v.world.Elapsed()
		w.recorder.Record(h.SSRC, uint16(cc[0])<<8|uint16(cc[1]), epoch.Add(at))
		v.arrived = append(v.arrived, arrival{at: at, size: len(p)})
		if slot := h.SSRC - slotSSRC; h.Marker && slot < 8 && h.PayloadType == vp8Codec.PayloadType {
			v.frames[slot] = append(v.frames[slot], at)
			v.shows[slot] = int(p[h.PayloadEnd-1]) // see studio
		}
	})
	v.waits = append(v.waits, arrival{at: v.world.Elapsed(), wait: wait})
	return nil
}

// percentile is one of the waits between two times.
func (v *viewer) percentile(share float64, from, to time.Duration) time.Duration {
	var list []time.Duration
	for _, a := range v.waits {
		if a.at >= from && a.at < to {
			list = append(list, a.wait)
		}
	}
	slices.Sort(list)
	return list[int(share*float64(len(list)-1))]
}

// gap is the longest time without a frame in a slot between two times.
func (v *viewer) gap(slot int, from, to time.Duration) time.Duration {
	longest, last := time.Duration(0), from
	for _, at := range append(slices.Clone(v.frames[slot]), to) {
		if at >= from && at <= to {
			longest, last = max(longest, at-last), at
		}
	}
	return longest
}

// showing waits until a slot shows a layer, and returns how long that took
// from a moment on; -1 if it does not within 20 s.
func (v *viewer) showing(slot, layer int, from time.Duration) time.Duration {
	for v.world.Elapsed() < from+20*time.Second {
		v.run(20 * time.Millisecond)
		if v.shows[slot] == layer && len(v.frames[slot]) > 0 {
			return v.world.Elapsed() - from
		}
	}
	return -1
}

// studio films 25 pictures a second in three sizes, with key frames where
// asked, 40 ms later. The last byte of a frame tells its layer.
func (v *viewer) studio(owner string, shard int) *publisher {
	cam := v.publisher(owner, protocol.Camera, vp8Codec, shard, nil, "q", "h", "f")
	rates := [maxLayers]int{150_000, 500_000, 1_500_000}
	heights := [maxLayers]int{180, 360, 720}
	due := [maxLayers]bool{true, true, true}
	v.world.Every(40*time.Millisecond, func() {
		v.sync()
		for layer := range maxLayers {
			size := rates[layer] / 8 / 25
			key := due[layer]
			if due[layer] = false; key {
				size *= 4
			}
			cam.shoot(layer, key, heights[layer], size)
			if cam.keyRequests1(layer) > 0 {
				due[layer] = true
			}
		}
	})
	return cam
}

// shoot puts a frame of several packets.
func (p *publisher) shoot(layer int, key bool, height, size int) {
	first := p.frame(layer, key, height)
	h, _ := header.Parse(first)
	for left := size; left > 0; left -= 1100 {
		raw := slices.Clone(first)
		if left != size {
			p.seq[layer]++
			header.SetSequence(raw, p.seq[layer])
			raw[h.PayloadAt] &^= 0x10 // not the first packet of the frame
		}
		header.SetMarker(raw, left <= 1100)
		raw = append(raw, make([]byte, max(0, min(left, 1100)-len(raw)))...)
		raw[len(raw)-1] = byte(layer)
		p.put(raw)
	}
}

// TestBudgetFallsAndReturns is the step of the estimator's goals, with real
// layers: what is shown follows what the network takes.
func TestBudgetFallsAndReturns(t *testing.T) {
	for shards := range 2 {
		v := newViewer(t, shards+1, nettest.Step{Rate: 3e6}, nettest.Step{At: 20 * time.Second, Rate: 0.7e6}, nettest.Step{At: 40 * time.Second, Rate: 3e6})
		cam := v.studio("ada", 0)
		bob := v.link(protocol.Camera, 1, shards, vp8Codec)
		v.router.Assign([]Assignment{{Slot: bob.Slots()[0], Source: cam.source, Height: 720}}, v.now)
		if d := v.showing(0, 2, 0); d < 0 || d > 2*time.Second {
			t.Errorf("full size after %v", d)
		}
		v.run(20*time.Second - v.world.Elapsed())
		v.run(time.Second)
		if v.shows[0] == 2 {
			t.Errorf("full size a second after the fall")
		}
		if d := v.showing(0, 1, 20*time.Second); d < 0 || d > 4*time.Second {
			t.Errorf("the middle size %v after the fall", d)
		}
		v.run(40*time.Second - v.world.Elapsed())
		if q := v.percentile(0.95, 21500*time.Millisecond, 40*time.Second); q > 100*time.Millisecond {
			t.Errorf("p95 of the queue %v after the fall", q)
		}
		if g := v.gap(0, 20*time.Second, 40*time.Second); g > 900*time.Millisecond {
			t.Errorf("no picture for %v after the fall", g)
		}
		if d := v.showing(0, 2, 40*time.Second); d < 0 || d > 8*time.Second {
			t.Errorf("full size %v after the return", d)
		}
		v.run(60*time.Second - v.world.Elapsed())
		if g := v.gap(0, 2*time.Second, 20*time.Second); g > 200*time.Millisecond {
			t.Errorf("no picture for %v while nothing changes", g)
		}
		if v.router.Traffic().Padding == 0 {
			t.Error("no padding")
		}
	}
}

// TestBudgetOfShortQueue: losses by a queue that is short are not taken for the
// path's own, so that the estimate stays near what the path takes, and pictures
// go on while more is looked for.
func TestBudgetOfShortQueue(t *testing.T) {
	v := newViewer(t, 1, nettest.Step{Rate: 0.7e6})
	v.down.Queue = 100 * time.Millisecond
	cam := v.studio("ada", 0)
	bob := v.link(protocol.Camera, 1, 0, vp8Codec)
	v.router.Assign([]Assignment{{Slot: bob.Slots()[0], Source: cam.source, Height: 720}}, v.now)
	v.run(3 * time.Second)
	for range 27 {
		v.run(time.Second)
		if e := v.budget.estimator.Estimate(); e < 600_000 || e > 800_000 || v.shows[0] != 1 {
			t.Errorf("estimate %d, layer %d after %v", e, v.shows[0], v.world.Elapsed())
		}
	}
	if g := v.gap(0, 3*time.Second, v.world.Elapsed()); g > 200*time.Millisecond {
		t.Errorf("no picture for %v", g)
	}
}

// TestBudgetOfManySlots: six cameras at 1 Mbit/s are all seen, small, and
// together keep to it.
func TestBudgetOfManySlots(t *testing.T) {
	v := newViewer(t, 2, nettest.Step{Rate: 1.2e6})
	var changes []Assignment
	bob := v.link(protocol.Camera, 6, 0, vp8Codec)
	for i := range 6 {
		cam := v.studio(string(rune('a'+i)), i%2)
		changes = append(changes, Assignment{Slot: bob.Slots()[i], Source: cam.source, Height: 360})
	}
	v.router.Assign(changes, v.now)
	v.run(30 * time.Second)
	if q := v.percentile(0.95, 10*time.Second, 30*time.Second); q > 100*time.Millisecond {
		t.Errorf("p95 of the queue %v", q)
	}
	for i := range 6 {
		if g := v.gap(i, 10*time.Second, 30*time.Second); g > time.Second {
			t.Errorf("slot %d: no picture for %v", i, g)
		}
	}
}

// TestBudgetWithoutFeedback: whoever sends none gets all that is wanted, and
// in the end no numbers any more.
func TestBudgetWithoutFeedback(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	wire := &fakeWire{}
	l := r.router.NewLink(LinkConfig{Kind: protocol.Video, Notify: func() {}, Budget: r.router.NewBudget(), Slots: []SlotConfig{
		{ID: "v1", Kind: protocol.Camera, SSRC: slotSSRC, RTX: slotRTX, Codecs: []offer.Codec{vp8Codec}, TransportCC: ccID, Descriptor: slotDesc},
	}})
	r.shards[0].Run(func() { l.Ready(0, wire, r.now) })
	r.router.Assign([]Assignment{{Slot: l.Slots()[0], Source: cam.source, Height: 720}}, r.now)
	cam.film(time.Second, 720)
	numbers := func() (with int) {
		for _, p := range wire.take() {
			if h, _ := header.Parse(p); h.Extension(p, ccID) != nil {
				with++
			}
		}
		return with
	}
	if n := numbers(); n != 40 {
		t.Errorf("%d numbered packets", n)
	}
	for range deafAfter / 1000 {
		cam.put(append(cam.frame(0, false, 0), make([]byte, 1000)...))
	}
	numbers()
	cam.film(time.Second, 720)
	if n := numbers(); n != 0 || !l.path.deaf {
		t.Errorf("%d numbered packets for one who sends no feedback", n)
	}
	// Late feedback does no harm.
	rec := twcc.NewRecorder(1)
	rec.Record(1, 1, r.now)
	r.shards[0].Run(func() { l.RTCP(rec.Append(nil), r.now); l.Closed(); l.Closed() })
}

// TestFeedbackBeforeOthers: transport-wide feedback may come with other
// packets, or cut.
func TestFeedbackBeforeOthers(t *testing.T) {
	r := newRig(t, 1)
	cam := r.publisher("ada", protocol.Camera, vp8Codec, 0, nil)
	bob := r.taker(protocol.Camera, 1, 0, vp8Codec)
	bob.assign(0, cam.source, 720)
	cam.film(time.Second, 720)
	cam.keyRequests(0)
	rec := twcc.NewRecorder(1)
	rec.Record(1, 1, r.now)
	raw := rec.Append(nil)
	pli, _ := rtcp.Marshal([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: slotSSRC}})
	r.pass(2 * time.Second)
	r.shards[0].Run(func() { bob.link.RTCP(slices.Concat(raw, pli), r.now) })
	if n := cam.keyRequests(0); n != 1 {
		t.Errorf("%d key frames asked for", n)
	}
	for n := range raw {
		r.shards[0].Run(func() { bob.link.RTCP(raw[:n], r.now) })
	}
}

// TestBudgetComesBackFromNothing: a network that does not even take the least
// picture shows none; when it does again, there are pictures again.
func TestBudgetComesBackFromNothing(t *testing.T) {
	v := newViewer(t, 1, nettest.Step{Rate: 3e6}, nettest.Step{At: 10 * time.Second, Rate: 0.1e6}, nettest.Step{At: 30 * time.Second, Rate: 3e6})
	cam := v.studio("ada", 0)
	bob := v.link(protocol.Camera, 1, 0, vp8Codec)
	v.router.Assign([]Assignment{{Slot: bob.Slots()[0], Source: cam.source, Height: 720}}, v.now)
	v.run(30 * time.Second)
	if !bob.slots[0].starved {
		t.Errorf("there is a picture at 100 kbit/s; estimate %d", v.budget.estimator.Estimate())
	}
	v.shows[0] = -1
	if d := v.showing(0, 2, 30*time.Second); d < 0 || d > 10*time.Second {
		t.Errorf("full size %v after the return", d)
	}
	if last := v.frames[0][len(v.frames[0])-1]; v.world.Elapsed()-last > time.Second {
		t.Error("no picture")
	}
}

// TestBudgetSharesOut: sound first, then content, then who is largest, then
// the others.
func TestBudgetSharesOut(t *testing.T) {
	r := newRig(t, 1)
	b := r.router.NewBudget()
	b.estimate(r.now)
	b.heard = true
	kinds := []protocol.Source{protocol.Camera, protocol.Camera, protocol.Screen, protocol.Mic, protocol.Mic, protocol.ScreenAudio}
	for i, kind := range kinds {
		y := share{kind: kind, active: true, height: []int{180, 720, wholeScreen, 0, 0, 0}[i], current: -1, given: -1}
		if kind == protocol.Camera || kind == protocol.Screen {
			for n, rate := range nominalRates {
				y.rungs[n] = alloc.Rung{Spatial: n, Height: []int{180, 360, 720}[n], Rate: rate}
			}
			y.n = maxLayers
		}
		b.shares = append(b.shares, y)
	}
	b.share(r.now) // of 1.5 Mbit/s
	var given []int
	for i := range b.shares {
		given = append(given, b.shares[i].given)
	}
	// 192 kbit/s of sound; the best of the screen does not fit.
	if !slices.Equal(given, []int{0, 1, 1, 0, 0, 0}) {
		t.Errorf("given %v", given)
	}
}

// wholeScreen is as control asks for a share's best layer.
const wholeScreen = 1 << 14
