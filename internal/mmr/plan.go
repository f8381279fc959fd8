package mmr

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"causeway/internal/media/offer"
	"causeway/internal/mmr/forward"
	"causeway/internal/mmr/meeting"
	"causeway/internal/peer"
	"causeway/protocol"
)

// Slots that one participant may have, by the kind of source they take.
var maxSlots = map[protocol.Source]int{
	protocol.Mic: 8, protocol.Camera: protocol.MaxVideoSlots, protocol.Screen: 4, protocol.ScreenAudio: 4,
}

// plan is one media connection as it will be answered.
type plan struct {
	kind    protocol.MediaKind
	offer   offer.Description
	answer  offer.Description // without credentials and candidates
	publish map[int]protocol.Source
	slots   []plannedSlot
}

// plannedSlot is a slot on one line of the offer.
type plannedSlot struct {
	line   int
	source protocol.Source // what kind of source it takes
	offer.Slot
}

// sourceOf names what travels on a connection's lines, by their kind.
func sourceOf(connection protocol.MediaKind, line offer.Kind) (protocol.Source, string, bool) {
	switch {
	case connection == protocol.Audio && line == offer.Audio:
		return protocol.Mic, "a", true
	case connection == protocol.Video && line == offer.Video:
		return protocol.Camera, "v", true
	case connection == protocol.Content && line == offer.Video:
		return protocol.Screen, "c", true
	case connection == protocol.Content && line == offer.Audio:
		return protocol.ScreenAudio, "s", true
	}
	return "", "", false
}

// sourcesOf is how many sources of a kind travel on a connection: a camera in
// two forms.
func sourcesOf(connection protocol.MediaKind) int {
	if connection == protocol.Video {
		return 2
	}
	return 1
}

// planAll reads the offers. Its errors are problem bad_offer.
func planAll(offers protocol.Offers) ([]*plan, error) {
	var plans []*plan
	for _, kind := range protocol.MediaKinds {
		sdp := offers.Of(kind)
		if sdp == "" {
			continue
		}
		p, err := newPlan(kind, sdp)
		if err != nil {
			return nil, protocol.Wrap(protocol.ProblemBadOffer, fmt.Errorf("%s connection: %w", kind, err))
		}
		plans = append(plans, p)
	}
	if len(plans) == 0 {
		return nil, protocol.NewProblem(protocol.ProblemBadOffer, "no connection is offered")
	}
	return plans, nil
}

func newPlan(kind protocol.MediaKind, sdp string) (*plan, error) {
	d, err := offer.Parse(sdp)
	if err != nil {
		return nil, err
	}
	p := &plan{kind: kind, offer: d, publish: map[int]protocol.Source{}}
	slots := map[int]offer.Slot{}
	used := usedSSRCs(&d)
	for _, lineKind := range []offer.Kind{offer.Audio, offer.Video} {
		source, prefix, ok := sourceOf(kind, lineKind)
		publishing, receiving := d.Publishing(lineKind), d.Receiving(lineKind)
		if !ok {
			if len(publishing) > 0 || len(receiving) > 0 {
				return nil, fmt.Errorf("it carries a line of kind %s", lineKind)
			}
			continue
		}
		for n, line := range publishing[:min(len(publishing), sourcesOf(kind))] {
			p.publish[line] = source
			if n > 0 {
				p.publish[line] = protocol.CameraScalable
			}
		}
		if len(receiving) > maxSlots[source] {
			return nil, fmt.Errorf("%d receiving lines of kind %s, more than %d", len(receiving), lineKind, maxSlots[source])
		}
		for n, line := range receiving {
			s := offer.Slot{ID: fmt.Sprintf("%s%d", prefix, n+1), SSRC: used.fresh()}
			if lineKind == offer.Video {
				s.RTX = used.fresh()
			}
			slots[line] = s
			p.slots = append(p.slots, plannedSlot{line: line, source: source, Slot: s})
		}
	}
	p.answer, err = offer.Answer(d, offer.AnswerParams{Slots: slots, Sources: sourcesOf(kind)})
	if err != nil {
		return nil, err
	}
	return p, p.check()
}

// check refuses what cannot work and narrows what would be ambiguous.
func (p *plan) check() error {
	if len(p.publish) == 0 && len(p.slots) == 0 {
		return errors.New("no line sends or receives")
	}
	for line, source := range p.publish {
		l := &p.answer.Lines[line]
		if source == protocol.CameraScalable {
			if i := slices.IndexFunc(l.Codecs, forward.Scalable); i >= 0 && !l.Direction.Sends() {
				l.Narrow(l.Codecs[i : i+1])
			} else { // it would be the same once more
				l.Direction = offer.Inactive
				delete(p.publish, line)
			}
			continue
		}
		if l.Rejected || len(l.Codecs) == 0 {
			return fmt.Errorf("line %q has no codec that the router forwards", l.MID)
		}
		// One codec per source, so that everyone knows what a source is
		// before its first packet; unless the line is a slot too.
		if !l.Direction.Sends() {
			if l.Narrow(published(l)); l.Codecs == nil {
				return fmt.Errorf("line %q has no codec that the router forwards in simulcast", l.MID)
			}
		}
	}
	for _, s := range p.slots {
		if l := &p.answer.Lines[s.line]; l.Rejected || len(l.Codecs) == 0 {
			return fmt.Errorf("line %q has no codec that the router forwards", l.MID)
		}
	}
	return nil
}

// published is the codec in which a line is received: the first, of a
// simulcast the first that is not scalable; nil if there is none.
func published(l *offer.Line) []offer.Codec {
	i := slices.IndexFunc(l.Codecs, func(c offer.Codec) bool { return len(l.RIDs) < 2 || !forward.Scalable(c) })
	if i < 0 {
		return nil
	}
	return l.Codecs[i : i+1]
}

