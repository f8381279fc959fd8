package forward

import "time"

// fading is what a slot goes on showing when it has been given the same
// person's source of a newer session: until the new one has a key frame.
type fading struct {
	source *Source // nil if there is nothing
	track  *track  // that was being sent
	spell  uint32
}

// fade lets what the slot shows go on if source follows it: the same kind of
// thing from the same person. The shard is held.
func (s *Slot) fade(source *Source, sh *shard) {
	old := s.source
	if source == nil || old == nil || s.current == nil || s.pin.set || !s.video() ||
		old.Owner() != source.Owner() || old.Kind() != source.Kind() {
		return
	}
	s.fading = fading{source: old, track: s.current, spell: s.spell}
	old.fans[sh.index].addFading(s)
}

// faded ends that. The shard is held.
func (s *Slot) faded(sh *shard) {
	if old := s.fading.source; old != nil {
		s.fading = fading{}
		old.fans[sh.index].removeFading(s)
	}
}

// goOn sends a packet of what fades. The shard is held.
func (s *Slot) goOn(sh *shard, p *packet, now time.Time) {
	if p.track == s.fading.track && p.spell == s.fading.spell {
		s.passOn(sh, p, now)
	}
}
