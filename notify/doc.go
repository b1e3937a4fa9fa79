// Package notify turns due reminders into pushes and follows each to its receipt.
//
// # What it promises
//
//   - A reminder is sent at its notify_at_ts by the database's clock, never before, and as soon after as the wire allows.
//   - Intent before effect: a reminder is committed as 'sending' before its push is written. A crash in between sends it again
//     when its claim ends; the device folds the repeat, because every push of a reminder carries the reminder's id as collapseId
//     and tag. In flight are the batches that the quota lets start during one answer of Expo, normally one.
//   - Whoever claims the row does the work; any number of workers may run.
//   - A reminder whose event was moved, cancelled or deleted does not go out: the claim compares the event's start with the one the
//     reminder was planned for.
//   - Nothing is written to Expo in the user's quiet hours, or once the event has begun: the connection itself looks at the clock.
//   - Every signal of Expo's leads to what it asks for (see Failure), and to no more: one device, one message, one project or the whole
//     sender. Our own misconfiguration and Expo's outages use no attempt and retire no device.
//   - What was not sent says why in the row: failed, expired, skipped or cancelled, with the reason in words.
//
// # Ahead of time
//
// What is to be on the wire at its instant has to be claimed before. A reminder leaves the wheel 50 ms before it is due, which is longer than nearly
// every claim takes, so that claims are no part of how late a reminder is. It is claimed and put into words as of the moment when it is due, and held
// until then, by the database's clock. (Only what nobody has: another's claim is never taken over before it ends.) What is due within the same
// millisecond is claimed together, and what is overdue as one. What the app changes in an event between the claim and the push comes too late for it,
// as it would while the push is on the wire.
//
// Batches that are held have places of their own, a dozen: what is due at once, as what the app has just written, finds the connections free. What is
// soon to be due and fills a batch, as a herd of one instant, has the connections only: as many batches of it are held as there are of those.
//
// # Who is authoritative
//
// The table. The wheel holds what is due within Config.Horizon and can be thrown away at any moment; a sweep finds what it missed, and
// counts it.
//
//	table ──fill, refill, look──► wheel ──due ids──► queue ──claim──► 'sending' ──Expo──► ticket ──15 min──► receipt
//	  ▲                                                                  │
//	  └────────── retry: pending again, next_attempt_at ─────────────────┴──── a receipt that asks for another push
//
// # What is in the wheel
//
// At the first change (and after every reconnect) the window up to the horizon is read by the due index, in pages. Later the window
// is extended, and a look after each change reads only rows that transactions since the last look have touched
// (reminders.changed_xid): no id travels in the change, and nothing can be missed by being late.
//
// # What is no reminder
//
// A user whose Google consent has ended is told so once, by a push to all devices (notices.go). What is due to be told stands in the account's row;
// a sweep looks for it. It keeps quiet hours and the quota, waits while the sender rests, and teaches the sender nothing.
//
// # Failure
//
//	signal                                           what follows
//	request fails: network, 408, 429, 5xx, no JSON   the sender rests, longer each time; no attempt is used
//	request refused: 401, 403, invalid_token         the same, and an alarm
//	too many tickets, or too few                     the same, but an attempt is used: Expo has taken them
//	PUSH_TOO_MANY_EXPERIENCE_IDS                     divided by project, as Expo names them, and remembered by device
//	another 400, 413                                 divided in halves; for a message refused alone, see below
//	MessageRateExceeded, ExpoError, ProviderError    that device again: five attempts that fit into the time until the event
//	InvalidCredentials, MismatchSenderId,
//	DeveloperError                                   that device again, for as long as it takes; no attempt is used; an alarm
//	DeviceNotRegistered                              the device is retired, unless it was registered again since the push
//	MessageTooBig                                    that message fails
//
// The lower half comes in tickets or in receipts, and means the same. A push that its receipt asks for again makes its reminder pending once
// more; deliveries that stand are left out. A device that has refused for good is left out, too.
//
// After a rest the sender feels its way with one reminder and one request, then with twice as many for each success.
//
// A request that fails or is refused and has the messages of one reminder only may be that one's fault, or everybody's. The reminder is a suspect: it
// waits by itself, from PauseMin on and longer each time, and holds up nobody. It is the reminder's fault when Expo takes another request that
// was made after the doubt, and this one fails again: that uses an attempt, and for the next one there must be another proof. When three
// are refused and nothing is taken in between, it is Expo or us: the sender rests. So neither an outage nor a fault of ours fails a reminder,
// and no reminder stops the sender. No pause goes past half of the time until the event begins. What is known of suspects is in memory
// only: after a restart it is learned anew.
//
// Tokens of another Expo project go in requests of their own, and never hold up ours. Which project is ours only Config.Project knows: where it is
// set, devices of another that Expo refuses us are retired once ours were taken after that, and what it says of their credentials is no concern
// of ours. Else ours is supposed to be the one that most tokens of a batch belong to, and nothing is decided by that but who shares a request.
//
// While the database is away nothing is claimed; when it is back, what became due is. A backlog leaves in the order in which events begin, and
// of two the one that is longer overdue first.
//
// What fires and cannot be claimed, because the app is at the row or another worker has it, is armed again for a moment later, at first
// 50 ms and at most a second, or for the end of that worker's claim. A row that the database refuses to have changed is taken out of its batch, and tried again with each sweep. A
// result that cannot be written because the app sits on the row leaves its deliveries behind, so the next claim knows what was sent. One that the
// database refuses for the row's own sake makes the reminder 'failed', and says so.
//
// A claim may end with no result: the worker was killed, or its answer was lost on the way from the database. Whether the push was offered nobody
// knows, so such a claim uses no attempt and fails nothing: the reminder is claimed again, as long as its event has not begun. But what ends so time
// after time may be repeats for the user, or what kills the workers. From the third time in a row on the reminder rests before, at first about a lease,
// then twice as long each time, up to Config.RetryMax; the last claim comes two to four leases before the event. That is about ten claims in half an hour, 15
// in three and 57 in a day. There is chance in the rests, so that those which were claimed together part. Any result ends the count.
//
// A person may have nothing sent (Pause), as long as it takes. The claims look at the table of pauses themselves. What fires meanwhile is let go, so
// that memory does not fill, and Resume reads the window anew; what was claimed and not written is pending again, with no attempt used. Receipts are
// asked for as ever.
//
// # A claim is never outlived
//
// A claim bounds what is sent under it, counted from the database's own moment of claiming: a request is written within the first half of
// Config.Lease, its answer is waited for until a sixth is left, and that is for the record. What does not fit is due again at once, and a
// reminder goes to a user's 20 most recent devices at most. The age of a claim is the most it can be: the database's clock is known between
// two bounds, each from the quickest answers, so that a slow network takes away the way of an answer and not the way of the question, its
// wait for a connection and all that comes before the statement.
//
// A process can be stopped at any moment, and a machine sleep, for longer than the claim. So it is not the last look before the request that
// counts, but one by the connection, with each write (see package expo): what wakes too late is not sent, and its row is left to whoever has
// it now. What can be sent under a claim that is over is a request whose bytes were with the kernel before; and one whose process was stopped
// between two instructions, that look and the system call.
//
// # The quota
//
// Expo counts the messages of a project, whichever worker sends them, so all workers share one Quota. It is asked after the claim, for
// what the claim took and no more: what several workers know to be due only one of them sends. Each worker claims one batch at a time and
// waits with it for the quota; if that would take longer than the claim allows, the batch is due again at once, and the worker claims
// nothing until it is worth another try. Permits that have become stale before the request was written are not used: it takes others. Of a request that
// was written the quota is told when, so that it counts from then.
//
// What a quota makes wait leaves in the order in which the events begin. Of a few thousand that come together the first leave at once, before that
// order is read from the table; of more, which take longer than ten seconds in all, nobody leaves before it is known, or half a second is over.
//
// # Receipts
//
// Accepted is not delivered. Config.ReceiptDelay after the push its receipt is asked for, and again until Config.ReceiptLimit, in chunks, by
// whichever worker is there. A reminder that all its devices have refused has failed, and says so. Without a receipt nobody knows, and
// nothing is sent again.
//
// # What a user chooses
//
// Planning moves reminders out of quiet hours. What comes due in them all the same, because it is late or the app's own, waits for their end,
// or is skipped when the event begins before. Push that is turned off, and reminders that are dismissed, are skipped at the claim. Texts
// are made at the moment of sending, from the event as it is then, in the user's zone and language (package text).
//
// # Stopping
//
// Run stops claiming when its first context ends; requests on the wire finish under the second.
package notify
