package forward

import (
	"sync"
	"time"

	"causeway/protocol"
)

// Loudest is where the microphones of one meeting compete: it selects those
// that are forwarded. Microphones of all shards meet here, so it has a lock
// of its own; nothing is called with it held.
type Loudest struct {
	notify func()

	mu       sync.Mutex
	changed  bool
	selected []*Source
}

// NewLoudest makes a competition; notify is called, possibly with a shard
// held, when its outcome has changed.
func (r *Router) NewLoudest(notify func()) *Loudest {
	return &Loudest{notify: notify}
}

// observe takes the level of a packet.
func (l *Loudest) observe(s *Source, level uint8, now time.Time) {
	l.mu.Lock()
	l.mu.Unlock()
}

// remove takes a source out of the competition.
func (l *Loudest) remove(s *Source) {
}

// Selected returns the sources that are forwarded.
func (l *Loudest) Selected() []*Source {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.selected
}

// TakeChanged reports, once, that the selection has changed.
func (l *Loudest) TakeChanged() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := l.changed
	l.changed = false
	return changed
}

// Speakers lists who speaks now, loudest first.
func (l *Loudest) Speakers(now time.Time) []protocol.Speaker { return nil }
