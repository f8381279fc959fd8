// Package loadtest puts synthetic participants into a meeting and measures
// what they get: how long joining takes, how much is lost, how late sound and
// pictures are, and what it costs the server.
//
// Every participant is a real one: it looks the meeting up, is brokered, does
// DTLS and SRTP, repairs losses. Only what is said and shown is made up: sound
// and pictures of the asked size that carry the moment they were made, so that
// whoever receives them, in the same process, knows how old they are.
//
// The command `causeway loadtest` and benchmarks call Run. It owns a handful
// of goroutines for each participant and waits for all of them; it ends by
// itself after Config.Duration.
package loadtest