// ssrcs are synchronisation sources that are taken.
type ssrcs map[uint32]bool

func usedSSRCs(d *offer.Description) ssrcs {
	used := ssrcs{0: true}
	for i := range d.Lines {
		for _, s := range d.Lines[i].SSRCs {
			used[s] = true
			used[d.Lines[i].RTXOf[s]] = true
		}
	}
	return used
}

// fresh returns a random one that is not taken yet.
func (u ssrcs) fresh() uint32 {
	for {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		if s := binary.BigEndian.Uint32(b[:]); !u[s] {
			u[s] = true
			return s
		}
	}
}

// connect makes the participant's part of the packet path and registers its
// connections at the media port.
func (s *Server) connect(m *meeting.Meeting, participant string, plans []*plan, standby bool) (meeting.Media, protocol.Offers, error) {
	shared := own{clock: s.router.NewClock(), budget: s.router.NewBudget()}
	if standby {
		shared.budget.Survey()
	}
	media := meeting.Media{Sources: map[protocol.Source]*forward.Source{}}
	conns := map[protocol.MediaKind]*peer.Conn{}
	media.Close = func() {
		for _, c := range conns {
			c.Close()
		}
	}
	media.Restart = func(remote protocol.Credentials) error {
		c := conns[remote.Kind]
		if c == nil {
			return fmt.Errorf("there is no %s connection", remote.Kind)
		}
		return c.Restart(peer.Credentials{Ufrag: remote.Ufrag, Pwd: remote.Pwd})
	}
	var answers protocol.Offers
	for _, p := range plans {
		link := p.link(s.router, m, participant, shared, &media)
		conn, err := s.port.Accept(peer.AcceptConfig{
			Remote:            peer.Credentials{Ufrag: strings.Clone(p.offer.Ufrag), Pwd: strings.Clone(p.offer.Pwd)},
			RemoteFingerprint: strings.Clone(p.offer.Fingerprint),
			Active:            p.answer.Setup == offer.Active,
			TOS:               p.kind.DSCP() << 2,
			Handler:           handler{link},
		})
		if err != nil {
			media.Close()
			return meeting.Media{}, protocol.Offers{}, fmt.Errorf("open the %s connection: %w", p.kind, err)
		}
		conns[p.kind] = conn
		answer := p.answer
		answer.Ufrag, answer.Pwd, answer.Fingerprint = conn.LocalUfrag(), conn.LocalPwd(), s.port.Fingerprint()
		answer.Candidates = s.answered()
		answers.Set(p.kind, answer.String())
	}
	return media, answers, nil
}

// codecs keeps what the packet path needs of lines' codecs: once for all
// lines that have the same, and no part of the description's text, which
// would otherwise live as long as the participant.
type codecs [][]offer.Codec

func (c *codecs) keep(list []offer.Codec) []offer.Codec {
	for _, kept := range *c {
		if slices.EqualFunc(kept, list, func(a, b offer.Codec) bool {
			return a.PayloadType == b.PayloadType && a.RTX == b.RTX && a.RED == b.RED && a.Name == b.Name && a.Fmtp == b.Fmtp
		}) {
			return kept
		}
	}
	kept := slices.Clone(list)
	for i := range kept {
		k := &kept[i]
		k.Name, k.Fmtp, k.Feedback = strings.Clone(k.Name), strings.Clone(k.Fmtp), nil
	}
	*c = append(*c, kept)
	return kept
}

// transportCC is the id of transport-wide sequence numbers on a line, 0 if the
// participant does not answer them with feedback, or not by a short id.
func transportCC(l *offer.Line) uint8 {
	const longest = 14 // of the one-byte form (RFC 8285 section 4.2)
	id := l.ExtensionID(offer.URITransportCC)
	if id > longest || !slices.ContainsFunc(l.Codecs, func(c offer.Codec) bool { return c.HasFeedback("transport-cc") }) {
		return 0
	}
	return id
}

// own is what a participant's connections have in common.
type own struct {
	clock  *forward.Clock
	budget *forward.Budget
}

// link makes one connection's part of the packet path.
func (p *plan) link(r *forward.Router, m *meeting.Meeting, participant string, o own, media *meeting.Media) *forward.Link {
	cfg := forward.LinkConfig{Kind: p.kind, Budget: o.budget, Notify: m.Wake}
	var kept codecs
	for i, source := range p.publish {
		answered := kept.keep(p.answer.Lines[i].Codecs)
		src := r.NewSource(forward.SourceConfig{
			Owner: participant, Kind: source.Shown(), Codec: answered[0], Clock: o.clock, Loudest: m.LoudestOf(source),
		})
		media.Sources[source] = src
		cfg.Publish = append(cfg.Publish, forward.Publish{Source: src, Line: p.offer.Lines[i], Codecs: answered})
	}
	for _, s := range p.slots {
		l := &p.answer.Lines[s.line]
		cfg.Slots = append(cfg.Slots, forward.SlotConfig{
			ID: protocol.SlotID(s.ID), Kind: s.source, SSRC: s.SSRC, RTX: l.RTXOf[s.SSRC],
			Codecs: kept.keep(l.Codecs), AudioLevel: l.ExtensionID(offer.URIAudioLevel),
			TransportCC: transportCC(l), Descriptor: l.ExtensionID(offer.URIDependencyDescriptor),
		})
	}
	link := r.NewLink(cfg)
	media.Links = append(media.Links, link)
	media.Slots = append(media.Slots, link.Slots()...)
	return link
}
