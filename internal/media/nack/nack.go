// Package nack logs which packets of one received source are missing and
// says when to ask for them again (RFC 4585 §6.2.1) and when to give up.
//
// The router keeps a log for each source that it receives, the native client
// one for each slot. Receive is called for every packet, Due every few tens of
// milliseconds. The log holds at most MaxMissing packets; when more are
// missing the oldest are given up, and after a gap of MaxGap or more the
// stream is taken as begun anew. Nothing is allocated before the first loss,
// and little after.
package nack

import (
	"time"

	"causeway/internal/media/seqnum"
)

// Limits of a log.
const (
	MaxMissing = 256  // packets asked for at one time
	MaxGap     = 1000 // packets; a longer gap is a new beginning
	maxTries   = 10
)

// The delays of asking.
const (
	// reorder is how long a packet may be late before it is asked for, unless
	// reorderPackets newer ones have come.
	reorder        = 15 * time.Millisecond
	reorderPackets = 3
	// minRetry bounds how soon the same packet is asked for again.
	minRetry = 20 * time.Millisecond
	// defaultRTT stands for a round trip that is not known yet.
	defaultRTT = 100 * time.Millisecond
)

// missing is one packet that has not come.
type missing struct {
	seq   uint64
	since time.Time
	asked time.Time
	tries int
}

// Log is the receive log of one source. The zero value gives packets up after
// one second.
type Log struct {
	// Patience is how long a missing packet is of use; 0 is one second.
	Patience time.Duration

	seqs     seqnum.Unwrapper[uint16]
	missing  []missing // ascending
	stats    Stats
	lateness time.Duration
	lateAt   time.Time // when a packet last came late
}

// Stats counts what a log has seen.
type Stats struct {
	Recovered uint64 // came after they were asked for
	GivenUp   uint64 // never came
	Asked     uint64 // requests, repeated ones counted each time
}

// Verdict says what a received packet is.
type Verdict int

// The verdicts.
const (
	Fresh     Verdict = iota // newer than all before
	Late                     // had been missing
	Duplicate                // came before, or was given up
	Restart                  // the stream begins anew
)

// Receive logs a packet.
func (l *Log) Receive(seq uint16, now time.Time) Verdict {
	highest, started := l.seqs.Highest()
	n := l.seqs.Peek(seq)
	switch {
	case !started:
		l.seqs.Unwrap(seq)
		return Fresh
	case n > highest+MaxGap || n+MaxGap < highest:
		l.giveUp(len(l.missing))
		l.seqs.Reset()
		l.seqs.Unwrap(seq)
		return Restart
	case n > highest:
		for m := highest + 1; m < n; m++ {
			l.miss(m, now)
		}
		l.seqs.Unwrap(seq)
		return Fresh
	}
	return l.late(n, now)
}

// MissBefore notes the n packets before the first one that came as missing, for
// a caller who knows that the stream began earlier. Nothing but the first
// packet must have come.
func (l *Log) MissBefore(n int, now time.Time) {
	first, started := l.seqs.Highest()
	if !started || len(l.missing) > 0 {
		return
	}
	for m := first - uint64(n); m < first; m++ {
		l.miss(m, now)
	}
}

// miss notes a packet as missing.
func (l *Log) miss(seq uint64, now time.Time) {
	if len(l.missing) == MaxMissing {
		l.giveUp(1)
	}
	l.missing = append(l.missing, missing{seq: seq, since: now})
}

// late takes a packet off the list.
func (l *Log) late(seq uint64, now time.Time) Verdict {
	for i := range l.missing {
		if m := &l.missing[i]; m.seq == seq {
			if m.tries > 0 {
				l.stats.Recovered++
			}
			l.lateness = max(now.Sub(m.since), l.Lateness(now)*15/16)
			l.lateAt = now
			l.missing = append(l.missing[:i], l.missing[i+1:]...)
			return Late
		}
	}
	return Duplicate
}

// giveUp takes the n oldest off the list.
func (l *Log) giveUp(n int) {
	l.stats.GivenUp += uint64(n)
	l.missing = append(l.missing[:0], l.missing[n:]...)
}

// Due appends to dst the packets to ask for now, in order, and notes that they
// have been asked for. rtt is the round trip to who sends, 0 if not known.
// gaveUp counts the packets given up in this call: for a picture it is time to
// wish for a key frame.
func (l *Log) Due(dst []uint16, now time.Time, rtt time.Duration) (due []uint16, gaveUp int) {
	if len(l.missing) == 0 {
		return dst, 0
	}
	if rtt <= 0 {
		rtt = defaultRTT
	}
	patience := l.Patience
	if patience == 0 {
		patience = time.Second
	}
	highest, _ := l.seqs.Highest()
	kept := l.missing[:0]
	for _, m := range l.missing {
		if now.Sub(m.since) >= patience || m.tries >= maxTries && now.Sub(m.asked) >= retry(rtt, m.tries) {
			l.stats.GivenUp++
			gaveUp++
			continue
		}
		if m.due(now, rtt, highest) {
			m.tries++
			m.asked = now
			l.stats.Asked++
			dst = append(dst, uint16(m.seq))
		}
		kept = append(kept, m)
	}
	l.missing = kept
	return dst, gaveUp
}

// due reports whether it is time to ask.
func (m *missing) due(now time.Time, rtt time.Duration, highest uint64) bool {
	if m.tries == 0 {
		return now.Sub(m.since) >= reorder || highest >= m.seq+reorderPackets
	}
	return m.tries < maxTries && now.Sub(m.asked) >= retry(rtt, m.tries)
}

// retry is how long to wait for an answer: a round trip and some, longer with
// every try.
func retry(rtt time.Duration, tries int) time.Duration {
	return max(minRetry, rtt+rtt/8+time.Duration(tries-1)*rtt/4)
}

// Urgent reports whether a packet is missing that was not asked for yet, and
// is not only late: there is no need to wait for the next Due.
func (l *Log) Urgent() bool {
	n := len(l.missing)
	if n == 0 || l.missing[n-1].tries > 0 {
		return false
	}
	highest, _ := l.seqs.Highest()
	for i := n - 1; i >= 0 && l.missing[i].tries == 0; i-- {
		if highest >= l.missing[i].seq+reorderPackets {
			return true
		}
	}
	return false
}

// Missing returns how many packets are missing and not given up.
func (l *Log) Missing() int { return len(l.missing) }

// lateMemory is how long it counts that packets came late.
const lateMemory = 20 * time.Second

// Lateness is how much later than the others the latest packets of the stream
// came that came late; 0 if none did of late.
func (l *Log) Lateness(now time.Time) time.Duration {
	if now.Sub(l.lateAt) > lateMemory {
		return 0
	}
	return l.lateness
}

// Stats returns the counts so far.
func (l *Log) Stats() Stats { return l.stats }

// Highest returns the newest packet's number, extended; false before the first.
func (l *Log) Highest() (uint64, bool) { return l.seqs.Highest() }

// Forget gives up everything that is missing, as after a key frame: what came
// before it is of no use any more.
func (l *Log) Forget() { l.giveUp(len(l.missing)) }
