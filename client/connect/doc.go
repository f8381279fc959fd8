// Package connect is the connection process of Causeway, told in the order in
// which it happens:
//
//	lookup.go   phase 1: Lookup asks web for the package of a meeting
//	zone.go     phase 2: ProbeZones measures every zone controller; choose.go
//	            holds the choice itself, which is pure
//	mmr.go      phase 3: Join asks the controller that won for a router
//	control.go  phase 3: OpenControl opens the control channel to that router
//	report.go   what happened, as a protocol.Report
//
// Phase 4, media, needs a media engine and belongs to package client. All
// phases reach the network through one Network value, so that a proxy or a
// tunnel is no concern of theirs, and connections are kept warm from one
// phase to the next. Errors are protocol.Problems, with the host and what
// happened to it in words.
//
// Package client calls this one. A Survey owns a goroutine per controller
// until it is closed, a Control two until it is closed.
package connect
