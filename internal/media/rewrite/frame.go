package rewrite

import (
	"encoding/binary"

	"causeway/internal/media/header"
	"causeway/internal/media/seqnum"
)

// frameNumber is the highest number of an AV1 frame that went out, as the
// dependency descriptor tells it (AV1 RTP specification §A.4): a receiver takes
// a key frame with a lower one than that before for late. Frames refer to each
// other by differences of numbers: those that are left out leave gaps.
type frameNumber struct {
	n   uint16
	set bool
}

func (f *frameNumber) advance(n uint16) {
	if !f.set || seqnum.Less(f.n, n) {
		f.n, f.set = n, true
	}
}

// described returns where a packet tells the number of its frame, nil if it
// does not.
func (s *Source) described(h *header.Header, packet []byte) []byte {
	const at, size = 1, 2
	content := h.Extension(packet, s.Descriptor)
	if len(content) < at+size {
		return nil
	}
	return content[at:]
}

// number rewrites the number of a packet's frame and returns it.
func (e *epoch) number(h *header.Header, packet []byte) (uint16, bool) {
	at := e.source.described(h, packet)
	if at == nil {
		return 0, false
	}
	n := binary.BigEndian.Uint16(at) + e.frame
	binary.BigEndian.PutUint16(at, n)
	return n, true
}

// follow makes the packet's frame the one behind the last that went out.
func (e *epoch) follow(last frameNumber, h *header.Header, packet []byte) {
	if at := e.source.described(h, packet); at != nil && last.set {
		e.frame = last.n + 1 - binary.BigEndian.Uint16(at)
	}
}
