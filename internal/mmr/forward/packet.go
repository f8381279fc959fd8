package forward

import (
	"causeway/internal/media/depdesc"
	"causeway/internal/media/header"
)

// maxPacket bounds an RTP packet; peer's datagrams are no longer.
const maxPacket = 2048

// maxCame bounds the packets that wait for the end of their batch.
const maxCame = 256

// packet is an RTP packet on its way from a publisher to its takers.
type packet struct {
	header.Header
	raw   []byte
	track *track
	key   bool // begins a key frame: takers may start here
	// structure is that by which the packet's dependency descriptor is read, nil
	// if it has none.
	structure *depdesc.Structure
	spell     uint32 // of the track: the time between two pauses of its source
	epoch     uint8  // of the publisher's numbers, for other routers
}

// room is what must be free before a packet in a shard's scratch: two
// extensions are inserted at most.
const room = 2 * header.InsertRoom
