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
//   - [causeway/internal/mmr/legs] is what the routers of a meeting know of
//     each other;
//   - [causeway/internal/mmr/relay] carries media to and from the other
//     routers of a meeting;
//   - [causeway/internal/mmr/forward] is the packet path, on the shards of
//     [causeway/internal/peer].
//
// Goroutines: Server.Run owns three (keys, announcements, endings to be told
// to web), four per meeting (the meeting, two for what its other legs say, its
// relays), two per control channel, and those of the bus for
// requests under way; all have ended when Run returns. A participant's media
// over UDP have none of their own: the media port owns one per shard.
//
// Limits are in Config.Limits; beyond them admissions are refused.
package mmr
