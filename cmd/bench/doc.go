// Package bench measures a worker from outside: how soon a committed event is at
// Google, how many a second it serves, how late reminders are, and what it costs.
//
//	b, err := bench.New(bench.DefaultConfig(), ours)
//	if err != nil {
//		return err
//	}
//	results, err := b.Run(ctx)
//
// A [Worker] is any program that serves a database, so that others can be measured
// by the same rule, in the same run: a module of its own does, which is why this
// package is open to others.
//
// # How it measures
//
// One process plays everybody else: the app that writes rows, Google and Expo, which
// are small servers that answer at once ([standin]), and the clock that is read. The
// worker is a process of its own, started anew for each measurement, on a database
// made anew. All of it, and Postgres, shares this machine, so a throughput is that of
// the whole, not of the worker alone.
//
//   - Pickup: first byte of the request at Google's stand-in less the moment at which
//     the app's commit was acknowledged, by one clock that only goes forward.
//   - Lateness: first byte of the request at Expo's stand-in less the reminder's
//     time. Database and stand-in have to share a clock, so to one machine.
//   - Drain: events over the time from the first request at Google's stand-in until
//     the last row says that it is done.
//   - Cleanup: how late reminders are while old rows are removed, beside how late
//     they are before, and for how long a transaction lasts.
//   - Cost: processor time and memory of the worker's process, as the kernel counts
//     them; transactions as Postgres does.
//
// The private Postgres keeps its promises (fsync on), for a commit that waits for no
// disk would flatter whoever commits most.
//
// # What it does not do
//
// It judges nothing: a slow machine is no fault. But every measurement checks that
// what it counts has happened, once for each row, and was written down, and fails
// otherwise. What others on the machine used of its processors meanwhile stands beside
// each result, so that a disturbed one is told from a slow one.
package bench
