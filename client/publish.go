package client

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"causeway/protocol"
)

const (
	burst    = 8                    // packets of a picture sent at once
	breather = 2 * time.Millisecond // then the network gets this long
	// lead is how long a file that is played once waits for those who are
	// there already to ask for its pictures: it cannot make another key frame
	// for them.
	lead    = 500 * time.Millisecond
	tooLate = 500 * time.Millisecond // behind by more than this, the feed's clock is set anew
)

// A publisher sends a feed in real time. It survives the connections it sends
// on: when the participant resumes or moves it is given new ones, and sends on
// both as long as there are two.
type publisher struct {
	feed   Feed
	tracks []Track
	log    *slog.Logger

	mu     sync.Mutex
	routes [][]route // by track
	muted  map[protocol.Source]bool
	held   bool // nothing is sent: an attendee of a webinar only watches
}

// request pauses and resumes layers of a source on the connections of an
// admission, as its router asks. It reports whether one was resumed: that
// begins with the next key frame.
func (p *publisher) request(links []*link, source protocol.Source, active []bool) (resumed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	layer := 0
	for t, track := range p.tracks {
		if track.Source != source {
			continue
		}
		for _, r := range p.routes[t] {
			if layer < len(active) && slices.Contains(links, r.link) {
				resumed = r.stream.request(active[layer]) || resumed
			}
		}
		layer++
	}
	return resumed
}

// request pauses the stream or lets it go on, and reports whether it is now
// to go on. The publisher's lock is held.
func (o *outgoing) request(active bool) (resumed bool) {
	resumed = active && o.paused
	o.paused, o.waits = !active, active && (o.paused || o.waits)
	return resumed
}

// flows reports whether the stream's next sample is to be sent. The
// publisher's lock is held.
func (o *outgoing) flows(s *Sample) bool {
	o.waits = o.waits && !s.Key
	return !o.paused && !o.waits
}

// A route is where a track goes.
type route struct {
	link   *link
	stream *outgoing
}

func newPublisher(feed Feed, log *slog.Logger) *publisher {
	tracks := feed.Tracks()
	return &publisher{feed: feed, tracks: tracks, log: log, routes: make([][]route, len(tracks)), muted: map[protocol.Source]bool{}}
}

// connect gives the tracks of a plan one more connection.
func (p *publisher) connect(l *link, tracks []int, streams []*outgoing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, t := range tracks {
		p.routes[t] = append(slices.Clone(p.routes[t]), route{l, streams[i]})
	}
}

// disconnect sends nothing more on connections.
func (p *publisher) disconnect(links []*link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, routes := range p.routes {
		kept := []route{}
		for _, r := range routes {
			if !slices.Contains(links, r.link) {
				kept = append(kept, r)
			}
		}
		p.routes[t] = kept
	}
}

// mute stops or resumes sending a source. Its time goes on.
func (p *publisher) mute(source protocol.Source, muted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muted[source] = muted
}

// hold stops sending everything, or resumes it. The feed's time goes on.
func (p *publisher) hold(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
}

// once reports whether the feed is a file that is played once.
func (p *publisher) once() bool {
	f, ok := p.feed.(*fileFeed)
	return ok && !f.loop
}

// run sends until the feed or ctx ends. Its error is nil at the feed's end.
func (p *publisher) run(ctx context.Context) error {
	defer p.feed.Close()
	if p.once() && !pause(ctx, lead) {
		return nil
	}
	return pace(ctx, p.feed, func(s Sample, captured time.Time) {
		if s.Track >= 0 && s.Track < len(p.tracks) {
			p.send(ctx, s, captured)
		}
	})
}

// pace calls send with each sample of a feed when it is due, and with the
// moment it stands for.
func pace(ctx context.Context, feed Feed, send func(s Sample, captured time.Time)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var start time.Time // what is captured at 0 on the feed's clock
	for {
		s, err := feed.Next()
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		now := time.Now()
		if start.IsZero() || now.Sub(start.Add(s.At)) > tooLate {
			start = now.Add(-s.At) // the machine slept, or a live source paused
		}
		timer.Reset(start.Add(s.At).Sub(now))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		send(s, start.Add(s.At))
	}
}

// send sends a sample on all its connections.
func (p *publisher) send(ctx context.Context, s Sample, captured time.Time) {
	p.mu.Lock()
	routes, source := p.routes[s.Track], p.tracks[s.Track].Source
	off := p.held || p.muted[source]
	p.mu.Unlock()
	if off || len(s.Data) == 0 {
		return
	}
	for _, r := range routes {
		p.mu.Lock()
		flows := r.stream.flows(&s)
		p.mu.Unlock()
		if flows {
			r.send(ctx, s, captured, isSound(source))
		}
	}
}

// send packetizes a sample and sends it in bursts.
func (r route) send(ctx context.Context, s Sample, captured time.Time, sound bool) {
	packets := r.stream.packetize(s, sound)
	for len(packets) > 0 {
		n := min(burst, len(packets))
		r.link.run(func() {
			if r.link.live == nil {
				return
			}
			r.stream.lastRTP, r.stream.lastAt = r.stream.rtpTime(s.At), captured
			for _, packet := range packets[:n] {
				r.link.send(r.stream, packet, captured)
			}
		})
		if packets = packets[n:]; len(packets) > 0 && !pause(ctx, breather) {
			return
		}
	}
}

// pause waits; false: ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
