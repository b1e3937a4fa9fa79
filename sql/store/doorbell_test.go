package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// TestTheWorkerRingsNobody takes events and reminders through their whole lives, and counts the changes that this announces.
func TestTheWorkerRingsNobody(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user(phone)
	event := b.eventAt(user, startOf(2*day))
	own := b.custom(event, user, -time.Second)
	b.settled(day, hour)
	b.exec(`update events set start_ts = start_ts + interval '1 hour', status = 'pending'`)
	listen := b.db.Connect(t)
	if _, err := listen.Exec(t.Context(), `listen reminder_worker`); err != nil {
		t.Fatal(err)
	}

	b.claimEvent()
	must[[]uuid.UUID](t)(b.q.ExtendEventLeases(t.Context(), store.ExtendEventLeasesParams{EventIds: []uuid.UUID{event}, LeaseMs: lease.Milliseconds()}))
	if err := b.q.ReleaseEvents(t.Context(), store.ReleaseEventsParams{EventIds: []uuid.UUID{event}}); err != nil {
		t.Fatal(err)
	}
	row := b.claimEvent()
	b.commit(new(plan).event(row).before(row, day, 3*hour).copied("g")) // one withdrawn, one kept or added, one new
	retry := synced("pending", row)
	retry.RetryMs[0], retry.CountAttempts[0], retry.ErrorMessages[0] = 0, true, "Google is away"
	b.record(retry)
	row = b.claimEvent()
	b.commit(new(plan).event(row).before(row, day, 3*hour).copied("g"))
	b.record(synced("synced", row))

	sending := b.claimReminders(own)[own]
	b.push(new(pushed).reminder(sending, "pending"))
	sending = b.claimReminders(own)[own]
	b.push(new(pushed).reminder(sending, "sent").to(sending, phone, "accepted", true))
	must[int64](t)(b.q.MarkReconnect(t.Context(), store.MarkReconnectParams{UserIds: []uuid.UUID{user}, RefreshTokens: []string{"token"}, Reasons: []string{"revoked"}}))

	b.exec(`select pg_notify('reminder_worker', 'fence')`)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	change, err := listen.WaitForNotification(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if change.Payload != "fence" {
		t.Error("a statement of the worker rang the doorbell")
	}
	if status, _ := b.statusOf(own); status != "sent" {
		t.Errorf("the reminder is %s", status)
	}
}
