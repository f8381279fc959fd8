package meeting

import (
	"context"
	"slices"
	"strings"
	"time"

	"causeway/internal/media/offer"
	"causeway/internal/mmr/forward"
	"causeway/internal/mmr/legs"
	"causeway/internal/mmr/relay"
	"causeway/protocol"
)

// removed is the prefix of the settings that name whom a host has removed.
const removed = "removed/"

// Hear takes what another leg says of itself.
func (m *Meeting) Hear(ctx context.Context, from legs.Address, u *protocol.LegUpdate) error {
	return m.send(ctx, heardUpdate{from, u})
}

type heardUpdate struct {
	from   legs.Address
	update *protocol.LegUpdate
}

func (h heardUpdate) handle(m *Meeting, now time.Time) { m.state.Hear(h.from, h.update, now) }

// HearChat takes what was said on another leg.
func (m *Meeting) HearChat(ctx context.Context, c *protocol.LegChat) error {
	return m.send(ctx, heardChat{c})
}

type heardChat struct{ chat *protocol.LegChat }

func (h heardChat) handle(m *Meeting, _ time.Time) { m.state.HearChat(h.chat) }

// AskAll asks the other legs for all that they have, now that their answers
// can be heard.
func (m *Meeting) AskAll(ctx context.Context) error { return m.send(ctx, askAll{}) }

type askAll struct{}

func (askAll) handle(m *Meeting, _ time.Time) { m.state.AskAll() }

// Asked takes another leg's wish to be told again.
func (m *Meeting) Asked(ctx context.Context, a protocol.LegAsk) error {
	return m.send(ctx, asked{a})
}

type asked struct{ protocol.LegAsk }

func (a asked) handle(m *Meeting, now time.Time) { m.state.Asked(a.LegAsk, now) }

// Do carries out what a host on another leg wants of somebody here. Its
// errors are ErrOver, or a *protocol.Problem.
func (m *Meeting) Do(ctx context.Context, d protocol.LegDo) error {
	answer := make(chan error, 1)
	return m.ask(ctx, do{d, answer}, answer)
}

type do struct {
	protocol.LegDo
	answer chan error
}

func (d do) handle(m *Meeting, now time.Time) {
	m.takeIn(now) // the host may have come with the message before
	by := m.roster[d.By]
	switch {
	case m.over:
		d.answer <- ErrOver
		return
	case by == nil || by.Role != protocol.Host:
		d.answer <- protocol.NewProblem(protocol.ProblemNotHost, "")
		return
	}
	switch d.Action {
	case protocol.HostMuteAll:
		m.muteAll(d.By)
	case protocol.HostMute, protocol.HostLowerHand:
		if m.people[d.Participant] == nil {
			d.answer <- protocol.NewProblem(protocol.ProblemNotFound, "there is no such participant")
			return
		}
		m.act(d.Action, d.Participant, d.By)
	default:
		d.answer <- protocol.NewProblem(protocol.ProblemBadRequest, "unknown host action "+clip(string(d.Action)))
		return
	}
	d.answer <- nil
}

// doElsewhere asks another leg for what a host on this one wants. If it
// fails, the host is told.
func (m *Meeting) doElsewhere(leg legs.Address, d protocol.LegDo) {
	if m.cfg.Do == nil {
		return
	}
	d.Meeting = m.cfg.Info.ID
	m.cfg.Do(leg, d, func(p *protocol.Problem) {
		_ = m.send(context.Background(), refused{d.By, p})
	})
}

// refused tells a host that another leg did not do what was wanted.
type refused struct {
	host    string
	problem *protocol.Problem
}

func (r refused) handle(m *Meeting, _ time.Time) {
	if p := m.people[r.host]; p != nil && p.channel != nil && p.welcomed {
		p.channel.Send(protocol.Refusal{Problem: *r.problem})
	}
}

