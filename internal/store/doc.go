// Package store keeps what must survive a restart: meetings, API keys, the
// keys that sign join tokens, and join reports. It is SQL with the same
// statements and the same migrations on PostgreSQL, for several web nodes, and
// on SQLite, for a single one.
//
// Only web writes to it; the command opens it. A Store may be used from any
// number of goroutines and owns none of its own. Whatever a method has
// returned from is durable: SQLite runs in WAL mode and syncs every commit, so
// that neither a killed process nor a power failure takes it back.
//
// The database holds the seeds of signing keys and the passcodes of meetings
// in the clear, so its file is made readable by its owner only.
package store
