// Package bwe estimates, at the sender, how much a participant's network can
// take: one Estimator for each participant, over all of their connections
// (Paths), since these share what is narrow.
//
// What it goes by is transport-wide feedback (package twcc). The one-way delay
// of each packet above the least that its connection has seen lately is the
// queue that it met. From that follow, in the order of their weight:
//
//	overuse    the queue grows beyond doubt (trend), or stands (standing).
//	           While a queue stands the bottleneck is busy, so what arrives
//	           is its capacity. The rate goes below that until the queue,
//	           followed by a fluid model, is empty (drain), then to a little
//	           below the capacity.
//	probes     a train of packets, mostly padding, at a multiple of the
//	           estimate: how fast it arrives tells whether there is more. So
//	           the estimate grows within a few round trips, also while the
//	           sender has less to send than it may, and only as far as Want.
//	losses     that appear when the rate is raised are congestion; those that
//	           stay when it is lowered are the path's own and are borne.
//	rivals     a queue that stays when we go far below our share is not ours.
//	           Then delays mean nothing and the estimate follows losses, as
//	           TCP does, until the queue is found empty.
//
// In between the estimate grows slowly while it is used. While the sender is
// limited by what it has to send, the estimate neither grows nor is taken
// down to what is acknowledged.
//
// Rates are bits per second of what Path.Sent is told, which should be whole
// datagrams with their headers. Times come in as arguments; the package owns
// no goroutine, and after its first packets allocates nothing. An Estimator
// and its Paths are not safe for concurrent use.
package bwe
