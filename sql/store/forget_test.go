package store_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// Who is forgotten is looked up: no table is read for it, whatever there is in it, with or without statistics.
func TestForgettingReadsByIndex(t *testing.T) {
	t.Parallel()
	db := newBase(t).db
	conn := db.Connect(t)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(tenth.Replace(crowd))
	exec(`insert into children (id, user_id) select md5('c' || n)::uuid, md5('u' || n)::uuid from generate_series(0, 1999) n`)
	exec(`update events set child_id = md5('c' || n % 2000)::uuid from generate_series(1, 20000) n where id = md5('e' || n)::uuid`)
	tables := append([]string{"children"}, crowded...)
	for _, prepare := range []string{`select`, `analyze`} {
		exec(prepare)
		// A session of its own: what this one has read before counts until the server has noted it, which it does once in a second.
		tx, err := db.Connect(t).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		q, user := store.New(tx), idsOf(t, conn, "u", 100, 1)[0]
		id, err := q.ForgetUser(t.Context(), store.ForgetUserParams{UserID: user, AuthUser: false})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `update reminder_worker.user_deletions set until = now()`); err != nil { // Google is not waited for
			t.Fatal(err)
		}
		steps := 0
		for ended := false; !ended && steps < 100; steps++ {
			s, err := q.ForgetStep(t.Context(), store.ForgetStepParams{ID: id, MaxRows: 5})
			if err != nil {
				t.Fatal(err)
			}
			ended = s.Ended
		}
		// Before anything else is read here, which would count, too.
		var read []string
		err = tx.QueryRow(t.Context(), `select coalesce(array_agg(relname::text), '{}') from pg_stat_xact_all_tables where seq_scan > 0 and relname = any ($1)`, tables).Scan(&read)
		if err != nil || len(read) > 0 {
			t.Errorf("after %s: reads all of %v: %v", prepare, read, err)
		}
		var left int
		err = tx.QueryRow(t.Context(), `select (select count(*) from events where user_id = $1) + (select count(*) from children where user_id = $1)`, user).Scan(&left)
		if err != nil || left > 0 || steps < 3 || steps == 100 {
			t.Errorf("after %d steps %d rows are left: %v", steps, left, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Steps are made by one at a time: another leaves the row alone, and does not take it for done.
func TestForgettingIsOnesTurn(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.parent()
	b.event(user, day)
	id := must[uuid.UUID](t)(b.q.ForgetUser(t.Context(), store.ForgetUserParams{UserID: user, KeepCopies: true}))
	again := must[uuid.UUID](t)(b.q.ForgetUser(t.Context(), store.ForgetUserParams{UserID: user, AuthUser: true}))
	if again != id {
		t.Errorf("asked twice, there are two: %s and %s", id, again)
	}
	if got := must[store.DeletionStateRow](t)(b.q.DeletionState(t.Context(), id)); got.KeepCopies || !got.AuthUser {
		t.Errorf("who asks for more gets %+v", got)
	}
	other := b.begin()
	in(t, other, `select from reminder_worker.user_deletions for update`)
	if s := must[store.ForgetStepRow](t)(b.q.ForgetStep(t.Context(), store.ForgetStepParams{ID: id, MaxRows: 10})); s.Ended || s.Last || s.InMs <= 0 {
		t.Errorf("while another is at it: %+v", s)
	}
	if err := other.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.exec(`update reminder_worker.user_deletions set until = now()`)
	for n := 0; ; n++ {
		s := must[store.ForgetStepRow](t)(b.q.ForgetStep(t.Context(), store.ForgetStepParams{ID: id, MaxRows: 10}))
		if s.Ended && s.Last {
			break
		}
		if n > 10 {
			t.Fatalf("it does not end: %+v", s)
		}
	}
	if s := must[store.ForgetStepRow](t)(b.q.ForgetStep(t.Context(), store.ForgetStepParams{ID: id, MaxRows: 10})); !s.Ended || s.Last {
		t.Errorf("once it has ended: %+v", s)
	}
	if s := must[store.ForgetStepRow](t)(b.q.ForgetStep(t.Context(), store.ForgetStepParams{ID: uuid.New(), MaxRows: 10})); !s.Ended || s.Last {
		t.Errorf("of a number that is none: %+v", s)
	}
}

// An event that is being written while its user is forgotten, and whose copy is to stay, waits until it is written.
func TestForgettingWaitsForWhatIsWritten(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.parent()
	b.event(user, day)
	row := b.claimEvent()
	id := must[uuid.UUID](t)(b.q.ForgetUser(t.Context(), store.ForgetUserParams{UserID: user, KeepCopies: true}))
	step := func() store.ForgetStepRow {
		return must[store.ForgetStepRow](t)(b.q.ForgetStep(t.Context(), store.ForgetStepParams{ID: id, MaxRows: 10}))
	}
	if s := step(); s.Ended || s.InMs <= 0 || ask[int](b, `select count(*) from events`) != 1 {
		t.Errorf("while it is written: %+v", s)
	}
	b.commit(new(plan).event(row))
	b.record(synced("scheduled", row))
	if step(); ask[int](b, `select count(*) from events`) != 0 {
		t.Error("the event stays")
	}
}
