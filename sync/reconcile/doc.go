// Package reconcile makes what derives from one event true again: its reminders first, then its copy in the user's Google
// Calendar.
//
// # What it promises
//
//   - A reminder never waits for Google. A claimed batch is planned and its reminders are committed in one statement at once; of a new event
//     the call begins beside that statement, of others after it. When calendars are slow, events are planned ahead and wait for their copies
//     in the table.
//   - What was past when an event was written is skipped; what we are late with is planned, and sent late.
//   - Running it twice changes nothing. Plans are pure, reminders are keyed by event and time, copies carry our own ids.
//   - One bad row fails alone, with words a developer of the app understands in error_message; the rest of its batch goes on.
//   - An event that changes while it is being served is served again at once afterwards, never by two workers at a time.
//   - No copy is forgotten. It is noted before Google hears of it, with the claim of a new event or in the same statement as the reminders; an
//     event that is deleted at any moment leaves a tombstone, and the removal never overtakes a write under way.
//
// # Who is authoritative
//
// The rows. events.sync_due_at is the queue: claiming an event moves it to the end of a lease, recording the result empties it or
// moves it to the next attempt. It has two halves, told by sync_planned: events whose reminders are to be planned, which are always
// served, and events that only wait for Google, which are served as there are places. Memory holds only the events in flight, at
// most Config.InFlight, whatever the tables hold.
//
// A claim names its worker (sync_worker) and the revision it serves. A result counts while both are still those; one that comes after its
// claim has passed on, and that wrote a copy, has the event served once more, because nobody can know which write was the last.
//
//	due ──claim──► leased ──plan, commit reminders──► in flight ──Google──► recorded
//	 ▲               │ lease ends (worker died)          │                    │
//	 └───────────────┴──────── retry, changed meanwhile ─┴────────────────────┘
//
// # How it works
//
// One goroutine claims and plans; what it has planned is committed beside the claim of the next batch (pipeline.go). A new event's call is sent ahead of the statement that commits (ahead.go), which saves about half of
// the way from the app's commit to Google; what became of it waits for the plan, for it ends the claim that the plan is committed under. A
// plan that did not count then has the event planned again, and the copy that was written is known by its hash. The claim does not wait for
// the disk (see ClaimEvents): what it says is on the disk with the next commit, and until then a crash of the server has the event served
// again, under the same id at Google. What needs Google goes to the user's lane: one call at a time per user, at most
// Config.Concurrency users at once, in turns. One lane holds an eighth of what memory holds; what finds it full comes back when its
// turn is to be expected, so that a large import into a slow calendar keeps nobody's reminders from being planned. One goroutine
// records results, as many as there are per statement. One keeps the leases of what is in flight alive and learns from that which
// events are gone.
//
// Users who have consented to nothing may have a service account act for them (Config.Domains). They are given an account when an event of theirs is
// claimed, and it is asked with every claim whether their address is still theirs (delegate.go): one more statement for a batch that has such
// users in it, and none where there is no service account.
//
// # Failure
//
// Errors of Google are classified by gcal. Retry: attempts are counted in the row, with growing pauses, for about a day. Throttled:
// that user's calendar pauses, for what waits in the lane at once, and for longer if it happens again within a minute. Reconnect: the account is parked, its events become 'scheduled'
// until the user connects again, which the sender asks them for, once. Project: every calendar pauses, an error is logged, no user is
// marked and no attempt is used. A refresh token that is sealed with a key which is not there waits for the key: likewise.
// Where it is the service account that is at fault, the accounts that it acts for pause, and nobody else; a user whom Google does not know is parked
// without a word, for there is nothing they could renew, and tried again after a day.
// Permanent: the event is 'failed', its reminders stay. A call that fails after long pauses its user's calendar for a while. When calls of
// several users fail in a row it is Google that is away: all calendars rest, for longer each time, and no attempt is used. So they do when a quota of
// ours is used up, or Google takes fewer requests than are made: events then leave memory instead of filling it, and what is due for Google
// only is not claimed. A calendar that is gone has its copies written to the one that the account writes to now; if it is that one, the event is
// 'failed' and says so, until the user chooses another. If the database is away results
// wait in memory; nothing new is claimed meanwhile. A row that refuses every update (a constraint it has violated since before, a trigger
// that raises) is found, reported and left alone, so that it holds up no other.
//
// A person may have all calendars left alone (Pause), as long as it takes: then nothing that waits for Google is claimed, what was in memory goes back to
// the table, due at once and with no attempt used, and nobody leaves. Planning goes on. The claims look at the table of pauses themselves, so a worker
// that has not heard of it does the same but for calls of what it had claimed before.
//
// # Calendars
//
// Where a copy is to stand is the user's choice. It is noted in the copy's row before the first request (target_calendar_id): as long as it is not
// known how far a move came, a removal looks in both calendars, and another choice waits for the end of the move. A calendar that the worker is to make is made
// by whoever notes in the account that it begins; events wait for it like for any call. When it is gone later it matters whose consent there is
// now. If copies have been written to it with that consent the user has deleted it, and it is not made again. Else the user may have connected
// another Google account, which Google does not tell: then it is made there.
//
// # Leaving
//
// A user who disconnects so that copies go is 'leaving': nothing is written, tombstones are carried out as always, and when there is none left the
// consent is given back and the account is 'off' (leave.go). It ends by itself: where access has ended, at once, and else after a day.
//
// Another worker may still be at a write that it began before. As long as it holds the event the copy is not made a tombstone, and the user has not
// left. When its claim was lost meanwhile it records the copy as a tombstone, not as one that stands, and while a removal is under way it makes that
// one not count. What is recorded only after the account is off waits, as a tombstone, for the user to connect again.
//
// # The app's own statements
//
// The worker never waits for a row while it holds others: rows that somebody else is at are passed over and tried again. A bulk update
// or a deletion by the app can therefore not deadlock with it, and a transaction that is left open holds up only its own rows.
//
// # Stopping
//
// Run stops claiming when its first context ends. Calls under way finish under the second, what has not begun is given back and is due
// at once.
//
// # Testing
//
// Planning is pure: testdata shows rows and what comes of them. The rest is tested against a real Postgres and gcalfake over HTTP.
//
// TestRandomOperations has apps, users, Google and workers do and fail at random, and compares what is there when all has come to rest with a
// model. What can happen stands in its table of operations; whoever adds a way to write, move or remove copies adds it there.
package reconcile
