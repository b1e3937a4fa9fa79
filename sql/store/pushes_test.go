package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// pushed is the argument of RecordPushes, built up.
type pushed struct{ store.RecordPushesParams }

func (p *pushed) reminder(row store.ClaimRemindersRow, status string) *pushed {
	p.Ids = append(p.Ids, row.ID)
	p.Leases = append(p.Leases, row.Lease)
	p.Statuses = append(p.Statuses, status)
	p.RetryMs = append(p.RetryMs, 0)
	p.CountAttempts = append(p.CountAttempts, status == "pending")
	p.SentAts = append(p.SentAts, time.Now())
	p.ErrorMessages = append(p.ErrorMessages, "")
	return p
}

func (p *pushed) to(row store.ClaimRemindersRow, token, state string, gone bool) *pushed {
	p.PushReminderIds = append(p.PushReminderIds, row.ID)
	p.PushTokens = append(p.PushTokens, token)
	p.PushStates = append(p.PushStates, state)
	p.TicketIds = append(p.TicketIds, "ticket "+token)
	p.ErrorCodes = append(p.ErrorCodes, "")
	p.PushErrors = append(p.PushErrors, "")
	p.PushSentAts = append(p.PushSentAts, time.Now())
	p.LatenessMs = append(p.LatenessMs, 3)
	p.PayloadBytes = append(p.PayloadBytes, 600)
	p.LargeBytes = 3072
	reason := ""
	if gone {
		reason = "Expo: DeviceNotRegistered"
		p.ErrorCodes[len(p.ErrorCodes)-1] = "DeviceNotRegistered"
	}
	p.RetireReasons = append(p.RetireReasons, reason)
	p.Projects = append(p.Projects, "")
	return p
}

func (b *base) push(p *pushed) []uuid.UUID {
	b.t.Helper()
	return must[[]uuid.UUID](b.t)(b.q.RecordPushes(b.ctx(), p.RecordPushesParams))
}

const (
	phone  = "ExponentPushToken[phone]"
	tablet = "ExponentPushToken[tablet]"
)

// sending claims one due reminder of a user with both devices.
func (b *base) sending() store.ClaimRemindersRow {
	b.t.Helper()
	_, ids := b.overdue(b.user(phone, tablet), time.Minute)
	return b.claimReminders(ids...)[ids[0]]
}

