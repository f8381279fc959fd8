package forward

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/internal/media/pace"
	"causeway/internal/media/rtx"
	"causeway/internal/media/twcc"
	"causeway/protocol"
)

// maxStreams bounds the synchronisation sources of one link.
const maxStreams = 16

// LinkState says how well a link's remote is heard of.
type LinkState int32

// The states of a link.
const (
	LinkWaiting LinkState = iota // never was up
	LinkActive
	LinkSilent // nothing heard for over 2 s
	LinkLost   // nothing heard for over 10 s, or closed
)

// LinkConfig describes a link.
type LinkConfig struct {
	Kind    protocol.MediaKind
	Publish []Publish
	Slots   []SlotConfig
	Budget  *Budget // of the participant; nil for none
	// Notify is called, possibly with a shard held, when something happens
	// that control should look at; it must not block.
	Notify func()
}

// Publish ties a source to the line of the offer on which it arrives.
type Publish struct {
	Source *Source
	Line   offer.Line    // of the offer
	Codecs []offer.Codec // of the answer
}

// Link is one media connection.
type Link struct {
	trunk *Trunk // nil unless the remote is a router

	// Of the shard's holder; what is touched for each packet that leaves comes
	// first, so that it takes few lines of a processor's cache.
	path     path               // what the network takes
	queue    *pace.Queue[paced] // pictures that wait; nil before the first feedback
	wire     Wire
	patient  bool // ticks more seldom
	busy     bool // ticks
	pictured bool // has sent a picture
	closed   bool
	shard    *shard
	tracks   []*track
	twcc     *twcc.Recorder
	next     struct{ reports, twcc time.Time }
	survey   struct {
		begins, ends time.Time // zero for none
	}
	streams []stream
	recent  int // index into streams, of the latest packet
	rtt     time.Duration
	shed    time.Time // when packets last grew too old on their way out

	// Fixed, or atomic.
	router  *Router
	kind    protocol.MediaKind
	notify  func()
	slots   []*Slot
	publish []publishing
	ssrc    uint32     // sender of our RTCP
	types   [128]ptype // by payload type
	twccID  uint8
	state   atomic.Int32
	started atomic.Bool // a slot sends from a new source
}

// publishing is a source and how to tell its packets.
type publishing struct {
	source        *Source
	rids          []string
	ssrcs         []uint32          // as offered, in the order of rids
	rtxOf         map[uint32]uint32 // as offered: primary → RTX
	ridID, rridID uint8
	form          form
}

// form is what packets look like where they come from.
type form struct {
	levelID          uint8 // of the RFC 6464 header extension, 0 for none
	descriptorID     uint8 // of AV1's dependency descriptor, likewise
	plain, redundant uint8 // payload types of sound: without redundancy, and with (RFC 2198; 0: never)
}

// ptype says what a payload type carries.
type ptype struct {
	publish int8 // index into Link.publish plus one, 0 for unknown
	rtx     bool
	primary uint8 // the payload type that rtx repairs
}

// stream is one synchronisation source that arrives.
type stream struct {
	ssrc  uint32
	track *track
	rtx   bool
}

// NewLink makes a link. Until Ready it forwards nothing.
func (r *Router) NewLink(cfg LinkConfig) *Link {
	l := &Link{router: r, kind: cfg.Kind, notify: cfg.Notify, ssrc: rand.Uint32() | 1}
	l.path.budget = cfg.Budget
	for i, p := range cfg.Publish {
		l.publish = append(l.publish, publishing{
			source: p.Source, rids: cloned(p.Line.RIDs[:min(len(p.Line.RIDs), maxLayers)]),
			ssrcs: p.Line.SSRCs, rtxOf: p.Line.RTXOf,
			ridID:  p.Line.ExtensionID(offer.URIRID),
			rridID: p.Line.ExtensionID(offer.URIRepairedRID),
			form:   form{levelID: p.Line.ExtensionID(offer.URIAudioLevel), descriptorID: p.Line.ExtensionID(offer.URIDependencyDescriptor)},
		})
		p.Source.offered = max(1, len(l.publish[i].rids))
		if id := p.Line.ExtensionID(offer.URITransportCC); id != 0 {
			l.twccID = id // the same on all lines of a bundle (RFC 8843 section 9.2)
		}
		for _, c := range p.Codecs {
			if !offer.Same(c, p.Source.cfg.Codec) {
				continue // takers know the source by one codec
			}
			l.types[c.PayloadType&0x7F] = ptype{publish: int8(i + 1)}
			if c.RTX != 0 {
				l.types[c.RTX&0x7F] = ptype{publish: int8(i + 1), rtx: true, primary: c.PayloadType}
			}
			if f := &l.publish[i].form; c.RED != 0 && f.redundant == 0 {
				l.types[c.RED&0x7F] = ptype{publish: int8(i + 1)}
				f.plain, f.redundant = c.PayloadType, c.RED
			}
		}
	}
	for _, c := range cfg.Slots {
		l.slots = append(l.slots, newSlot(l, c))
	}
	return l
}

