package forward

import "time"

// padMemory is how many packets back a link takes what it pads with.
const padMemory = 64

// pad sends some bytes more than there are to send, to find out whether the
// network takes them: what was sent lately once more, as a repair, which may
// even be of use. Receivers without a stream of repairs get none. The shard
// is held.
func (l *Link) pad(bytes int, now time.Time) {
	for back := uint16(0); back < padMemory; back++ {
		sent := false
		for _, s := range l.slots {
			if s.cc == 0 || s.rtx == 0 || s.sent == nil || s.current == nil {
				continue
			}
			out, ok := s.again(l.shard, s.sent.newest-back)
			if !ok {
				continue
			}
			sent = true
			bytes -= len(out)
			l.shard.count(padding, 1)
			s.transmit(l.shard, out, now)
			if bytes <= 0 {
				return
			}
		}
		if !sent {
			return
		}
	}
}
