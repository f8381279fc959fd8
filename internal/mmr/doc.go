// Package mmr is the multimedia router: it hosts meetings and distributes
// the sound, picture and content of every participant among all of them.
//
// From top to bottom:
//
//   - this package admits participants (asked by zone controllers over the
//     bus), tells the bus of its load and meetings, and serves the control
//     channel's address;
//   - [causeway/internal/mmr/control] is the control channel of one client;
//   - [causeway/internal/mmr/meeting] is a meeting: who is in it, what is
//     said, who may do what, and which source goes into whose slot;
//   - [causeway/internal/mmr/forward] is the packet path, on the shards of
//     [causeway/internal/peer].
//
// Goroutines: Server.Run owns one for the bus, one per meeting, and, while
// requests are under way, those of the bus and of net/http; all have ended
// when Run returns. The media port owns one per shard.
//
// Limits are in Config.Limits; beyond them admissions are refused.
package mmr
