package mmr

import (
	"context"
	"log/slog"
	"time"

	"causeway/internal/bus"
	"causeway/protocol"
)

// How web is told that a meeting has ended, and for how long that is tried.
const (
	endedTimeout   = 2 * time.Second
	endedRetry     = 5 * time.Second
	endedGiveUp    = time.Hour
	maxEndedQueued = 1024
)

// endings tells web of meetings that a host has ended. While web is away it
// keeps them, up to maxEndedQueued for endedGiveUp.
type endings struct {
	bus     *bus.Conn
	log     *slog.Logger
	ended   chan protocol.MeetingEnded
	waiting []protocol.MeetingEnded
}

func newEndings(c *bus.Conn, log *slog.Logger) *endings {
	return &endings{bus: c, log: log, ended: make(chan protocol.MeetingEnded, maxEndedQueued)}
}

// add queues an ending; it never blocks.
func (e *endings) add(m protocol.MeetingEnded) {
	select {
	case e.ended <- m:
	default:
		e.log.Error("meeting ended, web cannot be told: too many are waiting", "meeting", m.Meeting)
	}
}

// run tells web until ctx ends.
func (e *endings) run(ctx context.Context) {
	retry := time.NewTicker(endedRetry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-e.ended:
			if !e.tell(ctx, m) && len(e.waiting) < maxEndedQueued {
				e.waiting = append(e.waiting, m)
			}
		case now := <-retry.C:
			e.again(ctx, now)
		}
	}
}

// again tries what waits, in order, until one fails.
func (e *endings) again(ctx context.Context, now time.Time) {
	for len(e.waiting) > 0 {
		m := e.waiting[0]
		if now.Sub(m.At) > endedGiveUp {
			e.log.Error("meeting ended, web was not told: it did not answer", "meeting", m.Meeting)
		} else if !e.tell(ctx, m) {
			return
		}
		e.waiting = e.waiting[1:]
	}
}

func (e *endings) tell(ctx context.Context, m protocol.MeetingEnded) bool {
	ctx, cancel := context.WithTimeout(ctx, endedTimeout)
	defer cancel()
	_, err := bus.Request[protocol.Empty](ctx, e.bus, protocol.SubjectMeetingEnded, m)
	if err != nil {
		e.log.Warn("meeting ended, web not told yet", "meeting", m.Meeting, "err", err)
	}
	return err == nil
}
