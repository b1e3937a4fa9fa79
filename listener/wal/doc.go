// Package wal hears committed changes through logical replication: the same
// changes that package listener hears through NOTIFY, as another
// [listener.Source].
//
// # The stream carries no rows
//
// The triggers ask a bell whether anybody hears this way, and if so write one tiny
// transactional message into the write-ahead log (pg_logical_emit_message, prefix
// reminder_worker; empty for a commit, else a worker's own word). The server's
// pgoutput plugin sends it when the transaction commits, and never if it rolls
// back. Nothing else is asked for: the publication is empty.
//
// So there is one definition of a change for all sources, the triggers', and what
// the worker writes itself does not come back. An empty publication can never make
// an UPDATE or DELETE of the app fail for want of a replica identity, needs no
// ownership of the app's tables, and keeps relations, types, large values and
// changed columns out of the stream. And unlike a NOTIFY a message takes no lock
// that all writers share.
//
// # What it promises
//
// [Source.Open] returns a path on which everything is received that is committed
// afterwards. It says exactly what is missing for that, and what to do about it, as
// a [MissingError]; it makes the publication and the slot itself. The stream begins
// at a fence, a message of its own that is younger than the connection. The server
// passes over what was committed before it, and one message stands for all of that,
// if the slot was there before: a listener reads a backlog after every Open anyway.
// A path that is handed out is therefore not behind.
//
// A transaction is one message, handed on when its commit arrives, at the position
// where it ends. [listener.Path] acknowledges positions; the server is told that
// everything up to there is done, and never more than that (of what was there before
// the fence nothing, until the message for it is acknowledged), except that with
// nothing left to acknowledge it is told whatever the server says it has read: else
// a quiet database would hold back the log of a busy one beside it.
//
// A commit is in the log before it is visible, for a moment, or for as long as a
// synchronous standby takes. So every message is [listener.Message.Early]: the
// listener looks again when the writers of that moment have ended.
//
// # Who is authoritative
//
// The tables. A backlog is read after every Open, so that even a slot that is lost
// loses no change; what a slot spares is only the wait for it to be made.
//
// # Two kinds of slots
//
// A temporary one ([Config.Slot] empty) belongs to one connection and goes with it:
// any number of workers hear side by side, and none can hold back the log once it
// is gone. The server makes it when all writers that were under way have ended;
// until then the sweep is all there is, and the log says whom it waits for.
//
// A permanent one is for one worker at a time. Another finds it in use, which is a
// [BusyError], sweeps, and asks again every few seconds. The server frees a slot
// whose consumer has gone mute after [Config.SenderTimeout], which is therefore the
// time of a takeover. A permanent slot holds back the log while nobody reads it;
// set max_slot_wal_keep_size. Nothing is acknowledged until a path is at its fence, so
// that a connection cut before has the server read what had piled up once more, from
// the start. It hands none of it on, but to read it is most of the work: a log that
// takes longer to read than connections last is never caught up with, and the sweep
// is all there is until the slot is dropped.
//
// A slot that the server still holds for this worker's own last connection is a
// [HeldError], and not another worker's.
//
// # Failure
//
// A slot that the server has given up (wal_status lost) or cannot read any more is
// dropped and made anew, loudly: an error in the log, and it is counted
// (slots_lost_total). It is not an outage. Messages of the protocol that are not
// needed are passed over, whatever they are; one that is needed and cannot be read
// ends the path with a [MalformedError].
//
// The server decodes a transaction when it commits, and sends nothing else while it
// does so; one of millions of rows, in any table, takes it longer than a proof may.
// The listener then gives the path up and sweeps, and the next path begins behind that
// transaction: a temporary slot after it, a permanent one by reading, not replaying, it
// once more. A server that is silent meanwhile is waited for, [Config.CatchUpTimeout]
// at most.
//
// The server sends the messages of others as well, up to 1 GB each. They are read one
// at a time and passed over; one of more than 16 MB ends the path with a
// [MalformedError] instead of filling the memory, and the next begins behind it.
//
// One goroutine uses the connection: the one in Receive reads, tells the server
// that it is alive every [Config.StatusInterval], and answers when asked. Ping and
// Acknowledge only leave a note and interrupt its read; writes have a deadline of
// their own, since an interrupted write would end the connection.
//
// # Testing
//
// The decoder and the arithmetic of positions are pure; the decoder is fuzzed. All
// else runs against a real Postgres, through a proxy that can cut and swallow. One
// suite (conformance_test.go) holds NOTIFY, replication and polling to the same
// behaviour.
package wal
