package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// claimNoting claims as a worker does that may begin calls at once.
func (b *base) claimNoting() []store.ClaimEventsRow {
	b.t.Helper()
	return must[[]store.ClaimEventsRow](b.t)(b.q.ClaimEvents(impatient(b.t), store.ClaimEventsParams{
		MaxRows: 100, MaxCopies: 100, MaxBytes: 65536, LeaseMs: lease.Milliseconds(), Worker: uuid.New(),
		NoteCopies: true, OwnGrants: true, Domains: []string{"example.org"},
	}))
}

// The copy of an event is noted with its claim if it never had one and is to be written now, and then it is told so.
func TestClaimNotesNewCopies(t *testing.T) {
	t.Parallel()
	const copyOf = `insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at, due_at, entry_of)`
	for name, c := range map[string]struct {
		before string // with the event as $1 and its user as $2
		want   string // the calendar; empty: none is noted
	}{
		"an event of somebody connected":     {"", "primary"},
		"another calendar is chosen":         {`insert into notification_settings (user_id, google_calendar) select $2::uuid, 'family@group.calendar.google.com' where $1::uuid is not null`, "family@group.calendar.google.com"},
		"a calendar that is yet to be made":  {`insert into notification_settings (user_id, google_calendar_name) select $2::uuid, 'Family' where $1::uuid is not null`, ""},
		"calendars are off":                  {`insert into notification_settings (user_id, calendar_enabled) select $2::uuid, false where $1::uuid is not null`, ""},
		"nobody connected":                   {`delete from reminder_worker.google_accounts where user_id = $2 and $1::uuid is not null`, ""},
		"consent has ended":                  {`update reminder_worker.google_accounts set state = 'needs_reconnect' where user_id = $2 and $1::uuid is not null`, ""},
		"the account is paused":              {`update reminder_worker.google_accounts set paused_until = now() + interval '1 hour' where user_id = $2 and $1::uuid is not null`, ""},
		"a pause is over":                    {`update reminder_worker.google_accounts set paused_until = now() - interval '1 hour' where user_id = $2 and $1::uuid is not null`, "primary"},
		"delegated, of a domain we serve":    {`update reminder_worker.google_accounts set subject = 'a@example.org', refresh_token = '' where user_id = $2 and $1::uuid is not null`, "primary"},
		"delegated, of another domain":       {`update reminder_worker.google_accounts set subject = 'a@example.net', refresh_token = '' where user_id = $2 and $1::uuid is not null`, ""},
		"cancelled":                          {`update events set status = 'cancelled' where id = $1 and user_id = $2`, ""},
		"a copy is there":                    {copyOf + ` values ($1, $2, 'g', null, null, null)`, ""},
		"a copy is being removed":            {copyOf + ` values ($1, $2, 'g', now(), now() + interval '1 hour', null)`, ""},
		"an entry too many is being removed": {copyOf + ` values (gen_random_uuid(), $2, 'g', now(), now() + interval '1 hour', $1)`, ""},
		"a former owner has a copy":          {`with u as (insert into auth.users (email) values ('former@example.org') returning id) ` + copyOf + ` select $1::uuid, u.id, 'g', null, null, null from u where $2::uuid is not null`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			user := b.connected()
			event := b.event(user, day)
			if c.before != "" {
				b.exec(c.before, event, user)
			}
			before := ask[int](b, `select count(*)::int from reminder_worker.calendar_copies`)
			rows := b.claimNoting()
			if len(rows) != 1 || rows[0].Noted != (c.want != "") || rows[0].Noted && rows[0].HasCopy {
				t.Fatalf("claimed %+v", rows)
			}
			noted := list[string](b, `select calendar_id from reminder_worker.calendar_copies
				where event_id = $1 and user_id = $2 and google_event_id = replace(event_id::text, '-', '') and etag = '' and tombstoned_at is null`, event, user)
			if c.want == "" && len(noted) > 0 || c.want != "" && (len(noted) != 1 || noted[0] != c.want) {
				t.Errorf("noted in %q, want %q", noted, c.want)
			}
			if after := ask[int](b, `select count(*)::int from reminder_worker.calendar_copies`); after-before != len(noted) {
				t.Errorf("%d copies more", after-before)
			}
		})
	}
}

// connected makes a user who has connected Google Calendar.
func (b *base) connected() uuid.UUID {
	b.t.Helper()
	user := b.user()
	b.exec(`insert into reminder_worker.google_accounts (user_id, refresh_token) values ($1, 'token')`, user)
	return user
}

// A user who is being deleted holds up no claim, theirs or others'.
func TestClaimDoesNotWaitToNote(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	leaving, staying := b.connected(), b.connected()
	theirs, others := b.event(leaving, day), b.event(staying, day)
	app := b.begin()
	in(t, app, `select from reminder_worker.google_accounts where user_id = $1 for update`, leaving)
	began := time.Now()
	for _, row := range b.claimNoting() {
		if want := row.ID == others; row.Noted != want || row.ID != theirs && row.ID != others {
			t.Errorf("event %s noted %v", row.ID, row.Noted)
		}
	}
	if n := ask[int](b, `select count(*)::int from events where sync_lease_until > now()`); n != 2 {
		t.Errorf("%d events are claimed after %s, want both", n, time.Since(began))
	}
}

// A claim that notes a copy does not wait for the disk; what is committed next has it written with the rest.
func TestClaimDoesNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.event(b.connected(), day)
	tx := b.begin()
	if _, err := b.q.WithTx(tx).ClaimEvents(t.Context(), store.ClaimEventsParams{MaxRows: 1, MaxBytes: 65536, LeaseMs: lease.Milliseconds()}); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := tx.QueryRow(t.Context(), `show synchronous_commit`).Scan(&got); err != nil || got != "off" {
		t.Errorf("synchronous_commit is %q in the claim's transaction: %v", got, err)
	}
	if got := ask[string](b, `show synchronous_commit`); got == "off" {
		t.Error("it stays off afterwards")
	}
}
