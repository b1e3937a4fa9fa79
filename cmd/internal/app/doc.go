// Package app is the program: its configuration, and the wiring, start order and shutdown of its parts.
//
// # Start
//
//	configuration ─► HTTP answers ─► database reached, migrated ─► LISTEN proven ─► backlog read, wheel filled ─► ready
//
// A database that is not there is waited for, with a log line and a reason at /readyz; a schema that is not ours to serve (changed, or
// newer than the program) ends the program. A migration that finds its table in use is tried again after 20 s at least, as the app's
// reads queue behind it. From then on no failure of the database, of Google or of Expo ends it.
//
// # The flow
//
//	          ┌─► reconcile: events ─► reminders ─► copies at Google
//	listener ─┤         │ arms
//	          └─► notify: wheel ─► pushes at Expo ─► receipts
//
// The parts do not know each other; only this package knows them all.
//
// Beside them old rows are removed (sql/cleanup), users who are to be forgotten are (sql/personal), and audits look on (sync/audit). What the database
// refuses to the first two keeps nobody from being served, so it does not count against readiness: they say it themselves.
//
// # A database that ails
//
// Every statement has 30 s, so that a frozen server is noticed; whether the database answers is read off the statements that run anyway.
// One that it refuses three times in a row, other than for its rows or for locks, is named at /readyz with what to do, until it succeeds
// or has not been tried for ten minutes.
//
// # The way to the database
//
// Every connection of the pool and of the listener is examined when it is made, in one question (route). A server that takes no writes, a
// standby or one that is set to read-only, is as good as none: the next host is tried, and without one the worker waits, says so, and goes
// on by itself once there is a primary. A string of several hosts needs no target_session_attrs for that, and a host that is down or silent
// costs its share of 10 s. When a statement shows that the server has changed (SQLSTATE 25006, class 57 or 08, a lost connection), all
// connections of that generation are replaced.
//
// A pooler is known by its process id, which is not that of the server process that answers. Behind one nothing is prepared on the server:
// a statement is described once for each connection and then sent in one round trip, which any mode of any pooler takes; who sets
// default_query_exec_mode is obeyed. A route that turns from direct to pooled, or back, is noticed by the next connection. Migrations take
// turns by locks of their transactions and are safe behind a pooler in transaction mode. It delivers no changes: there the worker polls,
// and tries to listen again now and then.
//
// # Stop
//
// When the context ends the listener and the intake of both parts stop; what is on the wire has Config.ShutdownGrace; claims that were not
// begun are given back; HTTP answers to the last.
//
// # What an operator does by hand
//
// Which parts are paused stands in the table reminder_worker.pauses. The statements that claim work look there, so that nothing of a paused part is claimed
// from its commit on, by any worker. One reader for all parts (pauses) has them let go what they hold in memory: it reads when a change is heard
// that may be word of it, and otherwise with the ages of work, by the same statement, so that a worker with nothing to do asks nothing more. A part
// that is paused passes its check, degraded: it is as somebody wants it.
//
// Retry makes failed rows pending, as an update of the app's does, in small transactions; rows that somebody else is at, or that refuse, are
// told and left. Why rows have failed is told by the function reason_of of the schema alone, so that what is shown, and what is retried by its
// reason, are the same groups. ReadStatus reads one snapshot on a connection of its own, which may be a standby's.
//
// # Diagnosis
//
// Diagnose examines the configuration, the database, Google and Expo without changing anything: what is wrong is a Finding with a stable
// id and what to do about it. It asks the services themselves, each question bounded by 5 s, so that a wrong client secret is told
// from a closed firewall. No error and no finding of this package holds a secret: parsers quote what they cannot read, so their words are
// not passed on.
//
// # The live page
//
// What it shows is read in transactions that change nothing, one at a time, by statements of 3 s at most; how they end says nothing of readiness, and makes
// no plan old. Rates are this worker's, read off its own counters; all else is of the tables, so every worker shows the same. What it changes goes the way of the commands.
//
// # Testing
//
// The whole program runs in tests as it runs in production, against a real Postgres and the stand-ins over HTTP; also behind PgBouncer,
// which has to be installed for that (REMINDER_WORKER_REQUIRE_PGBOUNCER=1 insists), and before a primary with a standby.
package app
