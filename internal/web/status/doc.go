// Package status is the operator's view of the whole system: which servers
// there are, how they are and what has happened to them.
//
// A Board hears on the bus what every server repeats of itself, the same that
// servers use among themselves, so that the status needs nobody's help and
// every web node can give it. Web feeds it and asks it for a picture; what
// happens between two pictures (a server falls silent, fills up, comes back)
// becomes an event. Pure: it reads no clock, does no I/O and owns no
// goroutine. It remembers at most maxServers servers, maxLegs legs and
// keepEvents events; servers that were silent for forgetAfter are forgotten.
package status
