package store

import (
	"context"
	"errors"
)

// Planning is what a session is to run once that keeps the statements of this package prepared. Several of them are long, and to plan one of
// those takes the server longer than to run it for a single row; left to itself it plans them anew each time, because it takes an array for
// ten rows while it does not know it. So each is planned once, for any arguments:
//
//   - plan_cache_mode = force_generic_plan (PostgreSQL documentation, "Query Planning", since 12).
//   - enable_seqscan = off, and what reading a row through an index costs made to count more than all else: a plan may be as old as the last
//     ANALYZE, and have been made while there was little in the tables. To read all of one and join by hash is then the cheapest, and with each
//     row that is added it is less so. What is planned at these costs looks up what it needs, from about a hundred rows on. Below that it may
//     not: who plans this way should have it done again (DISCARD PLANS) when a statement has become slow.
//   - jit = off: the costs that stand for "off" would have the server compile each of them.
//
// It is not for a session that others use as well, nor for one where every execution is planned anyway.
const Planning = `set plan_cache_mode = force_generic_plan; set jit = off; set enable_seqscan = off;
set seq_page_cost = 0.1; set random_page_cost = 0.1; set cpu_index_tuple_cost = 1`

// Warm has a session prepare and plan the statements that an event or a reminder waits for, by running each of them for nothing, so that
// the first one served there does not pay for it: that takes several times as long as the statement does. Nothing is changed.
func Warm(ctx context.Context, session DBTX) error {
	q := New(session)
	_, err1 := q.ClaimEvents(ctx, ClaimEventsParams{})
	_, err2 := q.CommitPlans(ctx, CommitPlansParams{})
	_, err3 := q.RecordSyncs(ctx, RecordSyncsParams{})
	_, err4 := q.NextDue(ctx, true)
	_, err5 := q.ClaimReminders(ctx, ClaimRemindersParams{})
	_, err6 := q.RecordPushes(ctx, RecordPushesParams{})
	return errors.Join(err1, err2, err3, err4, err5, err6)
}
