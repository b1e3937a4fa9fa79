// Package page is the live page, for the person on call: what is coming, what waits where, what has failed and why, and
// one event's whole story. What it shows to people under / it answers to programs as JSON under /api/v1.
//
// # What it promises
//
// It never harms the database. All that people look at comes from one read of each view, kept for [Config.Interval]:
// twenty open windows cost as much as one, and none costs nothing. The reads themselves are bounded by whoever
// implements [Source].
//
// It shows no secrets, and people's own words (titles, places, names, texts) only where they are asked for with
// ?show=texts, for that answer alone. [Page] takes them out; a [Source] need not.
//
// It works without a script. The one there is puts newer fragments in place of older ones, as the server renders them,
// while the window can be seen; and keeps "3 minutes ago" true. Everything comes from the server itself, and its
// Content-Security-Policy says so.
//
// # Who may
//
//	where it answers   without a password              with Config.Password
//	loopback           reads; names other than         all, to whoever knows it
//	                   addresses are refused
//	elsewhere          nothing: 403 says what to set   all, to whoever knows it
//
// The password comes as that of basic authentication, with any user name, or as a bearer token. It is compared in
// constant time; an address that has given wrong ones is not heard for a while, at first a tenth of a second, at
// last ten. What changes something is a POST, and refused across sites by [net/http.CrossOriginProtection]; each
// is logged, with where it came from.
//
// # JSON
//
//	GET  /api/v1/overview      [Overview]
//	GET  /api/v1/events/{id}   [Story], of an event, or of the event of a reminder
//	GET  /api/v1/failures      [Failures]
//	GET  /api/v1/connections   [Connections]
//	GET  /api/v1/devices       [Devices]
//	GET  /api/v1/system        [System]
//	POST /api/v1/retry         [RetryRequest] in, [RetryResult] out
//	POST /api/v1/pause         [PauseRequest] in
//	POST /api/v1/resume        {"part": "calendar" or "push"} in
//
// Times are as in RFC 3339, in UTC; periods are seconds; a count is {"n": 1000, "more": true} where there are more than
// were counted. An error is {"error": "..."}. Fields are added, not renamed.
//
// # Failure
//
// A view that cannot be read is answered by the latest that was, with its age and why, or else by the reason alone.
// Readiness is always as it is now. A stream (/live) that cannot keep up misses frames, never delays others; at most
// [Config.MaxStreams] are open. [Page.Run] owns the one goroutine that reads for them, and ends them all.
//
// # Testing
//
// Over httptest with a source made by hand, see page_test.go; in a real browser, with the real program behind it, in
// browser_test.go of cmd/internal/app.
package page
