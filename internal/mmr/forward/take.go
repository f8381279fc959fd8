package forward

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
)

// What routers tell each other about a trunk, in application-defined RTCP
// packets (RFC 3550 section 6.7), so that no server is needed for it while
// the trunk is up. All of it is soft state: repeated every second, and at
// once when it changes.
//
//	"CWtk"  take: generation (16 bits), part, parts (8 each), the round trip
//	        that the sender has measured in microseconds (32, 0 for unknown),
//	        then the synchronisation sources that it wants, 32 bits each; 0
//	        stands for the loudest microphones, and those of a scalable stream's
//	        layers for what is wanted of it: it comes whole. Without a word of one for
//	        takenFor, or as soon as all parts of a generation have come
//	        without it, it is sent no more. Only who sends media can measure
//	        the round trip (RFC 3550 section 6.4.1), and who receives needs
//	        it, to know when to ask for repairs again.
//	"CWly"  layers: for each of the sender's pictures the stream (32 bits)
//	        and for each of three layers height in lines and rate in kbit/s
//	        (16 each), 0 for a layer that does not come.
//	"CWup"  what the sender knows of the meeting's legs; see Word.
//	"CWas"  a question (32 bits), whether the other router is there; see Pulse.
//	"CWan"  the answer: the same 32 bits.
const (
	takeName   = "CWtk"
	layersName = "CWly"
	wordName   = "CWup"
	pulseName  = "CWas"
	answerName = "CWan"

	repeatEvery = time.Second
	takenFor    = 5 * time.Second

	takeHeader = 8
	takePart   = 250 // names in one packet
	maxRTT     = 10 * time.Second
	maxTaken   = 4096 // names altogether
	layersPart = 64   // pictures in one packet
	layersSize = 4 + 4*maxLayers
	loudest0   = 0 // the name of the loudest microphones

	questionSize = 4
)

// taken is what the other router asks for.
type taken struct {
	until      map[uint32]taking
	generation uint16
	parts      int // of the generation that have come
}

type taking struct {
	until      time.Time
	generation uint16
}

// take is one part of what a router asks for.
type take struct {
	generation  uint16
	part, parts uint8
	rtt         time.Duration
	names       []byte // 32 bits each
}

func parseTake(data []byte) (t take, ok bool) {
	if len(data) < takeHeader || len(data)%4 != 0 {
		return take{}, false
	}
	t = take{
		generation: binary.BigEndian.Uint16(data), part: data[2], parts: data[3],
		rtt: time.Duration(binary.BigEndian.Uint32(data[4:])) * time.Microsecond, names: data[takeHeader:],
	}
	return t, t.part < t.parts && len(t.names)/4 <= takePart
}

func appendTake(dst []byte, generation uint16, part, parts int, rtt time.Duration, names []uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, generation)
	dst = append(dst, byte(part), byte(parts))
	dst = binary.BigEndian.AppendUint32(dst, uint32(min(rtt, maxRTT)/time.Microsecond))
	for _, n := range names {
		dst = binary.BigEndian.AppendUint32(dst, n)
	}
	return dst
}

// told takes what the other router tells. The shard is held.
func (t *Trunk) told(p *rtcp.ApplicationDefined, now time.Time) {
	switch p.Name {
	case takeName:
		if take, ok := parseTake(p.Data); ok {
			t.taken.take(take, now)
			if now.Sub(t.measured) >= takenFor {
				t.rtt = min(take.rtt, maxRTT)
			}
			t.serve(now)
		}
	case layersName:
		t.described(p.Data, now)
	case wordName:
		if t.word != nil {
			t.word.Hear(p.Data, now)
		}
	case pulseName:
		if len(p.Data) == questionSize {
			t.tell(answerName, p.Data)
		}
	case answerName:
		if len(p.Data) == questionSize && t.pulse != nil {
			t.pulse.Answered(binary.BigEndian.Uint32(p.Data), now)
		}
	}
}

// take notes a part.
func (k *taken) take(t take, now time.Time) {
	if t.generation != k.generation || t.part == 0 {
		k.generation, k.parts = t.generation, 0
	}
	k.parts++
	for n := t.names; len(n) >= 4; n = n[4:] {
		name := binary.BigEndian.Uint32(n)
		if _, known := k.until[name]; known || len(k.until) < maxTaken {
			k.until[name] = taking{now.Add(takenFor), t.generation}
		}
	}
	if k.parts < int(t.parts) {
		return
	}
	for name, g := range k.until {
		if g.generation != t.generation {
			delete(k.until, name)
		}
	}
}

