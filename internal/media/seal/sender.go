package seal

import (
	"encoding/binary"

	"causeway/internal/prefetch"
)

// A Sender protects what leaves on a connection. It is not safe for concurrent
// use.
type Sender struct {
	rtp     key
	nonce   [nonceSize]byte // scratch
	sources sources[sending]
	rtcp    key
	aad     [rtcpAADSize]byte // scratch
}

// sending is what is known of a source.
type sending struct {
	highest int64  // index of its RTP packets, none before the first
	reports uint32 // index of its latest RTCP packet
}

// NewSender makes a Sender of a master key.
func NewSender(masterKey, masterSalt []byte) (*Sender, error) {
	rtp, rtcp, err := derive(masterKey, masterSalt)
	if err != nil {
		return nil, err
	}
	return &Sender{rtp: rtp, rtcp: rtcp}, nil
}

// Prefetch brings what RTP needs into the processor's cache, in two steps from 0
// on: the second looks at what the first has brought.
func (s *Sender) Prefetch(step int) {
	if step == 0 {
		prefetch.All(s)
		return
	}
	s.rtp.prefetch()
	if s.sources.recent < len(s.sources.list) {
		prefetch.All(&s.sources.list[s.sources.recent])
	}
}

// RTP appends the protected packet to dst, which must not overlap it.
func (s *Sender) RTP(dst, packet []byte) ([]byte, error) {
	n, ok := headerSize(packet)
	if !ok {
		return nil, ErrShort
	}
	ssrc := binary.BigEndian.Uint32(packet[8:])
	st := s.of(ssrc)
	index := indexOf(binary.BigEndian.Uint16(packet[2:]), st.highest)
	if index > maxIndex {
		return nil, ErrSpent
	}
	st.highest = max(st.highest, index)
	s.rtp.nonce(&s.nonce, ssrc, uint64(index))
	return s.rtp.Seal(append(dst, packet[:n]...), s.nonce[:], packet[n:], packet[:n]), nil
}

// RTCP appends the protected compound packet to dst, which must not overlap it.
func (s *Sender) RTCP(dst, packet []byte) ([]byte, error) {
	if len(packet) < rtcpHeaderSize {
		return nil, ErrShort
	}
	ssrc := binary.BigEndian.Uint32(packet[4:])
	st := s.of(ssrc)
	if st.reports == maxRTCPIndex {
		return nil, ErrSpent
	}
	st.reports++
	index := s.aad[rtcpHeaderSize:]
	copy(s.aad[:], packet[:rtcpHeaderSize])
	binary.BigEndian.PutUint32(index, encrypted|st.reports)
	s.rtcp.nonce(&s.nonce, ssrc, uint64(st.reports))
	dst = s.rtcp.Seal(append(dst, packet[:rtcpHeaderSize]...), s.nonce[:], packet[rtcpHeaderSize:], s.aad[:])
	return append(dst, index...), nil
}

// of returns what is known of a source.
func (s *Sender) of(ssrc uint32) *sending {
	i, known := s.sources.find(ssrc)
	if !known {
		s.sources.add(i, ssrc, sending{highest: none})
	}
	return &s.sources.list[i].state
}
