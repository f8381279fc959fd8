package seal

import (
	"encoding/binary"

	"causeway/internal/prefetch"
)

// A Receiver opens what comes on a connection. It is not safe for concurrent
// use.
type Receiver struct {
	aad  [rtcpAADSize]byte // scratch
	rtcp incoming
	rtp  incoming
}

// incoming is what comes of RTP, or of RTCP.
type incoming struct {
	key     key
	nonce   [nonceSize]byte // scratch
	sources sources[window]
	most    int // sources
	window  int // packets
}

// NewReceiver makes a Receiver of a master key. It takes up to so many sources
// of RTP and as many of RTCP, so that an authenticated remote cannot fill our
// memory.
func NewReceiver(masterKey, masterSalt []byte, maxSources int) (*Receiver, error) {
	rtp, rtcp, err := derive(masterKey, masterSalt)
	if err != nil {
		return nil, err
	}
	return &Receiver{
		rtp:  incoming{key: rtp, most: maxSources, window: rtpWindow},
		rtcp: incoming{key: rtcp, most: maxSources, window: rtcpWindow},
	}, nil
}

// Prefetch brings what RTCP needs into the processor's cache, in two steps from 0
// on: the second looks at what the first has brought.
func (r *Receiver) Prefetch(step int) {
	if step == 0 {
		prefetch.All(r)
		return
	}
	r.rtcp.key.prefetch()
	if r.rtcp.sources.recent < len(r.rtcp.sources.list) {
		prefetch.All(&r.rtcp.sources.list[r.rtcp.sources.recent])
	}
}

// RTP opens a packet in place. fresh reports that it is the first of its source.
func (r *Receiver) RTP(packet []byte) (plain []byte, fresh bool, err error) {
	n, ok := headerSize(packet)
	if !ok || n+tagSize > len(packet) {
		return nil, false, ErrShort
	}
	ssrc, seq := binary.BigEndian.Uint32(packet[8:]), binary.BigEndian.Uint16(packet[2:])
	at, known := r.rtp.sources.find(ssrc)
	index := int64(seq)
	if known {
		index = indexOf(seq, r.rtp.sources.list[at].state.highest)
	}
	err = r.rtp.open(at, known, ssrc, index, packet[n:], packet[:n])
	return packet[:len(packet)-tagSize], !known, err
}

// RTCP opens a compound packet in place. fresh reports that it is the first of
// its source.
func (r *Receiver) RTCP(packet []byte) (plain []byte, fresh bool, err error) {
	end := len(packet) - rtcpIndexSize
	if end < rtcpHeaderSize+tagSize {
		return nil, false, ErrShort
	}
	copy(r.aad[:], packet[:rtcpHeaderSize])
	copy(r.aad[rtcpHeaderSize:], packet[end:])
	word := binary.BigEndian.Uint32(packet[end:])
	if word&encrypted == 0 { // as nobody has agreed on
		return nil, false, ErrForged
	}
	ssrc := binary.BigEndian.Uint32(packet[4:])
	at, known := r.rtcp.sources.find(ssrc)
	err = r.rtcp.open(at, known, ssrc, int64(word&^encrypted), packet[rtcpHeaderSize:end], r.aad[:])
	return packet[:end-tagSize], !known, err
}

// open decrypts in place what is authentic, new and not of one source too many.
// Nothing is kept of what is not.
func (in *incoming) open(at int, known bool, ssrc uint32, index int64, body, aad []byte) error {
	switch {
	case index > maxIndex:
		return ErrSpent
	case known && !in.sources.list[at].state.fresh(index):
		return ErrReplay
	case !known && len(in.sources.list) >= in.most:
		return ErrSources
	}
	in.key.nonce(&in.nonce, ssrc, uint64(index))
	if _, err := in.key.Open(body[:0], in.nonce[:], body, aad); err != nil {
		return ErrForged
	}
	if !known {
		in.sources.add(at, ssrc, newWindow(in.window))
	}
	in.sources.list[at].state.take(index)
	return nil
}
