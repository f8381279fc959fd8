// Package web is the web infrastructure: it hosts the site, serves the API
// through which meetings are made and looked up, signs the join tokens, and
// prepares for each client the package with which it enters a meeting.
//
// The command makes a Server, mounts its Handler and calls Run. Any number of
// web nodes may run side by side on one PostgreSQL database: what they share is
// there, and everything else they hear on the bus. A node that has lost the bus
// still makes meetings; a meeting goes on when all web nodes are gone.
//
// Run owns the subscriptions to the bus, the gateway, and three goroutines: two
// repeat on the bus the public keys of join tokens and which meetings have
// ended, one forgets old reports. Requests are bounded in size, nesting, and
// rate per client address.
package web
