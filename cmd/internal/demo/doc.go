// Package demo is the end-to-end test with a face: the real program on a private Postgres and on stand-ins for Google and Expo, a small
// family that uses it, and every step shown as it happens.
//
// # What runs
//
//	family ── SQL as the app ─► Postgres ◄──► app ──► gcalfake, expofake
//	                              │ journal              │ what arrived, when
//	                              └──────► tracker ◄─────┘
//	                                          │
//	                            one line per happening, and the facts to judge
//
// The program runs as in production, wired by package app, and knows nothing of being watched. What the rows went through is told by
// triggers that write into the table demo.journal; when a commit happened is told by Postgres itself (track_commit_timestamp); what arrived
// outside is told by the stand-ins. So a row that a visitor inserts by hand is followed and judged like the family's own.
//
// # What is measured
//
// Pickup is the first byte of the request to Google less the commit of the event's row. Lateness is the first byte of the request to
// Expo less notify_at_ts. All clocks are this machine's.
//
// # What is judged
//
// When the program has stopped, what should be (the rows, and what the family was promised) is compared with what the stand-ins hold. Lost,
// doubled, or more than a second late: each is a finding, and one finding is enough for a bad verdict. What is younger than a second
// is not judged, since a visitor may stop at any moment.
//
// # Failure
//
// Nothing is waited for without a bound. Whatever ends the demo, the program, the stand-ins and Postgres are stopped, in that order, and
// Postgres's directory is removed.
//
// # Testing
//
// The judgement is a pure function with a table. The whole is run with real parts, once to its end with a visitor who pastes the SQL it
// prints, and once stopped in the middle; the tests ask for nothing lost and nothing doubled, and leave lateness to machines that are
// not busy.
package demo
