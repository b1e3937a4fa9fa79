// Package gcal writes events into Google Calendars, for one account at a time, and can be asked again at any moment.
//
// # Promises
//
// No twins. A copy's id is made from the event's UUID (NewGoogleID), and Google takes an id once. An insert whose answer was lost is
// repeated, refused with 409, and found to be ours by the private properties the copy carries; it is adopted as it is, or brought
// up to date. Google promises no refusal for two inserts in the very same moment, and limits rapid writes to one calendar: callers
// make one call at a time for an account.
//
// No needless writes. Event.Hash covers all that a copy shows. Content that was written and confirmed costs no request; content
// that was written and not confirmed costs one failed insert and one read.
//
// The user's hand is respected. An update reads the copy first and changes title, place, time and our private properties; colour,
// guests, alerts and other programs' properties stay. A description is replaced as long as it is the one we wrote. Every update
// names the version it read (If-Match), so that an edit made in between is seen and kept.
//
// A service account acts for users who have given no consent themselves, where their administrator has for all of a domain (Account.Subject,
// service.go). What is wrong with it is no user's fault and no consent's: such an error says so (Error.Service), and Google is asked again by one
// user, not by all.
//
// One account's trouble stays its own. Access tokens are exchanged per account under the waiting call's context; a token endpoint
// that hangs for one user holds no lock another needs.
//
// # Who is authoritative
//
// The event decides what a copy says, the calendar decides what exists. A Copy, as the caller stores it, is a memory that may be
// stale or lost: with the zero Copy everything still comes out right, only with more requests. (The one thing that cannot be found
// again is a foreign id, as an older service left it.)
//
// The way of one Upsert, each arrow an exchange:
//
//	known and equal ─────────────────────────────────────────────► done, nothing sent
//	intent only ──► insert ── 200 ───────────────────────────────► done
//	                  │ 409            ┌── hash equal ───────────► done, adopted
//	                  ▼                │   and nothing differs
//	known copy ────► get ── ours ──────┼── else ──► update ── 200 ► done
//	                  │                             │ 412: get again
//	                  │ not there, or not ours      │ deleted, and Google will not have it back
//	                  └───────► insert ◄────────────┘
//	                            (under the next generation's id, if the calendar keeps the present one; a NoteFunc hears of it before)
//
// # Reading
//
// List goes through a calendar page by page and Find looks at one entry, so that what is recorded can be compared with what is there.
// Entry.Differs holds title, place and time of an entry against an event; what else the user has made of a copy is theirs.
//
// # Failure
//
// Every failed call returns *Error. Its Kind says what to do (again later, not this event, pause, ask the user, ask the operator), and
// is decided by classify from status codes and Google's reasons, never from text. Nothing is repeated in here but what needs little
// waiting: a refused access token is renewed once, a copy that changed is read again. Pauses and attempts are the caller's, whose
// rows survive a restart.
//
// A quota of the project's requests is the caller's, too: Config.Admit is asked before each of them. Where Google takes fewer, which shows
// in requests of several users being refused for their rate, the client finds out how many, and makes no more (governor.go).
//
// Refresh tokens, access tokens, the client secret and the service account's key appear in no error and no log; Account prints without its token. Tokens are
// sent to the configured addresses only, no redirect is followed.
//
// # Testing
//
// The neighbour gcalfake answers like Google over HTTP, faults included, and checks every request against Google's own description of
// the API. Nothing here is mocked: the tests count requests on the wire.
package gcal
