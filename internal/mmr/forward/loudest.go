package forward

import (
	"sync"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/loudest"
	"causeway/protocol"
)

// reserve is how many microphones are selected beyond those that everybody
// hears: who is among the loudest does not hear itself, but one more.
const reserve = 1

// Levels of sources whose packets carry none (RFC 6464): a packet of sound,
// and one so short that it is comfort noise.
const (
	assumedLevel  = 40
	assumedSilent = 127
	noiseSize     = 10 // bytes of payload
)

// Loudest is where the microphones of one meeting compete: it selects those
// that are forwarded. Microphones of all shards meet here, so it has a lock
// of its own; nothing is called with it held.
type Loudest struct {
	notify func()

	mu       sync.Mutex
	selector *loudest.Selector
	sources  map[loudest.ID]*Source
	lastID   loudest.ID
	changed  bool
	parts    []*Selection      // for other routers
	tell     func()            // that one of them has changed
	ids      []loudest.ID      // scratch
	speaking []loudest.Speaker // scratch
}

// NewLoudest makes a competition; notify is called, possibly with a shard
// held, when its outcome has changed.
func (r *Router) NewLoudest(notify func()) *Loudest {
	return &Loudest{
		notify:   notify,
		selector: loudest.New(protocol.AudioSlots, reserve),
		sources:  map[loudest.ID]*Source{},
	}
}

// hear takes the level of a microphone's packet. The publisher's shard is
// held. Most packets do not get as far as the lock.
func (l *Loudest) hear(s *Source, p *packet, now time.Time) {
	if s.Muted() {
		return // its first sound is yet to come
	}
	level, voice, ok := header.AudioLevel(p.Extension(p.raw, p.track.levelID))
	if !ok {
		level, voice = assumedLevel, true
		if p.PayloadEnd-p.PayloadAt < noiseSize {
			level = assumedSilent
		}
	}
	if p.track.meter.Observe(level, voice, now) {
		l.report(s, p.track.meter.Level(), now)
	}
}

func (l *Loudest) report(s *Source, level uint8, now time.Time) {
	l.mu.Lock()
	if s.Muted() { // meanwhile; what removed it may have been here already
		l.mu.Unlock()
		return
	}
	if s.entry == 0 {
		l.lastID++
		s.entry = l.lastID
		l.sources[s.entry] = s
	}
	before := l.loud(now)
	changed := l.selector.Report(s.entry, level, now)
	part := false
	for _, p := range l.parts {
		part = p.among[s] && p.selector.Report(s.entry, level, now) || part
	}
	l.changed = l.changed || changed
	// Who begins to speak without a change of the selection is news as well.
	news := changed || l.loud(now) != before
	tell := l.tell
	l.mu.Unlock()
	if news {
		l.notify()
	}
	if part {
		tell()
	}
}

// loud counts who speaks. It needs l.mu.
func (l *Loudest) loud(now time.Time) int {
	l.speaking = l.selector.Speaking(l.speaking[:0], now)
	return len(l.speaking)
}

// remove takes a source out of the competition.
func (l *Loudest) remove(s *Source) {
	l.mu.Lock()
	changed, part := false, false
	if s.entry != 0 {
		changed = l.selector.Remove(s.entry)
		for _, p := range l.parts {
			part = p.selector.Remove(s.entry) || part
		}
		delete(l.sources, s.entry)
		s.entry = 0
	}
	l.changed = l.changed || changed
	tell := l.tell
	l.mu.Unlock()
	if changed {
		l.notify()
	}
	if part {
		tell()
	}
}

// Succeed gives an old source's place in the competition to its heir, the
// same person's of a newer session, if that has been heard; it reports
// whether it has.
func (l *Loudest) Succeed(old, heir *Source) bool {
	l.mu.Lock()
	heard, tell := heir.entry != 0, l.tell
	if heard && old.entry != 0 {
		l.selector.Replace(old.entry, heir.entry)
		for _, p := range l.parts {
			p.selector.Replace(old.entry, heir.entry)
		}
		delete(l.sources, old.entry)
		old.entry = 0
		l.changed = true
	}
	l.mu.Unlock()
	if heard && tell != nil {
		tell()
	}
	return heard
}

// Selected returns the sources that are forwarded, the most important first.
func (l *Loudest) Selected() []*Source {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listed(l.selector)
}

// listed needs l.mu.
func (l *Loudest) listed(of *loudest.Selector) []*Source {
	var selected []*Source
	l.ids = of.Selected(l.ids[:0])
	for _, id := range l.ids {
		if s := l.sources[id]; s != nil {
			selected = append(selected, s)
		}
	}
	return selected
}

// TakeChanged reports, once, that the selection has changed.
func (l *Loudest) TakeChanged() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := l.changed
	l.changed = false
	return changed
}

// Speakers lists who of the selected speaks now, loudest first.
func (l *Loudest) Speakers(now time.Time) []protocol.Speaker {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.speaking = l.selector.Speaking(l.speaking[:0], now)
	speakers := []protocol.Speaker{}
	for _, s := range l.speaking {
		if src := l.sources[s.ID]; src != nil {
			speakers = append(speakers, protocol.Speaker{Participant: src.Owner(), Level: int(s.Level)})
		}
	}
	return speakers
}
