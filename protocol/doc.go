// Package protocol holds every message and every error code that crosses a
// wire in Causeway, and nothing else: no I/O, no state. PROTOCOL.md beside it
// tells the same in prose, in the order in which a join uses it.
//
// Field names are snake_case in JSON. Durations carry their unit in the name
// (_ms). Times are RFC 3339 in UTC unless the name says otherwise. Unknown
// fields are ignored by readers, so that either side may be upgraded first.
//
// The TypeScript types of the web client are generated from this package:
//
//go:generate go run ./gen ../webclient/src/protocol/messages.ts
package protocol
