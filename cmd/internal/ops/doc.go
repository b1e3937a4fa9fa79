// Package ops is the operator's side of the program: health and metrics over HTTP,
// fed by snapshots it is handed, beside a page for people that it is given.
//
// # What it promises
//
// /livez answers 200 while the process's own loops run, 503 when one has stopped,
// and nothing at all when a part holds its own lock for ever. It never asks a
// dependency: a database that is away for a minute must not make a supervisor
// restart every worker.
//
// [Supervise] tells a service manager the same without HTTP, as sd_notify(3) has it.
//
// /readyz answers 200 "ok" or "degraded", and 503 when a required [Check] fails,
// with a reason a person understands and what to do about it. It is plain text, or
// JSON for ?verbose and for clients that accept application/json.
//
// /metrics is the Prometheus registry the server was given. The server adds
// build_info, the outcome of every check, and the Go runtime's own figures, so that
// an alert and a readiness probe can never disagree.
//
// Of these anything but GET and HEAD is refused; nothing here changes the program.
// All other paths are [Config.Page]'s.
//
// # Who is authoritative
//
// The parts of the program know how they are; a check reads a snapshot of that.
// Probes run inside the request and are expected to return at once: they must not
// wait for a network or a lock that is held during I/O. Reasons are shown to
// whoever can reach the address, so they hold no secrets and no user's data.
//
// # Failure
//
// An address that cannot be bound is an error of [Server.Listen] and of
// [Server.Run]. A probe that panics is a failed check, and no more. At the end,
// requests under way are given [Config.ShutdownGrace]; a page ends those of its own
// that would go on for ever.
//
// # Testing
//
// With port 0 and real requests; see [Server.Addr].
package ops
