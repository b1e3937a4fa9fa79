// Package pgtest gives every test a migrated database of its own.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestPlan(t *testing.T) {
//		t.Parallel()
//		db := pgtest.New(t)
//		_, err := db.Pool.Exec(t.Context(), "...")
//	}
//
// A database, not a schema and not a transaction that is rolled back: changes reach
// only listeners of the same database, and only after a commit, so nothing less
// keeps tests that listen apart.
//
// # What it promises
//
//   - Nothing to set up. The first New of a test process starts a private server
//     (package pgtemp) and migrates one template; every database is a copy of it.
//   - Cheap. The server keeps its files in memory where there is room for them; a
//     database is then made and dropped in some 15 ms.
//   - Tests do not see each other and may run in parallel, in any order, any number
//     of times.
//   - Nothing is left behind. A test that passes drops its database, Main ends
//     the server, and the server dies with the process in any case.
//   - A test that fails logs how to get at its data.
//
// # Environment
//
//	REMINDER_WORKER_PG_BIN    directory of the server programs to use
//	REMINDER_WORKER_KEEP_DB   set to 1: after a failure, Main waits for Ctrl-C
//	                          before it ends the server, so that the kept
//	                          databases can be looked at
//	TEST_DATABASE_URL         use this server instead of a private one; its role
//	                          must be allowed to create databases
//
// # Testing it
//
// Its own tests are its users: two databases made at once, one that fails.
package pgtest
