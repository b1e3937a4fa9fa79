// Package gcalfake is an HTTP server that answers like Google Calendar and Google's token endpoint, for tests, demonstrations, and
// people who develop against either without an account.
//
// # What it promises
//
// Each request is compared with Google's own description of the API before anything is done: method, path, names and values of
// parameters, names and types in the body, what is required. A request that does not conform is answered 400 and remembered
// (Server.Violations), so that a test can end with the proof that its client speaks Google's language.
//
// What a client does then has the consequences it has at Google: ids are checked and taken once, a deleted event stays as
// cancelled and keeps its id, every write makes a new etag, If-Match is honoured, update replaces and patch merges, access tokens
// end, a consent ends with any token of it that is revoked, and errors come in Google's JSON and words.
//
// Service accounts are known by their public keys (Server.AddServiceAccount) and may act for the users of domains whose administrator
// lets them (Server.Delegate). Signature, audience, times and scope of what they assert are checked; a domain without delegation, a scope
// that is not delegated and a user whom nobody knows are refused as Google refuses them.
//
// Faults are added as rules (Server.Fail): the next request fails, a user's consent is gone, the connection is lost after the work
// was done, a quota is in force, the token endpoint hangs. What a person does in Google's own pages is Server.UserEdit, Server.UserEditTime and
// Server.UserDelete. A client that asks for some fields only (the parameter fields) is answered no others.
//
// # What it leaves out
//
// Recurring events are kept but not expanded, only those of their times that a person has changed are entries of their own; nobody is invited,
// there are no sync tokens and no push channels, and nothing is kept beyond Close. There is no TLS: it is for the loopback.
//
// # The description
//
// discovery.json is an excerpt of calendar/v3/calendar-api.json in the module google.golang.org/api v0.311.0, revision 20260925:
// names, types and what is required of the methods served here, without the prose. After an upgrade of the module, go generate
// writes it anew; a test fails until then.
//
// # Testing
//
// A stand-in is worth what its likeness is worth. So Google's two official clients talk to it, as users and as service accounts: the one for
// Go, which is part of the build, and the one for Node, the npm packages @googleapis/calendar and google-auth-library in one version. TestOfficialClient
// fetches the latter once, checks every byte of it against a sum, and has it ask for access tokens, write, list and fail. It needs
// Node and npm, and says so where they are missing; with REMINDER_WORKER_REQUIRE_NODE=1 it then fails. Errors are compared with
// Google's published page on them, word for word. The other tests speak plain HTTP.
package gcalfake