// cloned copies strings out of the description that they are a part of.
func cloned(list []string) []string {
	out := slices.Clone(list)
	for i := range out {
		out[i] = strings.Clone(out[i])
	}
	return out
}

// Slots returns the link's slots in their order.
func (l *Link) Slots() []*Slot { return l.slots }

// Kind says what travels on the link's connection.
func (l *Link) Kind() protocol.MediaKind { return l.kind }

// State tells how well the remote is heard of. Any goroutine may ask.
func (l *Link) State() LinkState { return LinkState(l.state.Load()) }

// rouse lets the link tick. Idle links do not, so that many of them cost
// nothing. The shard is held.
func (l *Link) rouse() {
	l.patient = false
	if !l.busy {
		l.busy = true
		l.shard.busy = append(l.shard.busy, l)
	}
}

// SetState notes what was heard of the remote. The shard is held.
func (l *Link) SetState(s LinkState) {
	if !l.closed && l.shard != nil {
		l.state.Store(int32(s))
		l.notify()
	}
}

// TakeStarted reports, once, that a slot of the link sends from a new source.
func (l *Link) TakeStarted() bool { return l.started.Load() && l.started.Swap(false) }

// Ready says that the link may send on wire, and lives on the shard with the
// given index, which is held.
func (l *Link) Ready(index int, wire Wire, now time.Time) {
	if l.closed || l.shard != nil {
		return
	}
	s := l.router.all()[index]
	l.shard, l.wire = s, wire
	// Spread the reports of many links over time.
	l.next.reports = now.Add(time.Duration(l.ssrc%1000) * time.Millisecond)
	for _, slot := range l.slots {
		slot.shard.Store(s)
	}
	l.SetState(LinkActive)
	if l.trunk != nil {
		l.trunk.ready(now)
	}
	l.prepareSurvey(now)
}

// Closed ends the link. The shard is held, if there ever was one.
func (l *Link) Closed() {
	if l.closed {
		return
	}
	for _, slot := range l.slots {
		slot.shard.Store(nil)
	}
	if s := l.shard; s != nil {
		for _, slot := range l.slots {
			slot.assign(nil, 0, s, time.Time{})
		}
		if i := slices.Index(s.busy, l); i >= 0 {
			s.busy = slices.Delete(s.busy, i, i+1)
		}
		l.state.Store(int32(LinkLost))
	}
	for _, t := range l.tracks {
		t.close()
	}
	l.path.close()
	if l.trunk != nil {
		l.trunk.loads.end(l.path.budget)
	}
	l.queue = nil
	l.closed = true
	l.notify()
}

// RTP takes a decrypted packet of the remote. The shard is held; the packet
// may be changed, and must stay as it is then until Router.Deliver.
func (l *Link) RTP(raw []byte, now time.Time) {
	s := l.shard
	if s == nil || l.closed {
		return
	}
	s.count(packetsIn, 1)
	if l.trunk != nil {
		s.count(relayedIn, 1)
	}
	p := &s.packet
	var ok bool
	if p.Header, ok = header.Parse(raw); !ok {
		s.count(ignored, 1)
		return
	}
	p.raw = raw
	l.arrived(p, now)
	st := l.find(p)
	if st == nil {
		s.count(ignored, 1)
		return
	}
	p.track = st.track
	if st.rtx {
		if p.raw, ok = rtx.Unwrap(raw, l.types[p.PayloadType].primary, st.track.ssrc); !ok {
			return // padding, to probe for bandwidth
		}
		p.Header, _ = header.Parse(p.raw)
	}
	st.track.receive(s, p, st.rtx, now)
}

