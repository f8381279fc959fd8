package client

import (
	"fmt"
	"slices"
	"strconv"

	"causeway/internal/media/offer"
	"causeway/internal/peer"
	"causeway/protocol"
)

// A plan is what a participant sends and receives on one media connection.
type plan struct {
	kind    protocol.MediaKind
	tracks  []int            // of the feed, what is sent
	sources []Track          // as tracks
	sounds  int              // slots for sound
	picture int              // slots for pictures
	local   peer.Credentials // fresh for every admission
	streams []*outgoing      // as tracks
}

// slotID names a kind's slot by its place, from 0.
func slotID(kind protocol.MediaKind, i int) protocol.SlotID {
	letter := map[protocol.MediaKind]string{protocol.Audio: "a", protocol.Video: "v", protocol.Content: "c"}[kind]
	return protocol.SlotID(letter + strconv.Itoa(i+1))
}

// connectionOf is where a source travels.
func connectionOf(s protocol.Source) protocol.MediaKind {
	switch s {
	case protocol.Mic:
		return protocol.Audio
	case protocol.Camera:
		return protocol.Video
	}
	return protocol.Content
}

func isSound(s protocol.Source) bool { return s == protocol.Mic || s == protocol.ScreenAudio }

// plans works out which connections are needed for what.
func plans(tracks []Track, audioSlots, videoSlots int, content bool) []*plan {
	var list []*plan
	for _, kind := range protocol.MediaKinds {
		p := &plan{kind: kind}
		switch {
		case kind == protocol.Audio:
			p.sounds = audioSlots
		case kind == protocol.Video:
			p.picture = videoSlots
		case content:
			p.sounds, p.picture = 1, 1
		}
		for i, t := range tracks {
			if connectionOf(t.Source) == kind {
				p.tracks, p.sources = append(p.tracks, i), append(p.sources, t)
			}
		}
		if len(p.tracks)+p.sounds+p.picture > 0 {
			list = append(list, p)
		}
	}
	return list
}

// checkTracks refuses feeds that cannot be offered.
func checkTracks(tracks []Track) error {
	seen := map[string]bool{}
	layers := map[protocol.Source]int{}
	for _, t := range tracks {
		key := string(t.Source) + "/" + t.Layer
		layers[t.Source]++
		sound := isSound(t.Source)
		switch {
		case !slices.Contains([]protocol.Source{protocol.Mic, protocol.Camera, protocol.Screen, protocol.ScreenAudio}, t.Source):
			return fmt.Errorf("feed: no such source %q", t.Source)
		case sound != (t.Codec == Opus) || !slices.Contains([]Codec{Opus, VP8, H264}, t.Codec):
			return fmt.Errorf("feed: %s cannot be %q", t.Source, t.Codec)
		case seen[key] || layers[t.Source] > 1 && (sound || t.Layer == ""):
			return fmt.Errorf("feed: two tracks of %s need different layers", t.Source)
		}
		seen[key] = true
	}
	return nil
}

// offer makes the SDP offer of a connection, with fresh streams.
func (p *plan) offer(fingerprint, cname string) string {
	p.local = peer.NewCredentials()
	p.streams = nil
	params := offer.Params{Ufrag: p.local.Ufrag, Pwd: p.local.Pwd, Fingerprint: fingerprint}
	for _, source := range p.published() {
		params.Lines = append(params.Lines, p.sending(source, cname))
	}
	for range p.picture {
		params.Lines = append(params.Lines, offer.LineParams{Kind: offer.Video, Direction: offer.RecvOnly})
	}
	for range p.sounds {
		params.Lines = append(params.Lines, offer.LineParams{Kind: offer.Audio, Direction: offer.RecvOnly})
	}
	d := offer.New(params)
	for i, s := range p.streams {
		p.adopt(s, p.sources[i], &d)
	}
	return d.String()
}

// published lists the sources that are sent, pictures first: their lines
// stand in this order.
func (p *plan) published() []protocol.Source {
	var list []protocol.Source
	for _, t := range p.sources {
		if !slices.Contains(list, t.Source) {
			list = append(list, t.Source)
		}
	}
	slices.SortFunc(list, func(a, b protocol.Source) int { return order(a) - order(b) })
	return list
}

