// Package peer is one media connection: ICE connectivity checks (RFC 8445),
// the DTLS handshake (RFC 6347, RFC 5764) and SRTP (RFC 3711, RFC 7714) over
// UDP, or over a TCP or TLS stream in frames (RFC 4571) where UDP does not
// pass. It exists because a whole PeerConnection per participant and
// media kind costs hundreds of kilobytes and dozens of goroutines, and a
// router needs neither gathering nor negotiation.
//
// Two roles:
//
//   - a router opens a [Port] and registers a [Conn] per expected peer with
//     [Port.Accept]; it is ICE-lite and passive. Called by internal/mmr.
//   - a client reaches a router's candidates with [Dial]; it is the
//     controlling agent and speaks first. Called by package client.
//
// A path is a UDP address or a stream. A client climbs a ladder of them: UDP,
// then TCP, then TLS, each begun a little later; the first that answers
// carries the media, better ones are tried again in the background, and when
// the one in use is silent the next takes over. The client nominates the path
// in use; the router sends where it was nominated last, and both take media
// from every path that was authenticated. Keys stay the same, and what comes
// twice is a replay, so a change of path loses nothing. Between two nominations
// the router follows a client's media from one UDP address to another, once
// that has answered a check.
//
// What a slow stream does not take waits in a queue bounded by time, sound
// for 200 ms and pictures for 500 ms: then the oldest packets go, and a
// [Shedder] is told.
//
// A [Shard] is a socket and the world of connections behind it: whoever holds
// the shard may touch them, and nobody else. There is one shard per socket of
// a port (SO_REUSEPORT), and one for every dialled connection. A router that
// dials another gives the connection a home: a shard of its port that is held
// together with the connection's.
//
// Goroutines: one per shard (reads, ticks, delivers), and four per connection
// for the handshake and the ten seconds after it, during which a lost last
// flight is repeated: one of ours, three of pion/dtls. An established
// connection has none of its own, but for two per stream: the one that serves
// it reads, another writes. Port.Close waits for ours; for a dialled
// connection [Conn.Done] tells when they have ended. pion's end promptly after
// them, but cannot be waited for.
//
// Everything unauthenticated is answered with silence. A STUN check is
// answered once its integrity is proved, a DTLS handshake is begun only for an
// address that such a check came from, and a packet changes nothing before it
// is decrypted.
//
// Limits: 2048-byte datagrams, 8 runs of them per read, 16 remote addresses per
// connection, 256 synchronisation sources per connection and direction, 256
// handshakes at a time per port, 30 s for a connection to become ready; 10 s
// for a stream to authenticate itself, 256 streams per remote address that
// have not, 8 streams per connection, 1024 packets per queue.
package peer
