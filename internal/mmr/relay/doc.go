// Package relay carries media between the routers that have legs of the same
// meeting.
//
//	Relays  all of a router: answers those who dial, and dials
//	Mesh    one meeting's: knows the other legs and what they publish
//	relay   one to another leg: three connections, by kind of media, over the
//	        ladder of internal/peer, each with its own 5-tuple and DSCP
//
// Of two routers the one on premises dials, else the one whose zone, then id,
// is lower. It asks the other over the bus (protocol.RelayRequest); both tell
// their keys there, so whoever the bus lets in is who is at the other end.
// A relay that is lost is dialled again.
//
// What a participant of another leg publishes is a forward.Source here, fed
// by the relay. Who takes it decides, without the bus, what the relay
// carries: package forward tells the other router every second, and at once
// when it changes, which streams and layers have takers; what is not repeated
// is not sent any more. Sound is not asked for by stream: each leg sends its
// own loudest.
//
// A Mesh has one goroutine from the first other leg to the meeting's end;
// packets never pass it.
// Dialled connections have one each for their socket. Relays.Close waits for
// all. Called by package mmr (which gives meetings their Mesh) and package
// meeting.
//
// Limits: MaxLegs legs of a meeting, maxStreams streams of a leg.
package relay
