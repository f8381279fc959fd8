// Package delivery chooses which meeting zones a client is offered, and in
// which order: service delivery of the first phase.
//
// A Table hears what zone controllers say of themselves on the bus, a Locator
// guesses where an address is, and Order, a pure function, puts the zones that
// are alive into the order in which they are offered. Web calls all three for
// each lookup. The client measures the zones itself afterwards, so the order
// only has to be good, not perfect.
//
// The package owns no goroutine. A Table holds at most maxControllers
// controllers; what it cannot hold or does not understand it ignores.
package delivery
