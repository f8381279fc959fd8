// Package check looks at a network from inside and says what a meeting would
// meet there: name look-up, web server, certificate, clock, proxy, zone
// controllers, tunnels, the router's control channel, every rung of media,
// and how long a NAT keeps UDP open. Each finding is a Line with a verdict, in
// words for a person, with a remedy; Rules is the table for whoever runs the
// firewall.
//
//	plan.go    what to look at, as data, made by pure functions
//	run.go     looks, stage by stage: web, what the lookup lists, media
//	stun.go    connectivity checks, UDP and streams
//	judge.go   what the findings mean together; pure
//	words.go   all words, in English and Traditional Chinese
//	print.go   the report as text
//
// Package check disturbs no meeting. With a meeting's link it is admitted as
// "Connection check" to learn where media goes, but never opens the control
// channel, without which a participant is shown to nobody; the router forgets
// it after 30 s. With a server's address alone it looks at what can be seen
// without a meeting, and says so.
//
// `causeway check` calls this package. All its goroutines have ended when Run
// returns.
package check
