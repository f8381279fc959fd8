// Package forward is the packet path of the router: from a publisher's
// decrypted RTP packet to the slots of everyone who takes it.
//
//	Link    one media connection: it publishes Sources and fills Slots
//	Source  what a participant publishes (microphone, camera, …), in up to
//	        three simulcast layers, each an RTP stream (track)
//	Slot    one stream that a participant receives; sources are switched
//	        into it by rewriting headers, so nothing is renegotiated
//
//	Trunk   a Link to another router: it carries, each way, the streams and
//	        layers that have takers on the other side
//
// Shards. Each link lives on one shard of package peer, and its tracks and
// slots with it: whoever holds the shard may touch them, nobody else. Takers
// of a source are kept per shard (fan). When a batch of packets has been
// received, Router.Deliver hands those of one source to the takers on their own
// shard; for other shards that have takers they are copied once into
// reference-counted buffers and put into inboxes, which Router.Flush empties
// under the other shards. What crosses shards
// otherwise is atomic or, for the cache of recent packets, under a lock of
// its own that is never held while anything else is done.
//
// Control (package meeting) calls Assign and Sync from its own goroutine;
// they take each shard once.
//
// The package owns no goroutine and reads no clock but the times it is
// given. Forwarding a packet allocates nothing. Inboxes are bounded
// (maxInbox); what does not fit is dropped and counted.
package forward
