package forward

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/protocol"

	"github.com/pion/rtcp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeShard is a Shard without sockets.
type fakeShard struct {
	mu      sync.Mutex
	deliver func()
}

func (s *fakeShard) Run(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.deliver()
}

// fakeWire records what a link sends, or only counts it.
type fakeWire struct {
	counting bool
	sent     int
	verbatim int // of these
	rtp      [][]byte
	rtcp     []rtcp.Packet
}

func (w *fakeWire) Prefetch(int) {}

func (w *fakeWire) SendVerbatim(p []byte) error {
	w.verbatim++
	return w.SendRTP(p)
}

func (w *fakeWire) SendRTP(p []byte) error {
	w.sent++
	if !w.counting {
		w.rtp = append(w.rtp, append([]byte(nil), p...))
	}
	return nil
}

func (w *fakeWire) SendRTCP(p []byte) error {
	if w.counting {
		return nil
	}
	packets, err := rtcp.Unmarshal(p)
	if err != nil {
		return err
	}
	w.rtcp = append(w.rtcp, packets...)
	return nil
}

// take returns what was sent since the last call.
func (w *fakeWire) take() [][]byte {
	out := w.rtp
	w.rtp = nil
	return out
}

// epoch is when every test's router starts.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// rig is a router on fake shards.
type rig struct {
	t      testing.TB
	router *Router
	shards []*fakeShard
	now    time.Time
}

func newRig(t testing.TB, shards int) *rig {
	r := &rig{t: t, router: New(epoch), now: epoch}
	var runners []Shard
	for i := range shards {
		s := &fakeShard{deliver: func() { r.router.Deliver(i) }}
		r.shards = append(r.shards, s)
		runners = append(runners, s)
	}
	r.router.Start(runners)
	return r
}

// pass lets time pass, ticking every shard.
func (r *rig) pass(d time.Duration) {
	const step = 25 * time.Millisecond
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(step)
		for i, s := range r.shards {
			s.Run(func() { r.router.Tick(i, r.now) })
		}
		r.router.Flush()
	}
}

var (
	opusCodec = offer.Codec{PayloadType: 111, Name: offer.Opus, ClockRate: 48000, Channels: 2}
	vp8Codec  = offer.Codec{PayloadType: 96, Name: offer.VP8, ClockRate: 90000, RTX: 97}
	h264Codec = offer.Codec{
		PayloadType: 102, Name: offer.H264, ClockRate: 90000, RTX: 103,
		Fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
	}
)

// extension ids of the fake publisher's packets.
const (
	levelID = 1
	ridID   = 10
	rridID  = 11
	twccID  = 5
	descID  = 12
	// slotDesc is that under which takers know the dependency descriptor.
	slotDesc = 6
)

// publisher is a link that publishes one source.
type publisher struct {
	*rig
	link   *Link
	source *Source
	wire   *fakeWire
	shard  int
	seq    [maxLayers]uint16
	ts     [maxLayers]uint32
	pic    [maxLayers]uint16
	phase  int // of the temporal pattern
	rids   []string
}

func (r *rig) publisher(owner string, kind protocol.Source, codec offer.Codec, shard int, loudest *Loudest, rids ...string) *publisher {
	p := &publisher{rig: r, wire: &fakeWire{}, shard: shard, rids: rids}
	p.source = r.router.NewSource(SourceConfig{Owner: owner, Kind: kind, Codec: codec, Clock: r.router.NewClock(), Loudest: loudest})
	p.source.SetMuted(false)
	connection := protocol.Video
	if kind == protocol.Mic {
		connection = protocol.Audio
	}
	p.link = r.router.NewLink(LinkConfig{
		Kind: connection,
		Publish: []Publish{{Source: p.source, Codecs: []offer.Codec{codec}, Line: offer.Line{
			RIDs: rids,
			Extensions: []offer.Extension{
				{ID: levelID, URI: offer.URIAudioLevel},
				{ID: ridID, URI: offer.URIRID},
				{ID: rridID, URI: offer.URIRepairedRID},
				{ID: twccID, URI: offer.URITransportCC},
				{ID: descID, URI: offer.URIDependencyDescriptor},
			},
		}}},
		Notify: func() {},
	})
	r.shards[shard].Run(func() { p.link.Ready(shard, p.wire, r.now) })
	for i := range p.seq {
		p.seq[i], p.ts[i] = uint16(65000+i), uint32(1<<32-20000)
	}
	return p
}

// ext is a header extension element.
type ext struct {
	id   uint8
	data string
}

