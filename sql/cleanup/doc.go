// Package cleanup removes rows that are over, so that the tables do not grow for ever.
//
// # What it promises
//
//   - What is removed has been over for as long as Config says, by the database's clock: reminders with their deliveries, events if that is asked for,
//     removals that wait for an account that does not come back, retired devices, and the record of users who have been forgotten.
//   - Never what is still needed: nothing that is pending, claimed or in flight; no reminder of an event that is not over; no reminder whose receipts
//     are asked for; no event with a reminder to come or a copy that is being removed; no device that a reminder to come names. Each row is looked
//     at again, locked, in the transaction that removes it.
//   - A copy stays in the user's calendar when its event goes because it is old: what is known of the copy goes before the event, in the same
//     transaction, so that the trigger which buries the copies of deleted events finds none.
//   - Every transaction is bounded: Config.Batch rows, and it waits for nobody. Rows that the app is at are passed over until the next time.
//   - It takes no more than Config.Share of its time, so that whatever serves meanwhile has the rest.
//
// # Where to look
//
// Being old is no index's business: one on every row of a hot table, for the sake of one reader a day, would be paid for with each write. So the
// tables are read in the order in which they lie, Config.Blocks at a time (a range of ctid, which PostgreSQL reads without looking at the rest), and
// how far that has come stands in a row. What has been removed leaves blocks that cost little to read and that are filled again.
//
// # Who is authoritative
//
// The row of reminder_worker.cleanups: when the next cleanup is due, whose it is, and how far it has come. One worker does it for all, holding the
// row by a time that it renews with each batch, in the transaction of the batch. So what is counted has been removed, once, and a worker that
// dies leaves a cleanup that another goes on with after Config.Hold. Not an advisory lock, for the reason that sync/audit gives.
//
// # Failure
//
// Rows may be refused, by a foreign key of the app's that does not cascade, or by a trigger. Then the batch is halved until what is refused stands
// alone, is counted and left; of a part in which that happens maxRefused times the rest is left until the next time. A database that fails ends
// the attempt, and the next one goes on from where the last batch was recorded.
//
// # Testing
//
// Against a real Postgres: what must go and what must stay, a step at a time; two at once; killed between batches; and package bench measures how
// late reminders are meanwhile.
package cleanup