// obey carries out what has become known of the meeting's settings.
func (m *Meeting) obey(now time.Time) {
	for _, s := range m.state.TakeSettings() {
		if id, is := strings.CutPrefix(s.Key, stage); is {
			m.restage(id)
			continue
		}
		id, is := strings.CutPrefix(s.Key, removed)
		if p := m.people[id]; is && p != nil && s.Value != "" {
			m.remove(p, protocol.FarewellRemoved, s.Value, now)
		}
	}
}

// exchange tells the mesh which streams there are, when that has changed, at
// most every legs.Coalesce. It returns when to look again.
func (m *Meeting) exchange(now time.Time) time.Duration {
	m.streamsDue = m.state.TakeStreams() || m.streamsDue
	if !m.streamsDue || m.mesh == nil {
		return never
	}
	if wait := legs.Coalesce - now.Sub(m.streamsAt); wait > 0 {
		return wait
	}
	m.streamsDue, m.streamsAt, m.slotsDirty = false, now, true
	var own []*forward.Source
	for _, p := range m.order {
		if p.viewOnly() {
			continue
		}
		for _, s := range p.media.Sources {
			own = append(own, s)
		}
	}
	m.mesh.SetLeaving(m.leaving())
	m.mesh.Set(own, m.others())
	for _, e := range m.roster {
		m.gateFar(e)
	}
	return never
}

// lives is what the life of a router means for its leg.
var lives = map[relay.Life]legs.Media{
	relay.Unknown: legs.MediaNone, relay.Alive: legs.MediaHeard, relay.Doubtful: legs.MediaDoubtful, relay.Dead: legs.MediaDead,
}

// leaving reports whether the router is about to go.
func (m *Meeting) leaving() bool { return m.cfg.Leaving != nil && m.cfg.Leaving() }

// listenTo takes legs whose media comes for alive, whatever the bus says, and
// tells them whether this one is to stay.
func (m *Meeting) listenTo(now time.Time) {
	m.state.SetLeaving(m.leaving(), now)
	if m.mesh == nil {
		return
	}
	for _, l := range m.state.Legs() {
		m.state.Near(l.Address, lives[m.mesh.Life(l.Zone, l.MMR)], now)
		if m.mesh.Alive(l.Zone, l.MMR) {
			m.state.Alive(l.Address, now)
		}
	}
}

// others lists the other legs and what is published there.
func (m *Meeting) others() []relay.Leg {
	var all []relay.Leg
	for _, l := range m.state.Legs() {
		leg := relay.Leg{Zone: l.Zone, MMR: l.MMR, OnPremises: l.OnPremises, Fingerprint: l.Fingerprint, Epoch: l.Epoch, Silent: l.Silent || l.Leaving}
		for id, p := range l.People {
			for _, s := range p.Sources {
				leg.Streams = append(leg.Streams, relay.Stream{ID: s.Stream, Owner: id, Kind: s.Kind.Shown(), Codec: offer.Codec{
					PayloadType: s.Codec.PayloadType, Name: s.Codec.Name, ClockRate: s.Codec.ClockRate,
					Channels: s.Codec.Channels, Fmtp: s.Codec.Fmtp,
				}})
			}
		}
		all = append(all, leg)
	}
	return all
}

// legSources is what the other legs are told of a session's sources.
func legSources(media *Media) []protocol.LegSource {
	var all []protocol.LegSource
	for _, kind := range []protocol.Source{protocol.Mic, protocol.Camera, protocol.CameraScalable, protocol.Screen, protocol.ScreenAudio} {
		if s := media.Sources[kind]; s != nil {
			c := s.Codec()
			all = append(all, protocol.LegSource{Kind: kind, Stream: s.Stream(), Codec: protocol.LegCodec{
				Name: c.Name, ClockRate: c.ClockRate, Channels: c.Channels, Fmtp: c.Fmtp, PayloadType: c.PayloadType,
			}})
		}
	}
	return slices.Clip(all)
}

// publish sends the other legs what is due, and returns when to look again.
func (m *Meeting) publish(now time.Time) time.Duration {
	out := m.state.Poll(now)
	if m.cfg.Publish != nil && len(out.Asks)+len(out.Updates)+len(out.Chats) > 0 {
		m.cfg.Publish(out)
	}
	return out.Next.Sub(now)
}