func order(s protocol.Source) int {
	if isSound(s) {
		return 1
	}
	return 0
}

// sending describes the line of a source and makes its streams.
func (p *plan) sending(source protocol.Source, cname string) offer.LineParams {
	line := offer.LineParams{Kind: offer.Video, Direction: offer.SendOnly, Stream: cname}
	if isSound(source) {
		line.Kind = offer.Audio
	}
	if p.streams == nil {
		p.streams = make([]*outgoing, len(p.sources))
	}
	for i, t := range p.sources {
		if t.Source != source {
			continue
		}
		line.Codecs = codecsOf(line.Kind, t.Codec)
		s := newOutgoing(t.Codec, line.Codecs[0].PayloadType, line.Codecs[0].RTX)
		s.layer, s.source = t.Layer, t.Source
		p.streams[i] = s
		if t.Layer != "" {
			line.RIDs = append(line.RIDs, t.Layer)
		} else {
			line.SSRC, line.RTX = s.ssrc, s.rtx
		}
	}
	return line
}

// codecsOf offers, for what is sent, the one codec that the feed has.
func codecsOf(kind offer.Kind, codec Codec) []offer.Codec {
	name := map[Codec]string{Opus: offer.Opus, VP8: offer.VP8, H264: offer.H264}[codec]
	list := offer.DefaultCodecs(kind)
	return slices.DeleteFunc(list, func(c offer.Codec) bool { return c.Name != name })
}

// adopt gives a stream the header extensions of its line.
func (p *plan) adopt(s *outgoing, t Track, d *offer.Description) {
	kind := offer.Video
	if isSound(t.Source) {
		kind = offer.Audio
	}
	l := &d.Lines[d.Publishing(kind)[0]]
	s.mid = l.MID
	s.extensions = extensions{
		level: l.ExtensionID(offer.URIAudioLevel), mid: l.ExtensionID(offer.URIMID),
		rid: l.ExtensionID(offer.URIRID), repairedRID: l.ExtensionID(offer.URIRepairedRID),
	}
}

// accept takes the router's answer: which streams may be sent, and what the
// slots look like.
func (p *plan) accept(d *offer.Description) ([]*incoming, error) {
	if d.Ufrag == "" || d.Fingerprint == "" || len(d.Candidates) == 0 {
		return nil, fmt.Errorf("answer for %s: no address or no credentials", p.kind)
	}
	published := p.published()
	for i := range published {
		if i >= len(d.Lines) || d.Lines[i].Rejected || !d.Lines[i].Direction.Receives() {
			return nil, fmt.Errorf("answer for %s: it does not take our %s", p.kind, published[i])
		}
	}
	for _, s := range p.streams {
		s.keep(&d.Lines[slices.Index(published, s.source)])
	}
	var slots []*incoming
	count := map[string]int{}
	for i := len(published); i < len(d.Lines); i++ {
		l := &d.Lines[i]
		letter := p.letter(l.Kind)
		count[letter]++
		if l.Rejected || !l.Direction.Sends() || len(l.SSRCs) == 0 {
			continue
		}
		id := protocol.SlotID(letter + strconv.Itoa(count[letter]))
		slots = append(slots, newIncoming(id, l))
	}
	return slots, nil
}

// letter is how slots of a kind of line are named on this connection.
func (p *plan) letter(kind offer.Kind) string {
	switch {
	case p.kind == protocol.Content && kind == offer.Audio:
		return "s"
	case p.kind == protocol.Content:
		return "c"
	case kind == offer.Audio:
		return "a"
	}
	return "v"
}

// keep drops what the router did not agree to.
func (o *outgoing) keep(l *offer.Line) {
	known := func(id uint8, uri string) uint8 {
		if l.ExtensionID(uri) == id {
			return id
		}
		return 0
	}
	o.extensions = extensions{
		level: known(o.extensions.level, offer.URIAudioLevel), mid: known(o.extensions.mid, offer.URIMID),
		rid: known(o.extensions.rid, offer.URIRID), repairedRID: known(o.extensions.repairedRID, offer.URIRepairedRID),
	}
	if len(l.Codecs) == 0 || l.Codecs[0].RTX != o.rtxPT {
		o.rtx, o.rtxPT = 0, 0
	}
}
