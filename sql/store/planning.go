package store

// Planning is what a session is to run once that keeps the statements of this package prepared. Several of them are long, and to plan one of
// those takes the server longer than to run it for a single row; left to itself it plans them anew each time, because it takes an array for
// ten rows while it does not know it. So each is planned once, for any arguments:
//
//   - plan_cache_mode = force_generic_plan (PostgreSQL documentation, "Query Planning", since 12).
//   - enable_seqscan = off: a plan may be as old as the last ANALYZE, and have been made while the tables were empty. Whatever is read here is
//     read by an index, so that one does when there are millions of rows.
//   - jit = off: the costs that stand for "off" would have the server compile each of them.
//
// It is not for a session that others use as well, nor for one where every execution is planned anyway.
const Planning = `set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off`
