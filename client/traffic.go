package client

import (
	"time"

	"causeway/protocol"
)

// Traffic is what a media connection carries, for display.
type Traffic struct {
	Transport     protocol.Transport
	Remote        string
	Path          string        // active, silent or lost
	RTT           time.Duration // of connectivity checks
	BytesSent     uint64
	BytesReceived uint64
	protocol.MediaReport
}

// Traffic tells what each media connection carries now.
func (m *Meeting) Traffic() map[protocol.MediaKind]Traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := map[protocol.MediaKind]Traffic{}
	if m.now == nil {
		return list
	}
	for _, l := range m.now.links {
		stats := l.conn.Stats()
		r := m.total(l)
		list[l.kind] = Traffic{
			Transport: r.Transport, Remote: r.Remote, Path: l.snapshot().path.String(), RTT: stats.RTT,
			BytesSent: stats.BytesSent, BytesReceived: stats.BytesReceived, MediaReport: r,
		}
	}
	return list
}

// total is what a link and those of its kind before it have carried. The lock
// is held.
func (m *Meeting) total(l *link) protocol.MediaReport {
	r, stats, s := m.past[l.kind], l.conn.Stats(), l.snapshot()
	r.Transport, r.DSCP = stats.Transport, l.kind.DSCP()
	if stats.Remote.IsValid() {
		r.Remote = stats.Remote.String()
	}
	if r.FirstPacketMS == 0 && !s.firstMedia.IsZero() {
		r.FirstPacketMS = m.recorder.Since(s.firstMedia)
	}
	r.PacketsSent += stats.PacketsSent
	r.PacketsReceived += stats.PacketsReceived
	r.PacketsLost += s.lost
	return r
}

// recordTraffic brings the report up to date.
func (m *Meeting) recordTraffic() {
	m.mu.Lock()
	reports := map[protocol.MediaKind]protocol.MediaReport{}
	for k, r := range m.past {
		reports[k] = r
	}
	if m.now != nil {
		for _, l := range m.now.links {
			reports[l.kind] = m.total(l)
			if s := l.snapshot(); !s.firstMedia.IsZero() {
				m.recorder.FirstMedia(s.firstMedia)
			}
			for source := range l.snapshot().acked {
				m.acked[source] = true
			}
		}
	}
	ok := m.joined
	for _, t := range m.tracks {
		ok = ok && m.acked[t.Source]
	}
	m.mu.Unlock()
	for k, r := range reports {
		m.recorder.Media(k, r)
	}
	m.recorder.Set(func(r *protocol.Report) { r.OK = ok })
}

// Report tells how this participant got in and how it went: every phase and
// attempt, the paths in use, what happened since. It may be asked for at any
// time, and of a meeting that could not be joined. OK says that the meeting
// was joined and that the router acknowledged everything that is published.
func (m *Meeting) Report() protocol.Report {
	m.recordTraffic()
	return m.recorder.Report()
}
