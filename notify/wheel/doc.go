// Package wheel is an in-memory alarm clock: ids and times in, due ids out. It
// knows nothing else and keeps nothing; the table of reminders is the truth, and
// a wheel that is lost is filled again from there.
//
// # What it promises
//
//   - Nothing fires before its time by the database clock, whatever the local
//     clock does. Nothing is lost when a clock steps or the machine sleeps.
//   - An id waits at most once. Arming it again moves it, and the newest call
//     wins, earlier or later. What is fired or disarmed has left the wheel.
//   - Batches are in order of time, and so are the entries within. Only what is
//     armed for a moment already past comes after what was fired before.
//   - Times are exact to the millisecond and rounded up, for that is what "not
//     before" means. The lateness is that of the machine: see below.
//
// It does not promise that a fired id is still wanted. Whoever receives it asks
// the table.
//
// # How it is built
//
// A hierarchical timing wheel (Varghese and Lauck) of three rings: 4096 slots of
// 1 ms, 131072 of 1 s, and 1024 of 18.6 h. It does not tick: marks over the slots
// say in a few steps which is next, and an empty wheel sleeps until it is armed.
//
// The usual weakness of such wheels is the cascade: at the moment a coarse slot
// begins, everything in it is sorted into finer ones, and what is due at that
// moment waits for it. Here each ring spans several slots of the next, so that a
// slot is emptied seconds (or hours) before it begins, a few hundred nodes at a
// time, and never while something is due. A reminder is moved at most twice.
//
// Nodes live in chunks without pointers and are called by number, so the
// garbage collector sees a few hundred objects however many wait, and arming and
// disarming allocate nothing once the chunks are there. Ids are found by linear
// hashing, which grows by one bucket at a time and has no rehashing pause. All
// in, with a million waiting, a reminder takes under 40 bytes, 24 of which are
// its id and time; an empty wheel takes 0.7 MB. Memory stays at its high-water
// mark until the wheel runs empty. More than 67 million waiting is a panic: that
// is more than Expo takes from one project within the window kept here.
//
// What arming costs is waiting for memory, two or three times one after the other:
// the bucket, the chain and the neighbour in the slot lie anywhere among tens of
// megabytes. [Wheel.ArmAll] reads the buckets and chains of a whole batch first, in
// loops whose reads do not wait for each other, and takes about two thirds of the
// time for each (BenchmarkArm, BenchmarkArmAll): 145 ns instead of 214 with a million
// waiting, 384 instead of 547 with ten million, on a shared machine of two cores.
// There a collection of garbage took 0.3 and 0.8 ms (BenchmarkGC), and where 200,000
// a second were fired 99 % were at most 0.25 ms late, by the millisecond to which
// their times are rounded up (BenchmarkFiring). All are medians of five runs.
//
// # Time
//
// "At" is database time. [Wheel.SetOffset] says how far the database clock is
// ahead; the wheel compares wall clocks only. The runtime's timers stand still
// while a machine is suspended and do not see the clock being set, so no sleep
// with something waiting is longer than a second, and the clock is read again
// after each. A step forward fires what it made due. After a step backward
// everything keeps its time; what is then armed for a moment that the wheel has
// already passed waits in a heap, exact as well.
//
// Go's timers end up to 1.1 ms late, because the runtime polls in whole
// milliseconds. On Linux the wheel therefore sets its timer a little early and
// spends the rest in a nap of the kernel, which ends within a tenth of a
// millisecond and costs no processor time.
//
// # Locks
//
// One mutex, never held for more than a few hundred nodes, neither while fire
// runs nor while sleeping.
//
// # Testing
//
// The wheel reads the clock with package time only, so it runs under
// testing/synctest; its steps take the time as an argument and are tested
// against a sorted model.
package wheel
