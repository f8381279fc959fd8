package mmr

import (
	"time"

	"causeway/internal/mmr/forward"
	"causeway/internal/peer"
)

// handler hands a media connection's events to its link.
type handler struct{ link *forward.Link }

var (
	_ peer.Handler    = handler{}
	_ peer.Shedder    = handler{}
	_ peer.Prefetcher = handler{}
)

// Prefetch implements peer.Prefetcher.
func (h handler) Prefetch(step int) { h.link.Prefetch(step) }

// Ready implements peer.Handler.
func (h handler) Ready(c *peer.Conn, now time.Time) { h.link.Ready(c.Shard().Index(), c, now) }

// RTP implements peer.Handler.
func (h handler) RTP(_ *peer.Conn, packet []byte, now time.Time) { h.link.RTP(packet, now) }

// RTCP implements peer.Handler.
func (h handler) RTCP(_ *peer.Conn, packet []byte, now time.Time) { h.link.RTCP(packet, now) }

// Path implements peer.Handler.
func (h handler) Path(_ *peer.Conn, state peer.PathState, _ time.Time) {
	switch state {
	case peer.PathActive:
		h.link.SetState(forward.LinkActive)
	case peer.PathSilent:
		h.link.SetState(forward.LinkSilent)
	case peer.PathLost:
		h.link.SetState(forward.LinkLost)
	}
}

// Shed implements peer.Shedder.
func (h handler) Shed(_ *peer.Conn, _ int, now time.Time) { h.link.Shed(now) }

// Closed implements peer.Handler.
func (h handler) Closed(*peer.Conn, error) { h.link.Closed() }
