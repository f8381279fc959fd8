// Package media is the parent of the packages that know packets and streams
// but neither sockets nor clocks: what time it is comes in as an argument,
// nothing starts a goroutine, and what is called for every packet allocates
// nothing. So all of it is tested as plain functions.
//
//	offer      SDP as plain values; offers and answers as Causeway makes them
//	header     RTP headers and their extensions, read and rewritten in place
//	rtx        wrapping of retransmitted packets
//	seqnum     numbers that wrap around
//	seqmap     a slot's sequence numbers and those of what it carried
//	rewrite    one slot's outgoing stream over changing sources
//	vp8        VP8 payload descriptors
//	vp9        VP9 payload descriptors, and layers chosen by them
//	depdesc    dependency descriptors (AV1), and layers chosen by them
//	keyframe   where key frames begin, and their size
//	red        redundant sound taken apart (RFC 2198)
//	opus       what an Opus packet says of itself
//	cache      recent packets, for retransmission
//	nack       what is missing, and when to ask for it
//	pli        when to ask for key frames
//	jitter     packets put back in order
//	loudest    who is heard
//	simulcast  which layer a taker gets
//	rtcpstat   the statistics of sender and receiver reports
//	twcc       transport-wide feedback: when each packet of a connection came
//	bwe        how much a participant's network takes
//	alloc      that shared out among the streams received
//	pace       bursts of pictures spread over time
//	seal       SRTP by AES-128-GCM
//	clocksync  RTP time on the router's clock
//
// The router (internal/mmr) and the native client (client) are built on them.
package media