// find returns the stream that a packet belongs to, nil if there is none.
func (l *Link) find(p *packet) *stream {
	if l.recent < len(l.streams) && l.streams[l.recent].ssrc == p.SSRC {
		return &l.streams[l.recent]
	}
	if l.trunk != nil {
		return l.trunk.find(p)
	}
	for i := range l.streams {
		if l.streams[i].ssrc == p.SSRC {
			l.recent = i
			return &l.streams[i]
		}
	}
	return l.resolve(p)
}

// resolve learns what a new synchronisation source carries: from its payload
// type and, for simulcast, the stream id (RFC 8852) in its header extension.
func (l *Link) resolve(p *packet) *stream {
	t := l.types[p.PayloadType]
	if t.publish == 0 {
		return nil
	}
	pub := &l.publish[t.publish-1]
	if t.rtx {
		if tr := l.repaired(pub, p); tr != nil {
			return l.keep(stream{ssrc: p.SSRC, track: tr, rtx: true})
		}
		return nil
	}
	layer, ok := pub.layerOf(p)
	if !ok {
		return nil
	}
	if old := l.trackOf(pub.source, layer); old != nil { // the publisher began anew
		old.close()
		l.tracks = slices.DeleteFunc(l.tracks, func(t *track) bool { return t == old })
		l.streams = slices.DeleteFunc(l.streams, func(s stream) bool { return s.track == old })
	}
	tr := newTrack(l, pub.source, pub.form, layer, p.SSRC)
	l.rouse()
	l.tracks = append(l.tracks, tr)
	pub.source.layers[layer].Store(tr)
	return l.keep(stream{ssrc: p.SSRC, track: tr})
}

// layerOf tells which layer a new stream is: by its stream id, else by the
// offer if that lists one SSRC for each layer.
func (pub *publishing) layerOf(p *packet) (int, bool) {
	if len(pub.rids) == 0 {
		return 0, true
	}
	if rid := p.Extension(p.raw, pub.ridID); pub.ridID != 0 && rid != nil {
		return pub.layerNamed(rid)
	}
	i := slices.Index(pub.ssrcs, p.SSRC)
	return i, i >= 0 && len(pub.ssrcs) == len(pub.rids)
}

func (pub *publishing) layerNamed(rid []byte) (int, bool) {
	for i, r := range pub.rids {
		if string(rid) == r {
			return i, true
		}
	}
	return 0, false
}

// repaired tells which track a new stream of retransmissions repairs: by the
// repaired stream id (RFC 8852 section 3), else by the offer (RFC 4588 section
// 8.8), as of Firefox, which sends no such id.
func (l *Link) repaired(pub *publishing, p *packet) *track {
	if rid := p.Extension(p.raw, pub.rridID); pub.rridID != 0 && rid != nil {
		if layer, ok := pub.layerNamed(rid); ok {
			return l.trackOf(pub.source, layer)
		}
		return nil
	}
	for _, t := range l.tracks {
		if rtx, ok := pub.rtxOf[t.ssrc]; ok && rtx == p.SSRC && t.source == pub.source {
			return t
		}
	}
	if len(pub.rids) == 0 {
		return l.trackOf(pub.source, 0)
	}
	return nil
}

func (l *Link) trackOf(source *Source, layer int) *track {
	for _, t := range l.tracks {
		if t.source == source && t.layer == layer {
			return t
		}
	}
	return nil
}

// keep remembers a stream, forgetting the oldest if there are too many.
func (l *Link) keep(st stream) *stream {
	if len(l.streams) >= maxStreams {
		l.streams = slices.Delete(l.streams, 0, 1)
	}
	l.streams = append(l.streams, st)
	l.recent = len(l.streams) - 1
	return &l.streams[l.recent]
}
