package seal

import "slices"

// sources holds what is known of each source of a direction, in order.
type sources[T any] struct {
	recent int // index into list, of the latest packet's
	list   []source[T]
}

type source[T any] struct {
	ssrc  uint32
	state T
}

// find returns where a source is or belongs, and whether it is known.
func (s *sources[T]) find(ssrc uint32) (int, bool) {
	if s.recent < len(s.list) && s.list[s.recent].ssrc == ssrc {
		return s.recent, true
	}
	i, known := slices.BinarySearchFunc(s.list, ssrc, func(s source[T], ssrc uint32) int {
		return int(int64(s.ssrc) - int64(ssrc))
	})
	if known {
		s.recent = i
	}
	return i, known
}

// add puts a source to where find says that it belongs.
func (s *sources[T]) add(i int, ssrc uint32, state T) {
	s.list = slices.Insert(s.list, i, source[T]{ssrc, state})
	s.recent = i
}
