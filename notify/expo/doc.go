// Package expo speaks Expo's push protocol: it sends pushes, asks for their
// receipts, and says of every failure what the caller should do about it.
//
// # What it promises
//
// [Client.Send] takes at most [MaxMessages] messages, each with exactly one
// token, and answers with exactly one [Ticket] per message in the same order,
// or with an error for the request as a whole. A message that could never be
// accepted (its token is no token, its data is no JSON object) is answered
// here, so that it cannot sink the other ninety-nine. [Client.Receipts]
// returns what Expo knows; an id that is absent has no verdict yet.
//
// Every error is an [*Error]. Its [Kind] is the caller's next step, found by
// status and code, never by the wording of a message:
//
//	Retry       the request or message may succeed later, unchanged
//	Throttled   too fast: on a request the whole sender, on a ticket or receipt one device
//	DeviceGone  this token will not work again
//	Permanent   this message will never be accepted
//	Project     our account, credentials or address are at fault, no row is
//	Split       nothing of this batch was taken; smaller batches may be
//	Late        nothing was sent: the time for it was over
//
// # What it does not do
//
// It neither retries nor paces nor remembers. Expo has no idempotency key, so
// whether a request may be repeated depends on what the caller has recorded;
// repeating it is therefore the caller's decision. [Error.Unsure] tells the two
// cases apart: a connection that was refused took nothing, a gateway's 504 may
// follow a request that Expo has already accepted. A repeat is harmless to the
// user when CollapseID and Tag are the same in both.
//
// # A request in time
//
// Who sends under a lease must not send when it is over, and between any look at
// a clock and the first byte a process can be stopped for minutes. So
// [Leave] has the clocks compared by the connection itself, with
// every write: the one that is set, and the one that stands still while the
// machine sleeps. Once the moment has come nothing more goes out, headers
// included, and a request of which a part has gone is never completed. What
// remains is a process that is stopped between that comparison and the system
// call behind it. That is why requests go over HTTP/1.1: one has its connection
// to itself.
//
// # Limits of a push
//
// Apple and Google refuse payloads above [MaxPayload] bytes, and the refusal
// arrives minutes later, in a receipt. [Message.Fit] shortens the texts
// beforehand; what a family has typed into a title never loses the push.
//
// # Secrets
//
// Whoever holds a push token can push to its owner unless the project has
// enhanced security on, so tokens are shown shortened by everything here that
// prints: errors, [Message.String], [Mask]. The access token travels in one
// header to one host: redirects are not followed.
//
// # Testing
//
// Nothing here is an interface to be mocked. Package expofake is an HTTP
// server that answers as Expo does, faults included; point [Config.URL] at it.
package expo
