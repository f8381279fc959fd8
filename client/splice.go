package client

import (
	"hash/maphash"
	"sync"
	"time"

	"causeway/protocol"
)

const (
	spliceMemory = 96                     // frames of a stream remembered, about 2 s of sound
	spliceHold   = 50                     // pieces of sound held, waiting for the old session to catch up
	spliceWait   = 400 * time.Millisecond // that it may take
	spliceIdle   = 300 * time.Millisecond // an old stream silent for so long has nothing to splice to
)

// A splicer passes on the frames of the present admission and, while one
// takes over from another, goes over from the old to the new one source by
// source, at the very frame: routers do not change what they forward, so the
// frame that comes twice is known by its bytes. Where the old one is silent,
// or sends another simulcast layer, it goes over at once, for pictures with a
// key frame. The new admission's times are moved onto the old one's.
//
// Frames come with a connection's shard held, of several at once.
type splicer struct {
	out  func(Frame) bool
	seed maphash.Seed

	mu       sync.Mutex
	now, old *admission // whose frames pass; old is nil while nothing is taken over
	shift    time.Duration
	oldShift time.Duration
	known    bool                   // shift is
	live     bool                   // the old one is still heard
	streams  map[streamKey]*spliced // nil while nothing is remembered
}

// streamKey names a source.
type streamKey struct {
	participant string
	source      protocol.Source
}

// spliced is a source while it goes over.
type spliced struct {
	past     [spliceMemory]memory // what the old one has brought, a ring
	n        int                  // frames so far
	at       int                  // the one of them that the new one has got to, -1: not known
	last     time.Time            // when the old one's last frame came
	upTo     time.Time            // when the last frame passed on was captured
	switched bool
	held     []Frame // of the new one, which is ahead
	heldAt   time.Time
}

// memory is a frame that was passed on.
type memory struct {
	hash     uint64
	captured time.Time
}

func newSplicer(out func(Frame) bool) *splicer { return &splicer{out: out, seed: maphash.MakeSeed()} }

// remember begins to remember what passes: another admission may take over.
func (s *splicer) remember() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams == nil {
		s.streams = map[streamKey]*spliced{}
	}
}

// begin lets next take over from the present admission; live says whether
// that is still heard. The first admission takes over from none.
func (s *splicer) begin(next *admission, live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finish()
	if s.now != nil && s.streams == nil {
		s.streams = map[streamKey]*spliced{}
	}
	s.old, s.now, s.live = s.now, next, live
	s.oldShift, s.shift, s.known = s.shift, 0, false
}

// end forgets the old admission: what it still sends is dropped.
func (s *splicer) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finish()
	s.streams = nil
}

// finish needs s.mu.
func (s *splicer) finish() {
	if s.old == nil {
		return
	}
	for _, st := range s.streams {
		s.change(st)
	}
	s.old, s.streams = nil, nil
}

// take takes a frame that came by way of an admission; false: it was not
// passed on for lack of room.
func (s *splicer) take(a *admission, f Frame, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case a == s.now:
		f.Captured = f.Captured.Add(s.shift)
	case a == s.old && a != nil:
		f.Captured = f.Captured.Add(s.oldShift)
	default:
		return true // of one that is over
	}
	if s.streams == nil {
		return s.out(f)
	}
	key := streamKey{f.Participant, f.Source}
	st := s.streams[key]
	if st == nil {
		st = &spliced{at: -1}
		s.streams[key] = st
	}
	if s.old == nil || a == s.old {
		return s.fromOld(st, f, now)
	}
	return s.fromNew(st, f, now)
}

// fromOld takes a frame of the admission that is being left, or may be soon.
func (s *splicer) fromOld(st *spliced, f Frame, now time.Time) bool {
	if st.switched || st.at >= 0 {
		return true // the new one has been met on the way, and brings it too
	}
	hash := s.hash(f)
	for i, h := range st.held {
		if s.hash(h) != hash {
			continue
		}
		if _, times := st.find(hash); times == 0 { // not one of many that are alike
			s.align(f.Captured, h.Captured)
		}
		st.held = st.held[i+1:] // it has caught up
		ok := s.pass(st, f)
		return s.change(st) && ok
	}
	if len(st.held) > 0 && now.Sub(st.heldAt) >= spliceWait {
		return s.change(st)
	}
	st.past[st.n%spliceMemory] = memory{hash, f.Captured}
	st.n++
	st.last = now
	return s.pass(st, f)
}

// fromNew takes a frame of the admission that takes over.
func (s *splicer) fromNew(st *spliced, f Frame, now time.Time) bool {
	idle := !s.live || st.n == 0 || now.Sub(st.last) >= spliceIdle
	switch {
	case st.switched:
		return s.pass(st, f)
	case len(st.held) == 0 && s.passed(st, f, idle):
		return true
	}
	st.held = append(st.held, f)
	if len(st.held) == 1 {
		st.heldAt = now
	}
	next := st.at >= 0 // and what follows on what the old one has brought
	if idle || next || f.Codec != Opus || len(st.held) >= spliceHold || now.Sub(st.heldAt) >= spliceWait {
		return s.change(st)
	}
	return true
}

// passed reports whether the old one has brought a frame of the new one, and
// keeps track of how far the new one has got in what the old one brought. Where
// many frames are alike, as in silence, that is not known.
func (s *splicer) passed(st *spliced, f Frame, idle bool) bool {
	hash := s.hash(f)
	if st.at < 0 {
		at, times := st.find(hash)
		if times == 1 {
			st.at = at
			s.align(st.past[at%spliceMemory].captured, f.Captured)
			return true
		}
		return times > 0 && !idle
	}
	for i := max(st.at+1, st.n-spliceMemory); i < st.n; i++ {
		if st.past[i%spliceMemory].hash == hash {
			st.at = i
			return true
		}
	}
	return !f.Captured.After(st.upTo) // the old one has lost it, and is ahead
}

// change lets a source go over: what is held goes first, but nothing twice.
func (s *splicer) change(st *spliced) bool {
	if st.switched {
		return true
	}
	st.switched = true
	ok := true
	for _, f := range st.held {
		if f.Codec != Opus || f.Captured.After(st.upTo) {
			ok = s.pass(st, f) && ok
		}
	}
	st.held = nil
	return ok
}

func (s *splicer) pass(st *spliced, f Frame) bool {
	st.upTo = f.Captured
	return s.out(f)
}

func (s *splicer) hash(f Frame) uint64 { return maphash.Bytes(s.seed, f.Data) }

// align notes by how much the new admission's times are off the old one's, by
// the first frame that came both ways: all its sources are on one clock.
// What is held has its times without that.
func (s *splicer) align(old, new time.Time) {
	if s.known {
		return
	}
	s.shift, s.known = old.Sub(new), true
	for _, st := range s.streams {
		for i := range st.held {
			st.held[i].Captured = st.held[i].Captured.Add(s.shift)
		}
	}
}

// find looks for a frame in the past: where, and how many times.
func (st *spliced) find(hash uint64) (at, times int) {
	for i := max(0, st.n-spliceMemory); i < st.n; i++ {
		if st.past[i%spliceMemory].hash == hash {
			at = i
			times++
		}
	}
	return at, times
}
