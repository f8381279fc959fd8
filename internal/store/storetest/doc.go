// Package storetest starts throw-away PostgreSQL servers for tests.
//
// A test package starts one server in its TestMain, stops it there, and gives
// each test an empty database of it:
//
//	var postgres *storetest.Server
//
//	func TestMain(m *testing.M) { os.Exit(storetest.Main(m, &postgres)) }
//
//	func TestSomething(t *testing.T) { dsn := postgres.Database(t) … }
//
// The server is Debian's (package postgresql), on a unix socket in a temporary
// folder, without durability. It runs as an unprivileged user when the tests
// run as root, and on Linux it dies with the tests however they end. With
// CAUSEWAY_TEST_POSTGRES=postgres://… databases are made on that server
// instead; its user must have the right CREATEDB.
package storetest
