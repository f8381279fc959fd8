package forward

import "causeway/internal/prefetch"

// Prefetch brings what the remote's feedback needs into the processor's cache, in
// three steps from 0 on. The shard must be held.
func (l *Link) Prefetch(step int) {
	switch step {
	case 0:
		prefetch.First(l, 192)
	case 1:
		if l.path.path != nil {
			prefetch.First(l.path.budget, 192)
			prefetch.All(l.path.path)
		}
	case 2:
		if l.path.path != nil {
			l.path.path.PrefetchFeedback()
		}
	}
}

// prefetch brings what the slots after the i-th need into the processor's cache,
// while that one's packets are made. What a pointer leads to has its turn when
// the pointer has come: one slot later.
func (f *fan) prefetch(i int) {
	rest := f.slots[i:]
	if len(rest) > 5 {
		prefetch.First(rest[5], 192)
	}
	if len(rest) > 4 {
		prefetch.First(rest[4].link, 192)
		prefetch.First(rest[4].sent, 256)
	}
	if len(rest) > 3 {
		s := rest[3]
		if s.sent != nil {
			s.sent.stream.Prefetch()
		}
		s.link.wire.Prefetch(0)
		if l := s.link; s.cc != 0 && l.path.path != nil {
			prefetch.First(l.path.budget, 64)
			prefetch.First(l.path.path, 128)
			prefetch.All(l.queue)
		}
	}
	if len(rest) > 2 {
		l := rest[2].link
		l.wire.Prefetch(1)
		if l.path.path != nil {
			l.path.path.Prefetch()
		}
	}
	if len(rest) > 1 {
		rest[1].link.wire.Prefetch(2)
	}
}
