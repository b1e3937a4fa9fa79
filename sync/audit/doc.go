// Package audit compares what should be with what is: events with their reminders and recorded copies, and these with what stands in
// Google's calendars. It says what is out of step and why, and on request has it mended.
//
// The sweep of sync/reconcile finds what is due and was missed. An audit finds what no row says is due: what was lost by a restored backup, by
// statements that ran while triggers were off, by hand, or by a fault of the worker's own. It is a package beside sync/reconcile because it
// is a second opinion: it shares planning (reconcile.Planner), so that there is one definition of what should be, and none of the writing.
//
// # What it promises
//
//   - A healthy database has no findings, however busy. What is due, held by a worker or on its way out is being served and is not looked
//     at, but for being stuck there. Every candidate is judged twice, with Config.Grace in between, and only what is the same both times, of
//     the same revision, is a finding; what Google shows is then asked for once more, entry by entry.
//   - It writes no copy, no reminder and no push. A repair makes rows due: events are served once more, tombstones come into their queue,
//     reminders are claimed. The workers do the rest as ever, with their claims, lanes, quotas, pauses and attempts; each repairing
//     statement looks at its rows again, passes over those that somebody else is at, and changes nothing that has changed since.
//   - It goes page by page. A page of rows, or of a calendar, is in memory, the recorded copies of one account, and the candidates
//     that wait for their second look.
//   - A second audit after a repair finds nothing. Without a repair nothing is written but when each account was read and which copies were
//     gone.
//
// # Who is authoritative
//
// The event decides what a copy says, the user's calendar decides what exists (see sync/gcal). So:
//
//   - title, place or time of a copy other than the event's: copy_differs, written again. Whatever else the user has made of it is theirs:
//     copy_edited, for information.
//   - a copy that the user has deleted: copy_deleted, for information, never written again for unchanged content. Google forgets deleted
//     entries after some weeks, so audits remember which they have met gone (gone_at). A copy of which there is no trace is lost,
//     copy_missing, only if it would have been seen deleted: it was written within lossWindow, or its account was read within it and it
//     was there. Otherwise nobody can tell any more: copy_unaccounted, for information.
//   - an entry that carries our private properties and is not the recorded copy: copy_twin beside it, copy_orphaned where the event is gone,
//     cancelled or another user's who has no copy of it. If the recorded copy is not there and another is, the record is wrong: copy_misnamed, and it
//     is the record that is changed.
//   - an entry without our private properties is never touched, nor is one that carries them for an event that is being served, nor a changed time
//     of a copy that the user repeats.
//
// # Whose an entry is
//
// Our private properties say which event an entry is of, not whose. Two users may have consented with one Google account or chosen one calendar, and
// two deployments may write to it, each with a database of its own. So only what this database has evidence of is removed:
//
//   - what a copy names that is recorded for anybody, or is about to, is in order. "primary" may be the same calendar for two users, so the id of
//     the entry is enough.
//   - of an event of another user who has a copy of it, or must have: copy_unclaimed. Where that copy is seen beside it, the calendar is shared, and the
//     entry is a twin, which the other user's audit tells.
//   - of an event that is neither in events nor in calendar_copies: copy_unclaimed. It was deleted and its copy forgotten, or it is
//     another database's: the properties do not tell, and no row tells what is forgotten.
//
// What is unclaimed is told and stays, for a person to judge. The statement that notes what is to be removed asks all of this again (RemoveEntries).
//
// An event that this version never served (an import, what an older service has done) is none of these. What planning depends on and that
// has changed without the event (a child's name, the deployment's offsets or zone) shows as reminders that differ and copies that are outdated,
// and a repair brings it into line.
//
// # How an entry too many is removed
//
// As a tombstone in calendar_copies, like every other: a tombstone needs no event. It stands under its event's key where that is free, so that the
// event, should it come back, finds it there and revives it; otherwise, and where the event is another user's, under a key made of user, calendar
// and id, which no event has, and entry_of tells the event. So the removal waits for the user's lane, the quota and the pauses, is tried again when it
// fails, and is no second way of deleting. Meanwhile the entry may become the copy, as when the user chooses the calendar that it stands in: whoever
// claims the removal of what a copy of entry_of names by then, or is on its way to, forgets it instead (ClaimRemovals).
//
// # In the background
//
// Run makes one round in Config.Interval, a page or an account at a time, the pauses between them even and never shorter than MinPause. Whose turn
// it is stands in a row (reminder_worker.audits) with how far the round has come: any worker takes the next step, one at a time, and one that dies
// delays it by a few minutes. Not an advisory lock: a pooler may hand the session that holds it to somebody else. An account that takes longer
// than a step may is told (account_not_read) and passed over. While calendars are paused by hand no step is made.
//
// # Failure
//
// A database that fails ends the audit, a background step is made again. An account that cannot be read is a finding of its own
// (account_not_read): nobody is marked for it, that is left to the next write. A quota that all share is waited for where it has room soon; where it
// is used up for the day, every account that is left is such a finding, and Google is not asked. A delegated account whose address its user has not
// confirmed, or no more, is not read and no finding: the next write sees to it. A fault of our registration with Google ends the audit.
//
// # Testing
//
// Against a real Postgres, gcalfake and the real reconciler: every kind of damage is done, named, mended, and gone; and nothing is found while
// workers serve a crowd of random changes.
package audit
