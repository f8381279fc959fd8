package web

import (
	"context"
	"slices"
	"time"

	"causeway/internal/bus"
	"causeway/internal/token"
	"causeway/protocol"
)

const (
	// endedEvery is how often ended meetings are repeated (protocol/bus.go).
	endedEvery = 10 * time.Second
	// maxEnded bounds how many are repeated: the latest ones.
	maxEnded = 20_000
)

// repeatEnded tells on the bus which meetings have ended, at once, every 10 s
// and when asked, for as long as join tokens for them are valid: a router that
// has not heard of the end would open the meeting again.
func (s *Server) repeatEnded(ctx context.Context, ask <-chan struct{}) error {
	tick := time.NewTicker(endedEvery)
	defer tick.Stop()
	for {
		if err := s.tellEnded(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("ended meetings not told", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ask:
		case <-tick.C:
		}
	}
}

func (s *Server) tellEnded(ctx context.Context, now time.Time) error {
	ended, err := s.store.EndedMeetings(ctx, now.Add(-s.cfg.TokenLifetime-2*token.Leeway), maxEnded)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(ended, protocol.MaxMeetingsEnded) {
		if err := bus.Publish(s.bus, protocol.SubjectMeetingsEnded, protocol.MeetingsEnded{Meetings: some}); err != nil {
			return err
		}
	}
	return nil
}
