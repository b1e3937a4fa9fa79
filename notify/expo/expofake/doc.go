// Package expofake is an HTTP server that answers like Expo's push service. It
// serves tests, the demo and the benchmark; package expo points its URL at it.
//
// # What it does as Expo does
//
// At most 100 recipients per request, a token or a list of tokens per message,
// tickets flattened in their order, an object instead of a list for a single
// message; one project per request; 600 pushes per second and project, counted
// over a sliding second; gzip both ways; the access token, which is good for the
// devices of its own project only; tickets at once, receipts after
// [Config.ReceiptDelay], absent before then and for unknown ids; payloads above
// 4096 bytes and uninstalled apps refused in the receipt (or the ticket: see
// [Config]); the fields of a message by their types. A refusal that a push service
// is behind quotes it in its details, as an object, in the form of Apple or of
// Google. What Expo does with them is taken from its documents, its own client and
// published answers; where these are silent the choice is noted beside the code.
//
// # What it adds
//
// Every accepted push is recorded with the time at which its request's header
// had been read ([Push.FirstByte]), the first moment that a server can name.
// [Server.Shown] tells what a phone would show, repeats folded by collapse id
// and tag, and [Server.Folded] how many there were. [Server.Fail] puts faults on
// the wire: refusals, gateway pages, dropped connections, each before or after the
// request took effect; and what a network may put in Expo's place, such as
// [CaptivePortal]. [Server.RefuseTicket] and [Server.RefuseReceipt] fail single
// devices, [Server.RefuseProject] all of an app's.
//
// [Server.Report] counts it all: what was accepted, shown, folded, refused and with
// which code, accepted although the sender could not learn it ([Counts.Unsure]);
// how many requests were under way at once, and how many pushes a project sent in
// its fullest second.
//
// Every valid token is an installed app until [Server.Uninstall] says otherwise,
// and belongs to the project [DefaultProject] until [Server.Assign] moves it.
//
// # Life
//
// [Start] listens, [Server.Close] stops and waits for the goroutine and the
// requests in flight. All methods may be called at any time from any goroutine;
// hooks run on the request's goroutine and hold up its answer, nothing else.
//
// # Testing
//
// A stand-in is worth what its likeness is worth. So Expo's official client, the
// npm package expo-server-sdk in one version, talks to it: TestOfficialClient
// fetches the client once, checks every byte of it against a sum, and has it
// send, fetch receipts, retry and fail. It needs Node and npm, and says so where
// they are missing; with REMINDER_WORKER_REQUIRE_NODE=1 it then fails.
package expofake
