// Package app is the program: its configuration, and the wiring, start order and shutdown of its parts.
//
// # Start
//
//	configuration ─► HTTP answers ─► database reached, migrated ─► LISTEN proven ─► backlog read, wheel filled ─► ready
//
// A database that is not there is waited for, with a log line and a reason at /readyz; a schema that is not ours to serve (changed, or
// newer than the program) ends the program. From then on no failure of the database, of Google or of Expo ends it.
//
// # The flow
//
//	          ┌─► reconcile: events ─► reminders ─► copies at Google
//	listener ─┤         │ arms
//	          └─► notify: wheel ─► pushes at Expo ─► receipts
//
// The parts do not know each other; only this package knows them all.
//
// # Stop
//
// When the context ends the listener and the intake of both parts stop; what is on the wire has Config.ShutdownGrace; claims that were not
// begun are given back; HTTP answers to the last.
//
// # Testing
//
// The whole program runs in tests as it runs in production, against a real Postgres and the stand-ins over HTTP.
package app