// rtpPacket builds an RTP packet.
func rtpPacket(pt uint8, marker bool, seq uint16, ts, ssrc uint32, exts []ext, payload []byte) []byte {
	p := make([]byte, 12, 1500)
	p[0], p[1] = 0x80, pt
	if marker {
		p[1] |= 0x80
	}
	binary.BigEndian.PutUint16(p[2:], seq)
	binary.BigEndian.PutUint32(p[4:], ts)
	binary.BigEndian.PutUint32(p[8:], ssrc)
	if len(exts) > 0 {
		p[0] |= 0x10
		at := len(p)
		long := slices.ContainsFunc(exts, func(e ext) bool { return len(e.data) > 16 })
		p = append(p, 0xBE, 0xDE, 0, 0)
		if long {
			p[at], p[at+1] = 0x10, 0
		}
		for _, e := range exts {
			if long {
				p = append(p, e.id, byte(len(e.data)))
			} else {
				p = append(p, e.id<<4|byte(len(e.data)-1))
			}
			p = append(p, e.data...)
		}
		for (len(p)-at)%4 != 0 {
			p = append(p, 0)
		}
		binary.BigEndian.PutUint16(p[at+2:], uint16((len(p)-at-4)/4))
	}
	return append(p, payload...)
}

// ssrcOf is the synchronisation source of a publisher's layer.
func ssrcOf(layer int) uint32 { return uint32(0x1000 + layer) }

// put hands a packet to the publisher's link.
func (p *publisher) put(raw []byte) {
	p.shards[p.shard].Run(func() { p.link.RTP(raw, p.now) })
	p.router.Flush()
}

// say sends 20 ms of sound at a level.
func (p *publisher) say(level uint8) {
	p.put(p.sound(level))
}

func (p *publisher) sound(level uint8) []byte {
	p.seq[0]++
	p.ts[0] += 960
	return rtpPacket(111, false, p.seq[0], p.ts[0], ssrcOf(0), []ext{{levelID, string([]byte{level})}}, []byte("opus"))
}

// frame builds one VP8 frame of one packet. height is told by key frames.
func (p *publisher) frame(layer int, key bool, height int) []byte {
	p.seq[layer]++
	p.ts[layer] += 3000
	p.pic[layer]++
	var exts []ext
	if len(p.rids) > 0 {
		exts = append(exts, ext{ridID, p.rids[layer]})
	}
	return rtpPacket(96, true, p.seq[layer], p.ts[layer], ssrcOf(layer), exts, vp8Payload(p.pic[layer], key, height))
}

// vp8Payload is a payload descriptor with picture id, and the beginning of a
// frame (RFC 7741 section 4.2, RFC 6386 section 9.1).
func vp8Payload(picture uint16, key bool, height int) []byte {
	b := []byte{0x90, 0x80, 0x80 | byte(picture>>8&0x7F), byte(picture), 0x01, 0, 0}
	if key {
		b[4] = 0x00
		b = append(b, 0x9D, 0x01, 0x2A, byte(height*16/9), byte(height*16/9>>8), byte(height), byte(height>>8))
	}
	return append(b, make([]byte, 200)...)
}

// taker is a link with slots.
type taker struct {
	*rig
	link  *Link
	wire  *fakeWire
	shard int
}

const (
	slotSSRC = 0x5000
	slotRTX  = 0x6000
)

// taker makes a link with n slots for a kind of source.
func (r *rig) taker(kind protocol.Source, n, shard int, codecs ...offer.Codec) *taker {
	t := &taker{rig: r, wire: &fakeWire{}, shard: shard}
	cfg := LinkConfig{Kind: protocol.Video, Notify: func() {}}
	for i := range n {
		c := SlotConfig{ID: protocol.SlotID(string(rune('a' + i))), Kind: kind, SSRC: slotSSRC + uint32(i), Codecs: codecs, AudioLevel: 3, Descriptor: slotDesc}
		if codecs[0].RTX != 0 {
			c.RTX = slotRTX + uint32(i)
		}
		cfg.Slots = append(cfg.Slots, c)
	}
	t.link = r.router.NewLink(cfg)
	r.shards[shard].Run(func() { t.link.Ready(shard, t.wire, r.now) })
	return t
}

func (t *taker) assign(slot int, s *Source, height int) {
	t.router.Assign([]Assignment{{Slot: t.link.Slots()[slot], Source: s, Height: height}}, t.now)
}

// feedback hands RTCP to the taker's link.
func (t *taker) feedback(packets ...rtcp.Packet) {
	raw, err := rtcp.Marshal(packets)
	if err != nil {
		t.t.Fatal(err)
	}
	t.shards[t.shard].Run(func() { t.link.RTCP(raw, t.now) })
	t.router.Flush()
}

func headers(t testing.TB, packets [][]byte) []header.Header {
	t.Helper()
	var out []header.Header
	for _, p := range packets {
		h, ok := header.Parse(p)
		if !ok {
			t.Fatalf("sent what is no RTP: %x", p)
		}
		out = append(out, h)
	}
	return out
}

// nackFor asks for one packet of the first slot.
func nackFor(seq uint16) *rtcp.TransportLayerNack {
	return &rtcp.TransportLayerNack{MediaSSRC: slotSSRC, Nacks: []rtcp.NackPair{{PacketID: seq}}}
}
