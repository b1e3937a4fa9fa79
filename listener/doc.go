// Package listener turns committed row changes into [Change] values, for ever,
// through disconnects.
//
// # What it promises
//
// While [Listener.Run] runs, every commit that touches a watched row is followed
// by at least one call of the handler that begins after that commit. How soon
// depends on the [State]: milliseconds while listening, [Config.SweepDegraded]
// while not. Never is a change the only thing between a row and its handling:
// the sweep repeats the question every [Config.SweepInterval] whatever happens.
//
// # A change carries no ids
//
// The tables are the truth. Their queue indexes answer "which rows need work" in
// one probe, they survive a crash, and they can neither go stale nor overflow. A
// list of ids beside them would be a second, weaker answer to the same question.
// So the triggers send one constant, empty payload: Postgres folds equal payloads
// of one transaction, and an import of a hundred thousand rows is one change.
//
// # Who is authoritative
//
// The server, about what was committed; this package, only about whether it can
// hear. One goroutine owns the connection and does nothing but read it: a session
// that does not drain its socket holds back vacuum for the whole cluster. Another
// goroutine calls the handler. Between them lies one pending change, so a handler
// that takes its time folds what came meanwhile and the memory used stays constant.
//
//	            LISTEN, proof          one pending
//	Postgres ----------------> owner --- change ---> deliverer ---> handler
//	            changes                                  ^
//	                                                   sweep
//
// # Order at every connection
//
//	connecting -> proving -> listening
//	    ^            |           |
//	    +--- deaf <--+-----------+
//
// Connect; LISTEN, committed by itself; send a proof (a NOTIFY whose payload only
// this connection knows) and see it arrive; then hand on a [Backlog], whose
// handler reads in a transaction that is younger than the LISTEN. What was
// committed before the LISTEN is in the backlog, what is committed after it is
// heard, and what falls between is both, which is harmless. Without the proof a
// pooler in transaction mode would accept the LISTEN and never deliver anything.
//
// # Failure
//
// A proof is repeated every [Config.ProofInterval]; one that is not back within
// [Config.ProofTimeout] ends the connection. Sockets made by [DialFunc] notice a
// vanished peer by themselves in about ten seconds. The listener then reconnects
// for ever, with growing pauses, and the first connection is no exception: a
// database that is not there yet is waited for. Meanwhile it is [Deaf] and the
// sweep runs at its degraded pace. A nil [Connect] makes a listener that only
// sweeps, for databases behind a pooler that cannot LISTEN at all.
//
// The connection is read and written one protocol message at a time instead of
// through Exec. pgx closes the connection of a command whose context ends, and in
// closing dials the server again to cancel the command, for up to fifteen seconds;
// a listener that gives up on a dead path must not leave that behind.
//
// # Testing
//
// Folding, sweeping and backoff are pure and run under testing/synctest. All else
// runs against a real Postgres, through a proxy that can refuse, cut and swallow.
// Handlers are tested by calling them with a Change.
package listener
