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
// # A database that ails
//
// Every statement has 30 s, so that a frozen server is noticed; whether the database answers is read off the statements that run anyway.
// One that it refuses three times in a row, other than for its rows or for locks, is named at /readyz with what to do, until it succeeds
// or has not been tried for ten minutes.
//
// # Stop
//
// When the context ends the listener and the intake of both parts stop; what is on the wire has Config.ShutdownGrace; claims that were not
// begun are given back; HTTP answers to the last.
//
// # Diagnosis
//
// Diagnose examines the configuration, the database, Google and Expo without changing anything: what is wrong is a Finding with a stable
// id and what to do about it. It asks the services themselves, each question bounded by 5 s, so that a wrong client secret is told
// from a closed firewall. No error and no finding of this package holds a secret: parsers quote what they cannot read, so their words are
// not passed on.
//
// # Testing
//
// The whole program runs in tests as it runs in production, against a real Postgres and the stand-ins over HTTP.
package app
