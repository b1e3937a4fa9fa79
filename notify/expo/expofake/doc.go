// Package expofake is an HTTP server that answers like Expo's push service. It
// serves tests, the demo and the benchmark; package expo points its URL at it.
//
// # What it does as Expo does
//
// At most 100 recipients per request, a token or a list of tokens per message,
// tickets flattened in their order, an object instead of a list for a single
// message; one project per request; 600 pushes per second and project, counted
// over a sliding second; gzip both ways; the access token; tickets at once,
// receipts after [Config.ReceiptDelay], absent before then and for unknown ids;
// payloads above 4096 bytes and uninstalled apps refused in the receipt (or the
// ticket: see [Config]). What Expo does with them is taken from its documents and
// its own client; where these are silent the choice is noted beside the code.
//
// # What it adds
//
// Every accepted push is recorded with the time at which its request's header
// had been read ([Push.FirstByte]), the first moment that a server can name.
// [Server.Shown] tells what a phone would show, repeats folded by collapse id
// and tag. [Server.Fail] puts faults on the wire: refusals, gateway pages,
// dropped connections, each before or after the request took effect.
// [Server.RefuseTicket] and [Server.RefuseReceipt] fail single devices.
//
// Every valid token is an installed app until [Server.Uninstall] says otherwise,
// and belongs to the project [DefaultProject] until [Server.Assign] moves it.
//
// # Life
//
// [Start] listens, [Server.Close] stops and waits for the goroutine and the
// requests in flight. All methods may be called at any time from any goroutine;
// hooks run on the request's goroutine and hold up its answer, nothing else.
package expofake
