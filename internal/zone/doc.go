// Package zone is the zone controller: it knows the load of every multimedia
// router in its zone, lets clients measure the way to it (phase 2), and
// brokers each join to the best router (phase 3).
//
// All it knows it has heard on the bus: routers repeat their state every
// second, web repeats the keys of join tokens. It keeps nothing, so any
// controller of a zone can take the place of another at once, and two of them
// answer alike. state.go and place.go are pure; the rest is a thin shell of
// HTTP and bus around them.
//
// The command calls New, serves Handler and runs Run, which owns the
// package's goroutines: one for the tick, one that follows the keys, and those
// of its subscriptions. What is kept is bounded by the zone's routers and
// meetings, and by maxAddresses for rate limits.
package zone
