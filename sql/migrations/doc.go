// Package migrations holds the schema as numbered SQL files and brings a database
// up to it.
//
// # What it promises
//
//   - Forward only. Files are numbered from 0001 without gaps; a database has
//     applied the first n of them, and Up applies the rest in order.
//   - All or nothing per file. Each file runs in one transaction together with the
//     row that records it in reminder_worker.migrations. A file that fails leaves
//     nothing behind, and those before it stay.
//   - Once. Any number of processes may call Up at the same moment; each file is
//     applied by one of them. A database that is up to date costs one read and
//     takes no lock.
//   - Never in the way for long. DDL waits for other transactions at most
//     Options.LockTimeout and then gives up: a queued ALTER TABLE would block every
//     later query of the app behind it. Who tries again leaves the app alone for
//     much longer than that.
//   - No surprises. A recorded file whose text has changed since, and a database
//     that knows more than the program, are errors and change nothing.
//
// # Who is authoritative
//
// The table reminder_worker.migrations says what a database has; the embedded
// files say what it should have. Checksums ignore line endings, nothing else.
//
// Processes take turns by an advisory lock that belongs to the transaction of each
// file and not to the session: it cannot be left behind, not even by a pooler
// that hands the next transaction to another server connection. Whoever gets the
// lock reads the record again before it applies anything.
//
// # On failure
//
// Errors are typed: *FilesError, *ChangedError, *GapError, *NewerError,
// *LockError, *PermissionError, *StatementError. The last one knows file, line and
// column, and repeats the server's detail and hint. What to do is on a line of its
// own, and where privileges are missing it is the statements that grant them. Calling Up again after the cause is
// gone continues where it stopped.
//
// # Other ways to apply the files
//
// Print writes the same files as one script, for people who keep their schema
// in supabase/migrations. Running it records every file as Up would.
//
// # Testing it
//
// Tests run against a real server of package pgtemp with files of their own
// (Options.FS).
package migrations
