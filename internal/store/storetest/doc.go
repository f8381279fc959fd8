// Package storetest starts throw-away PostgreSQL servers for tests.
//
// A test package has one server, which starts with the first database that a
// test asks for and is stopped in TestMain:
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
