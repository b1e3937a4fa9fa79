// Package permits shares the quotas of outside services among all workers on one database.
//
// # What it promises
//
//   - At most Config.Allowed permits are used in any Config.Window, by all workers together, whichever of them die, hang, are stopped or
//     join. There are no members, no shares and no leader: whoever is about to send takes permits from one row of the database.
//   - Wants are met in the order in which the database hears of them, whatever their size: a small one never overtakes a large one, so
//     none starves. A permit is granted for the first moment at which it fits; Take waits until then. Only when more than a window is promised
//     ahead is nothing granted, to wants of any size, and it is asked for again.
//   - One statement per Take, as a rule, and often none: Takes that wait at the same time are asked for together,
//     and where permits go fast some are taken ahead of need (Config.Chunk).
//   - Config.Allowed 0 is no limit, and no statement.
//   - Each does the same for quotas that everybody has one of, and costs those nothing who use little of theirs.
//
// # Who is authoritative
//
// The row, by the database's clock. It holds a log of grants, each until it ceases to count (see the migrations 0006_permits and 0018_permits_used). A
// process holds no more than the permits that it is about to use.
//
//	Take ──► line ──one statement──► grant ──from──► caller ──► used, before until
//	           ▲                       │
//	           └── surplus, until it is too old
//
// # How a window stays exact
//
// A permit is granted at one moment and used at a later one. Used too late it would crowd the next window, so it counts for longer than the
// window: by Config.Keep, which is how long it may be kept, by two times what a statement takes of late, and by Config.Margin, which is by how much one way to the service may take longer than another. Time is counted from before
// the statement was sent, so a process that was stopped in between finds its permits too old and takes others. Whoever looks at the clock
// for the last time with the write of the request itself uses none too late.
//
// All this would be paid for in permits: a window of a second with 100 ms to keep and a margin of 15 ms grants 600 every 1.12 s. But most are used
// at once. So whoever takes the next ones says when those before were used (a twentieth of the quota at a time at least, so that there are few to
// tell of), and they count for a window and the margin from then: 600 every 1.02 s. Permits of which nothing is heard count for as long as they might have
// been kept. A want that does not fit into what is left of a window leaves that unused.
//
// Where statements take longer than half a window, two in a row, that time and a quarter of a window are allowed for instead. It makes permits
// dear: all count for so much longer, whoever uses them. What could not be answered in time is not asked.
//
// # Failure
//
// A worker that dies costs what it held, for one window. The table is unlogged, so that a grant waits for no disk: after a crash of
// the server or a failover it is empty, and the first window may carry as much once more. So may a clock of the database that is set forward;
// one that is set back delays grants by three windows at most, and what is told of permits in that moment may be taken from another's entry. While the database does not answer nothing is granted: a Take that is bounded
// fails at once, another waits.
//
// The row is rewritten by every grant, and old versions cannot be cleared away while some transaction is open that might see them. An open
// transaction makes each statement slower, by about a tenth of a microsecond for each grant since it began.
//
// # Testing
//
// The function is held to a model with random wants and a random clock. Limiters are hammered on one real database, and grants counted in
// every window.
package permits