// wants reports whether something is asked for, forgetting it if that was
// too long ago.
func (k *taken) wants(name uint32, now time.Time) bool {
	g, ok := k.until[name]
	if ok && !now.Before(g.until) {
		delete(k.until, name)
		return false
	}
	return ok
}

// serve sends what is asked for, and nothing else. The shard is held.
func (t *Trunk) serve(now time.Time) {
	for ssrc, s := range t.sending {
		if s.source != nil && !t.due(s, ssrc, now) {
			s.assign(nil, 0, t.shard, now)
		}
	}
	if t.taken.wants(loudest0, now) {
		for _, source := range t.applied.Loud {
			if t.own[source.Stream()] == source {
				t.start(source, source.Stream(), now)
			}
		}
	}
	for name := range t.taken.until {
		source := t.own[name&streamMask]
		if source == nil || source.cfg.Loudest != nil || name&repairBit != 0 || name&layerMask >= maxLayers {
			continue // not known yet, or nothing to be asked for
		}
		if source.scalable && name&layerMask > 0 {
			continue // comes with the lowest
		}
		if t.taken.wants(name, now) && t.carries(source, name, now) {
			t.start(source, name, now)
		}
		if source.scalable {
			t.serveInside(source, now)
		}
	}
}

// due reports whether a slot that carries something is to go on.
func (t *Trunk) due(s *Slot, ssrc uint32, now time.Time) bool {
	if s.source.cfg.Loudest == nil {
		return t.taken.wants(ssrc, now) && t.carries(s.source, ssrc, now)
	}
	if !t.taken.wants(loudest0, now) {
		return false
	}
	for _, loud := range t.applied.Loud {
		if loud == s.source {
			return true
		}
	}
	return false
}

// start begins to send a stream's layer, unless that is done already.
func (t *Trunk) start(source *Source, ssrc uint32, now time.Time) {
	if s := t.slot(source, ssrc); s.source != source {
		s.assign(source, 0, t.shard, now)
		t.says.at = time.Time{} // tell its layers soon
	}
}

// asks is what this router asks for.
type asks struct {
	masks      []uint8 // layers of each far source, in the plan's order
	generation uint16
	at         time.Time // last
	names      []uint32  // scratch
	data       []byte    //
}

// restart forgets what was asked for, as there is another plan.
func (a *asks) restart(p *Plan) {
	a.masks = append(a.masks[:0], make([]uint8, len(p.Far))...)
	a.at = time.Time{}
}

// ask tells the other router what is wanted of it, if that has changed or was
// said a second ago. The shard is held.
func (t *Trunk) ask(now time.Time) {
	a, p := &t.asks, t.applied
	changed := now.Sub(a.at) >= repeatEvery
	for i, source := range p.Far {
		if mask := source.asked(now); mask != a.masks[i] {
			a.masks[i], changed = mask, true
		}
	}
	if !changed {
		return
	}
	a.at = now
	a.generation++
	a.names = a.names[:0]
	if p.Listen {
		a.names = append(a.names, loudest0)
	}
	for i, source := range p.Far {
		for layer := range uint32(maxLayers) {
			if a.masks[i]&(1<<layer) != 0 && len(a.names) < maxTaken {
				a.names = append(a.names, source.Stream()|layer)
			}
		}
	}
	parts := max(1, (len(a.names)+takePart-1)/takePart)
	for part := range parts {
		names := a.names[part*takePart : min((part+1)*takePart, len(a.names))]
		a.data = appendTake(a.data[:0], a.generation, part, parts, t.rtt, names)
		t.tell(takeName, a.data)
	}
}

// tell sends an application-defined packet. The shard is held.
func (t *Trunk) tell(name string, data []byte) {
	t.send([]rtcp.Packet{&rtcp.ApplicationDefined{SSRC: t.ssrc, Name: name, Data: data}})
}

// question asks whether the other router is there. The shard is held.
func (t *Trunk) question(q uint32) {
	t.tell(pulseName, binary.BigEndian.AppendUint32(t.shard.scratch[:0], q))
}

// asked returns the layers that slots here take of a far source, or are about
// to, a bit each. Microphones are not asked for.
func (s *Source) asked(now time.Time) uint8 {
	if s.cfg.Loudest != nil || s.Muted() {
		return 0
	}
	return uint8(s.taken() | s.ahead.wanted(now))
}
