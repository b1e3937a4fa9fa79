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
// So the triggers send one of two constant payloads: "events" for rows of events,
// after which nobody need look for reminders ([Change.OnlyEvents]), and an empty one
// for all else. Postgres folds equal payloads of one transaction, and an import of a
// hundred thousand rows is one change.
//
// # Sources
//
// A [Source] is one way to hear: [NotifySource] here, logical replication in
// listener/wal. What is heard is the same: commits, and the workers' own words
// (a proof, a hush, told; see words.go). Without a source the sweep is all there
// is.
//
// # Who is authoritative
//
// The server, about what was committed; this package, only about whether it can
// hear. One goroutine reads the connection and does nothing else: a session that
// does not drain its socket holds back vacuum for the whole cluster. One keeps the
// bell. One calls the handler. Between them lies one pending change, so a handler
// that takes its time folds what came meanwhile and the memory used stays constant.
//
//	           commits, words           one pending
//	Postgres ----------------> reader ---- change ---> deliverer ---> handler
//	    ^                        | words      ^              ^
//	    +------ bell, proofs -- keeper -------+ looks      sweep
//
// # Order at every connection
//
//	connecting -> proving -> listening
//	    ^            |           |
//	    +--- deaf <--+-----------+        (polling, if it can only swallow)
//
// Connect; LISTEN, committed by itself; send a proof over another connection; see
// it arrive; open the bell, which nobody is to ring before; then hand on a
// [Backlog], whose handler reads in a transaction that is younger than both. What was
// committed before the LISTEN is in the backlog, what is committed after it is
// heard, and what falls between is both, which is harmless. Without the proof a
// pooler in transaction mode would accept the LISTEN and never deliver anything;
// with a proof over the same connection it could deliver just that.
//
// # The bell
//
// A commit that carries a NOTIFY takes a lock that all such commits of the cluster
// share, and keeps it until it is on disk: eight writers together are then no
// faster than one. So the triggers ask a [Bell] first, a number that says until
// when anybody wants to hear. It is read and written outside of transactions.
//
// Whoever opens the bell asks afterwards which transactions hold a lock on a
// watched table ([Bell.Writers]): only those can have found it closed and commit
// later, because a writer locks the table before he looks at the bell. The keeper
// hands on a [Look] every few milliseconds until they have all ended, and one more
// after that. It opens the bell again every [Config.ProofInterval]. Every opening
// of a closed bell is counted with the bell; a number that has grown without our
// doing is a gap: the backlog is read and the writers are asked for again.
//
// When commits are announced faster than looking would cost (a storm,
// [Config.StormCommits]), the keeper sends a hush. Within half of [Config.Silence]
// it closes the bell, or not at all; it looks every [Config.LookInterval] for all of
// it, and so does every worker that was sent the hush, or begins to listen: it may
// have missed one. Afterwards each opens the bell as above, and if the storm goes on
// it begins again. Writers then announce few of their commits and commit side by
// side; a change is at most a look late. A worker that dies in between leaves a
// closed bell to others, who open it at the end of the silence, or find the gap;
// alone, its successor opens it. The order of these steps is tested by running every
// interleaving of a model (bell_model_test.go).
//
// What comes from the write-ahead log may come before the transaction that wrote it
// is visible to others ([Message.Early]). Then the writers are minded, too.
//
// # Failure
//
// A proof is repeated every [Config.ProofInterval], with a ping on the connection
// itself; what is not back within [Config.ProofTimeout] ends the connection.
// Sockets made by [DialFunc] notice a vanished peer by themselves in about ten
// seconds. The listener then reconnects for ever, with growing pauses, and the
// first connection is no exception: a database that is not there yet is waited for.
// Meanwhile it is [Deaf] and the sweep runs at its degraded pace.
//
// The connection is read and written one protocol message at a time instead of
// through Exec. pgx closes the connection of a command whose context ends, and in
// closing dials the server again to cancel the command, for up to fifteen seconds;
// a listener that gives up on a dead path must not leave that behind.
//
// # Replicas
//
// Every worker hears every change. What a worker writes itself rings nobody: with
// [Listener.Tell] it has the others look, in a transaction of its own and at most
// every [Config.TellInterval].
//
// # Testing
//
// Folding, sweeping, backoff and the bell's timing are pure and run under
// testing/synctest. All else runs against a real Postgres, through a proxy that can
// refuse, cut and swallow. Handlers are tested by calling them with a Change.
package listener
