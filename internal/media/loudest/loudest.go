// Package loudest chooses the few sources of sound of a meeting that are
// forwarded: those who speak loudest, changed reluctantly, so that neither a
// cough nor two equal voices make the choice flicker. Who has fallen silent
// stays until somebody else speaks; and while places are free, who has not
// spoken yet takes one, so that the first word of few is heard whole.
//
// The router keeps a Meter per source, where its packets arrive, and a
// Selector per meeting, which the meters' reports are given to. Both are pure
// state machines: the same reports give the same choice. A Selector is not
// safe for concurrent use.
package loudest

import "time"

// The rules of change.
const (
	// margin is by how many dB a challenger must be louder than the one whose
	// place it takes,
	margin = 6
	// patience is for how long,
	patience = 200 * time.Millisecond
	// and hold is how long after its last word a source counts as speaking,
	// so that a pause for breath loses no place.
	hold = 600 * time.Millisecond
)

// ID names a source to the caller; 0 is nobody.
type ID uint32

// source is what is known of one.
type source struct {
	id    ID
	loud  int       // dB above -127 dBov, as last reported
	spoke time.Time // last
	place int       // -1 is none
	// since is when it began to be loud enough for a place among the first,
	// and among the reserve.
	since [2]time.Time
}

// Selector holds the choice: places among the first, which everybody hears,
// and a reserve for those who are among the first themselves and do not hear
// themselves.
type Selector struct {
	first   int
	places  []*source // the first, then the reserve; nil is free
	sources map[ID]*source
}

// New makes a selector with the given numbers of places.
func New(first, reserve int) *Selector {
	return &Selector{first: first, places: make([]*source, first+reserve), sources: map[ID]*source{}}
}

// Report takes a meter's level of a source, and returns whether the choice
// has changed. A source that was muted is reported once with level 127.
func (s *Selector) Report(id ID, level uint8, now time.Time) (changed bool) {
	e := s.sources[id]
	if e == nil {
		e = &source{id: id, place: -1}
		s.sources[id] = e
	}
	e.loud = 127 - int(min(level, 127))
	if e.loud < threshold {
		e.since = [2]time.Time{}
		return level < 127 && e.place < 0 && s.settle(e)
	}
	e.spoke = now
	if e.place >= 0 && e.place < s.first {
		return false
	}
	if place := s.contend(e, 0, 0, s.first, now); place >= 0 {
		s.promote(e, place)
		return true
	}
	if e.place >= 0 {
		return false
	}
	if place := s.contend(e, 1, s.first, len(s.places), now); place >= 0 {
		s.put(e, place)
		return true
	}
	return false
}

// settle gives a source that does not speak a free place, if there is one.
func (s *Selector) settle(e *source) bool {
	for i, holder := range s.places {
		if holder == nil {
			s.put(e, i)
			return true
		}
	}
	return false
}

// contend returns which of the places from…to the source may take now, -1 if
// none: a free one, else that of one who has fallen silent, else that of a
// quieter one if it has been quieter long enough.
func (s *Selector) contend(e *source, rank, from, to int, now time.Time) int {
	weakest := -1
	for i := from; i < to; i++ {
		if s.places[i] == nil {
			return i
		}
		if weakest < 0 || s.places[i].weaker(s.places[weakest], now) {
			weakest = i
		}
	}
	if weakest < 0 {
		return -1
	}
	w := s.places[weakest]
	since := &e.since[rank]
	switch {
	case !w.speaks(now):
		return weakest
	case e.loud < w.loud+margin:
		*since = time.Time{}
	case since.IsZero():
		*since = now
	case now.Sub(*since) >= patience:
		return weakest
	}
	return -1
}

// speaks reports whether the source has spoken just now.
func (e *source) speaks(now time.Time) bool { return now.Sub(e.spoke) < hold }

// weaker reports whether e should give up its place rather than o: silent
// before speaking, of the silent the longest silent, of the speaking the
// quietest.
func (e *source) weaker(o *source, now time.Time) bool {
	es, os := e.speaks(now), o.speaks(now)
	switch {
	case es != os:
		return os
	case !es:
		return e.spoke.Before(o.spoke)
	}
	return e.loud < o.loud
}

// promote gives the source a place among the first. Who had it goes into the
// reserve, in exchange or in the place of who spoke longer ago.
func (s *Selector) promote(e *source, place int) {
	loser, freed := s.places[place], e.place
	s.put(e, place)
	if loser == nil {
		return
	}
	if freed >= 0 {
		s.put(loser, freed)
		return
	}
	oldest := -1
	for i := s.first; i < len(s.places); i++ {
		if s.places[i] == nil {
			oldest = i
			break
		}
		if oldest < 0 || s.places[i].spoke.Before(s.places[oldest].spoke) {
			oldest = i
		}
	}
	if oldest >= 0 {
		s.put(loser, oldest)
	}
}

// put gives the source a place, whose holder loses it.
func (s *Selector) put(e *source, place int) {
	if e.place >= 0 {
		s.places[e.place] = nil
	}
	if o := s.places[place]; o != nil {
		o.place = -1
		o.since = [2]time.Time{}
	}
	s.places[place], e.place = e, place
	e.since = [2]time.Time{}
}

// Remove forgets a source that is gone, and returns whether the choice has
// changed. A place among the first goes to who of the reserve spoke last.
func (s *Selector) Remove(id ID) (changed bool) {
	e := s.sources[id]
	delete(s.sources, id)
	if e == nil || e.place < 0 {
		return false
	}
	place := e.place
	s.places[place] = nil
	var heir *source
	for _, r := range s.places[s.first:] {
		if r != nil && (heir == nil || heir.spoke.Before(r.spoke)) {
			heir = r
		}
	}
	if place < s.first && heir != nil {
		s.put(heir, place)
	}
	return true
}

// Replace lets heir follow a source that is the same person's, in its place if
// it has one and is known; the source is forgotten.
func (s *Selector) Replace(id, heir ID) {
	e, h := s.sources[id], s.sources[heir]
	if e == nil || h == nil || e.place < 0 {
		s.Remove(id)
		return
	}
	s.put(h, e.place)
	h.spoke = later(h.spoke, e.spoke)
	delete(s.sources, id)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Selected appends the choice to dst: the first, then the reserve, each at
// its own lasting place; 0 is a free place.
func (s *Selector) Selected(dst []ID) []ID {
	for _, e := range s.places {
		if e == nil {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, e.id)
	}
	return dst
}

// Speaker is one who speaks, and how loud, in dB below full scale.
type Speaker struct {
	ID    ID
	Level uint8
}

// Speaking appends those of the chosen who speak now to dst, loudest first.
func (s *Selector) Speaking(dst []Speaker, now time.Time) []Speaker {
	begin := len(dst)
	for _, e := range s.places {
		if e == nil || !e.speaks(now) {
			continue
		}
		dst = append(dst, Speaker{ID: e.id, Level: uint8(127 - e.loud)})
		for i := len(dst) - 1; i > begin && dst[i].Level < dst[i-1].Level; i-- {
			dst[i], dst[i-1] = dst[i-1], dst[i]
		}
	}
	return dst
}
