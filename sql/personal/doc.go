// Package personal is about one user: all that is held about them, as one document, and its removal.
//
// # The document
//
// Export writes one JSON object: format ("reminder-worker/user-export"), version (1), exported_at, user_id, and for each kind of rows an array under its
// name: settings, google_accounts, children, devices, events, reminders, deliveries, copies, deletions. A row is an object with all its columns, the
// app's own included, under their names; times are in UTC. Nothing is masked, as it is the user's, but for one secret: in the place of the refresh
// token stands has_refresh_token. A later version may add kinds and columns; where a reader has to change, the number does.
//
// All of it is of one instant (one transaction, repeatable read, that writes nothing), and it is written as it is read: memory does not grow with
// the user. What is not in it: the row of auth.users, which is the app's, and what others hold, as Google and Expo.
//
// # Being forgotten
//
// What is asked is written down first (reminder_worker.user_deletions), and then done step by step, each a transaction of its own, by whoever comes by:
// workers that run, or the command that has asked. So it may be killed anywhere, and goes on.
//
//	asked: devices gone ─► events and reminders, some at a time ─► Google has done its part ─► settings, children, account, the rest ─► a number
//	       account leaving                                          (see sync/reconcile)
//
// The Google part is that of any user who leaves: what stands in their calendar is removed, because their events are, and the consent is given back.
// Google is waited for for 23 hours; then what is left there is left, and counted. Where access has ended before, nothing can be removed.
//
// What the app writes for the user meanwhile goes as well. It has no device and no account to be served with; one that the user connects meanwhile is
// let go again. What it writes afterwards is a new beginning: nobody is remembered, not even that they are not to come back.
//
// In the end the row of user_deletions is a number with counts, for whoever asked; it names nobody, and a cleanup forgets it after 90 days.
//
// # Who is authoritative
//
// The row of user_deletions, locked by whoever makes a step. The functions in the database (forget_user, forget_step) say what a step is: they may
// remove what the worker's own role may not.
//
// # Failure
//
// A step that the database refuses, as for a table of the app's that refers to events and does not cascade, is tried again, ever later, and the
// row says why. Logs name the number, not the user.
//
// # Testing
//
// Against a real Postgres, and in cmd/internal/app against Google's stand-in: every column of every table is searched for the user.
package personal