func TestRecordPushes(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.sending()
	if busy := b.push(new(pushed).reminder(row, "sent").to(row, phone, "accepted", false).to(row, tablet, "failed", true)); len(busy) != 0 {
		t.Errorf("busy: %v", busy)
	}
	if !ask[bool](b, `select status = 'sent' and sent_at_ts is not null and next_attempt_at is null and retry_count = 0 from reminders`) {
		t.Error("the reminder is not recorded as sent")
	}
	got := list[string](b, `select concat_ws(' ', l.token, l.state, d.retired_at is not null)
		from reminder_worker.deliveries l join reminder_worker.push_devices d using (token) order by 1`)
	if diff := cmp.Diff([]string{phone + " accepted f", tablet + " failed t"}, got); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

func TestRecordPushesIsFencedByTheClaim(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	first := b.sending()
	b.exec(`update reminders set next_attempt_at = now() - interval '1 second'`)
	second := b.claimReminders(first.ID)[first.ID]
	if busy := b.push(new(pushed).reminder(first, "failed").to(first, phone, "failed", false)); len(busy) != 0 {
		t.Errorf("busy: %v", busy)
	}
	if status, _ := b.statusOf(first.ID); status != "sending" {
		t.Errorf("a claim that had lapsed made it %s", status)
	}
	b.push(new(pushed).reminder(second, "sent"))
	if status, _ := b.statusOf(first.ID); status != "sent" {
		t.Errorf("the claim that holds left it %s", status)
	}
}

func TestRetryLeavesOutWhoHasIt(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.sending()
	b.push(new(pushed).reminder(row, "pending").to(row, phone, "accepted", false))
	again := b.claimReminders(row.ID)[row.ID]
	if diff := cmp.Diff([]string{tablet}, again.Tokens); diff != "" || again.RetryCount != 1 {
		t.Errorf("retry %d goes to (-want +got):\n%s", again.RetryCount, diff)
	}
	b.push(new(pushed).reminder(again, "pending"))
	b.exec(`update reminder_worker.push_devices set retired_at = now() where token = $1`, tablet)
	if got := b.claimReminders(row.ID)[row.ID].Status; got != "sent" {
		t.Errorf("%s, want sent: one phone has it and nobody else is left", got)
	}
	if !ask[bool](b, `select sent_at_ts is not null from reminders`) {
		t.Error("sent, but not when")
	}
}

func TestRetryEndsAsSentWhenTheEventBegins(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.sending()
	b.push(new(pushed).reminder(row, "pending").to(row, phone, "accepted", false))
	b.exec(`update events set start_ts = now() - interval '1 second'`)
	b.exec(`update reminders set planned_for_ts = (select start_ts from events)`)
	if got := b.claimReminders(row.ID)[row.ID].Status; got != "sent" {
		t.Errorf("%s, want sent: one phone has it", got)
	}
}

func TestOwnTokenIsLeftOutOnceDelivered(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.sending()
	b.exec(`update reminders set push_token = 'ExponentPushToken[own]'`)
	b.push(new(pushed).reminder(row, "pending").to(row, "ExponentPushToken[own]", "accepted", false))
	if got := b.claimReminders(row.ID)[row.ID]; got.Status != "sent" {
		t.Errorf("%s to %v, want sent", got.Status, got.Tokens)
	}
}

func TestAskedForAgainGoesToAll(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.sending()
	b.push(new(pushed).reminder(row, "sent").to(row, phone, "accepted", false).to(row, tablet, "accepted", false))
	b.exec(`update reminders set status = 'pending'`)
	again := b.claimReminders(row.ID)[row.ID]
	if diff := cmp.Diff([]string{phone, tablet}, again.Tokens); diff != "" {
		t.Errorf("goes to (-want +got):\n%s", diff)
	}
	b.push(new(pushed).reminder(again, "sent").to(again, phone, "accepted", false))
	if n := ask[int](b, `select count(*) from reminder_worker.deliveries`); n != 2 {
		t.Errorf("%d deliveries, want one per device", n)
	}
}

func TestDeviceRegisteredAgainIsNotRetired(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.sending()
	p := new(pushed).reminder(row, "sent").to(row, phone, "failed", true).to(row, tablet, "failed", true)
	b.exec(`update reminder_worker.push_devices set registered_at = now() + interval '1 second' where token = $1`, tablet)
	b.push(p)
	got := list[string](b, `select token from reminder_worker.push_devices where retired_at is not null`)
	if diff := cmp.Diff([]string{phone}, got); diff != "" {
		t.Errorf("retired (-want +got):\n%s", diff)
	}
}

// TestDeletedBetweenClaimAndRecord deletes one of two events whose reminders are being sent.
func TestDeletedBetweenClaimAndRecord(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	gone := b.sending()
	_, ids := b.overdue(b.user("ExponentPushToken[other]"), time.Minute)
	stays := b.claimReminders(ids...)[ids[0]]
	p := new(pushed).reminder(gone, "sent").to(gone, phone, "accepted", false).
		reminder(stays, "sent").to(stays, "ExponentPushToken[other]", "accepted", false)
	tx := b.begin()
	in(t, tx, `delete from events where id = $1`, gone.EventID)
	if diff := cmp.Diff([]uuid.UUID{gone.ID}, b.push(p)); diff != "" {
		t.Errorf("busy while the deletion is open (-want +got):\n%s", diff)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if busy := b.push(p); len(busy) != 0 {
		t.Errorf("busy after the deletion: %v", busy)
	}
	if status, _ := b.statusOf(stays.ID); status != "sent" || ask[int](b, `select count(*) from reminder_worker.deliveries`) != 1 {
		t.Errorf("the other reminder is %s", status)
	}
}

// TestDeliveriesOfARowThatTheAppIsAt records what was pushed while the app is changing the reminder, and while it has locked it for good.
func TestDeliveriesOfARowThatTheAppIsAt(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		`update reminders set message = 'changed' where id = $1`: "sent",
		`select from reminders where id = $1 for no key update`:  "sent",
		`select from reminders where id = $1 for update`:         "sending", // as for a deletion
	} {
		b := newBase(t)
		row := b.sending()
		_, ids := b.overdue(b.user("ExponentPushToken[other]"), time.Minute)
		other := b.claimReminders(ids...)[ids[0]]
		p := new(pushed).reminder(row, "sent").to(row, phone, "accepted", false).to(row, tablet, "accepted", false).
			reminder(other, "sent").to(other, "ExponentPushToken[other]", "accepted", false)
		tx := b.begin()
		in(t, tx, sql, row.ID)
		for range 2 {
			if diff := cmp.Diff([]uuid.UUID{row.ID}, b.push(p)); diff != "" {
				t.Errorf("%s: busy (-want +got):\n%s", sql, diff)
			}
		}
		if status, _ := b.statusOf(other.ID); status != "sent" {
			t.Errorf("%s: the other reminder is %s", sql, status)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.exec(`update reminders set next_attempt_at = now() - interval '1 second' where id = $1`, row.ID)
		if got := b.claimReminders(row.ID)[row.ID]; got.Status != want {
			t.Errorf("%s: the next claim answers %s, want %s", sql, got.Status, want)
		}
	}
}

// TestReceiptOutlivesARepeatedRecord writes the same pushes once more, after a receipt has come.
func TestReceiptOutlivesARepeatedRecord(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.sending()
	p := new(pushed).reminder(row, "sent").to(row, phone, "accepted", false)
	tx := b.begin()
	in(t, tx, `update reminders set message = 'changed' where id = $1`, row.ID)
	b.push(p)
	b.exec(`update reminder_worker.deliveries set state = 'delivered', settled_at = now(), receipt_due_at = null`)
	b.push(p)
	if got := ask[string](b, `select state from reminder_worker.deliveries`); got != "delivered" {
		t.Errorf("the delivery is %s again", got)
	}
}

// verdicts is the argument of SettleDeliveries, built up.
type verdicts struct{ store.SettleDeliveriesParams }

// on adds the verdict on the push of row to token; an error code of DeviceNotRegistered retires it.
func (v *verdicts) on(row store.ClaimRemindersRow, token, state, code string) *verdicts {
	v.ReminderIds = append(v.ReminderIds, row.ID)
	v.Tokens = append(v.Tokens, token)
	v.TicketIds = append(v.TicketIds, "ticket "+token)
	v.States = append(v.States, state)
	v.ErrorCodes = append(v.ErrorCodes, code)
	v.ErrorMessages = append(v.ErrorMessages, strings.TrimSpace(token+" "+code))
	v.Gone = append(v.Gone, code == "DeviceNotRegistered")
	v.RetryMs = append(v.RetryMs, 0)
	v.CountAttempts = append(v.CountAttempts, code == "ProviderError")
	v.MaxAttempts, v.LargeBytes = 5, 3072
	return v
}

func (b *base) settle(v *verdicts) []store.SettleDeliveriesRow {
	b.t.Helper()
	return must[[]store.SettleDeliveriesRow](b.t)(b.q.SettleDeliveries(b.ctx(), v.SettleDeliveriesParams))
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.sending()
	b.push(new(pushed).reminder(row, "sent").to(row, phone, "accepted", false).to(row, tablet, "accepted", false))
	ask := func() []store.ClaimReceiptsRow {
		return must[[]store.ClaimReceiptsRow](t)(b.q.ClaimReceipts(t.Context(), store.ClaimReceiptsParams{MaxRows: 10, AgainMs: 60_000}))
	}
	if got := ask(); len(got) != 2 {
		t.Fatalf("%d receipts are due, want 2", len(got))
	}
	if got := ask(); len(got) != 0 {
		t.Errorf("%d receipts are due twice", len(got))
	}
	v := new(verdicts).on(row, phone, "delivered", "").on(row, tablet, "failed", "DeviceNotRegistered").on(row, phone, "unknown", "")
	v.TicketIds[2] = "an older one"
	b.settle(v)
	got := list[string](b, `select concat_ws(' ', l.token, l.state, l.error_code, l.settled_at is not null, l.receipt_due_at is null, d.retired_at is not null)
		from reminder_worker.deliveries l join reminder_worker.push_devices d using (token) order by 1`)
	if diff := cmp.Diff([]string{phone + " delivered t t f", tablet + " failed DeviceNotRegistered t t t"}, got); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

// The last attempt of the last device fails; another device had the reminder long before.
func TestFailedAfterAnotherDeviceHadItIsSent(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user(phone, tablet)
	_, ids := b.overdue(user, time.Minute)
	row := b.claimReminders(ids...)[ids[0]]
	b.push(new(pushed).reminder(row, "pending").to(row, phone, "accepted", false))
	row = b.claimReminders(ids...)[ids[0]]
	b.push(new(pushed).reminder(row, "failed").to(row, tablet, "failed", false))
	if status, _ := b.statusOf(ids[0]); status != "sent" {
		t.Errorf("status %s, want sent", status)
	}
	if !ask[bool](b, `select sent_at_ts = (select sent_at from reminder_worker.deliveries where token = $1) from reminders where id = $2`, phone, ids[0]) {
		t.Error("sent_at_ts is not when the other device was sent to")
	}
}
