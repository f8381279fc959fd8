package forward

import (
	"slices"

	"causeway/internal/media/loudest"
	"causeway/protocol"
)

// A Selection is the loudest of some of a meeting's microphones: those that
// another router hears by way of this one.
type Selection struct {
	of *Loudest

	// Everything below needs of.mu.
	selector *loudest.Selector
	among    map[*Source]bool
}

// Select makes a selection of nothing yet. notify is called, possibly with a
// shard held, when any selection has changed; the latest one given counts.
func (l *Loudest) Select(notify func()) *Selection {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &Selection{of: l, selector: loudest.New(protocol.AudioSlots+reserve, 0)}
	l.parts, l.tell = append(l.parts, s), notify
	return s
}

// Among says which sources compete from now on; others of the list are passed
// over.
func (s *Selection) Among(sources []*Source) {
	among := make(map[*Source]bool, len(sources))
	for _, m := range sources {
		if m.cfg.Loudest == s.of {
			among[m] = true
		}
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	for m := range s.among {
		if !among[m] && m.entry != 0 {
			s.selector.Remove(m.entry)
		}
	}
	s.among = among
}

// Sources returns the loudest.
func (s *Selection) Sources() []*Source {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	return s.of.listed(s.selector)
}

// Close ends the selection.
func (s *Selection) Close() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.parts = slices.DeleteFunc(s.of.parts, func(o *Selection) bool { return o == s })
}
