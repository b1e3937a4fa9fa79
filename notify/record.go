package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/wheel"
	"github.com/parentpal/reminder-worker/sql/store"
)

// record writes what became of a claimed batch, in one statement, and arms what is to be tried again. It repeats until it succeeds or
// ctx ends: then the claims run out and the reminders are sent again. A batch that the database refuses is split, so that one row at
// fault does not have the others sent again. That one has failed if the database takes that for a result: else it would be sent again, too.
func (s *Sender) record(ctx context.Context, b batch) {
	verdicts := s.verdicts(b)
	err := s.write(ctx, s.recordParams(b, verdicts))
	if half := len(b.rows) / 2; err != nil && half > 0 && ctx.Err() == nil {
		first, second := b.divide(half)
		s.record(ctx, first)
		s.record(ctx, second)
		return
	}
	if refusesData(err) && ctx.Err() == nil {
		verdicts[0] = verdict{status: reminderFailed, message: fmt.Sprintf("the database refuses to have it %s: %v", verdicts[0].status, err)}
		err = s.write(ctx, s.recordParams(b, verdicts))
	}
	if err != nil {
		return
	}
	now := s.now()
	var retries []wheel.Entry
	for i, v := range verdicts {
		s.m.countReminder(v, b.rows[i], s.awaited(b.rows[i]))
		if at := now.Add(v.retry); v.status == reminderPending && s.window.covers(at) {
			retries = append(retries, wheel.Entry{ID: wheel.ID(b.rows[i].ID), At: at})
		}
	}
	s.wheel.ArmAll(retries)
}

// awaited is when a reminder is to come: at its time, or at the end of its user's quiet hours if it falls into them.
func (s *Sender) awaited(row store.ClaimRemindersRow) time.Time {
	_, v := calm(row, row.NotifyAtTs, row.Deadline, s.zones.Find(row.TimeZone, s.cfg.Zone))
	return row.NotifyAtTs.Add(v.retry)
}

// divide separates the first half of a batch from the others, with their pushes.
func (b batch) divide(half int) (first, second batch) {
	first.rows, second.rows = b.rows[:half], b.rows[half:]
	first.early, second.early = b.early[:half], b.early[half:]
	for _, p := range b.pushes {
		if p.reminder < half {
			first.pushes = append(first.pushes, p)
			continue
		}
		p.reminder -= half
		second.pushes = append(second.pushes, p)
	}
	return first, second
}

// maxRefusals is how often a statement is repeated that the database refuses for its content: a row that is deleted at that very moment
// makes it refuse once.
const maxRefusals = 5

// write records a batch, and returns why not. Rows that somebody else is at are tried again with the whole batch, for as long
// as their claim holds: what is recorded already is no longer claimed, and so not touched twice. Then they are left to the next claim,
// which finds their deliveries. While the database cannot be reached nobody else can claim either, and the result waits for it.
func (s *Sender) write(ctx context.Context, arg store.RecordPushesParams) error {
	refusals, began := 0, time.Now()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		busy, err := s.db.RecordPushes(ctx, arg)
		if err == nil && len(busy) == 0 {
			return nil
		}
		var pe *pgconn.PgError
		if (err == nil || errors.As(err, &pe) && !refusesData(err)) && time.Since(began) > s.cfg.Lease {
			s.log.Warn().Err(err).Int("reminders", len(arg.Ids)).Int("busy", len(busy)).Msg("result left to the next claim")
			return nil
		}
		if err != nil {
			s.m.databaseErrors.Inc()
			s.log.Error().Err(fmt.Errorf("record pushes: %w", err)).Int("reminders", len(arg.Ids)).Msg("result not recorded")
		}
		if refusesData(err) {
			refusals++
		}
		if refusals == maxRefusals {
			return err
		}
		if sleep(ctx, pause); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// refusesData reports whether a statement failed for the rows it was given or met: their data, a limit of the server's, or whatever a trigger
// of the app raises. What is left are the SQLSTATE classes that speak of the connection, the transaction, the schema or the server.
func refusesData(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && len(pe.Code) == 5 &&
		!slices.Contains([]string{"08", "25", "26", "28", "40", "42", "53", "55", "57", "58", "F0", "XX"}, pe.Code[:2])
}

// maxFault bounds what is kept of a fault's text.
const maxFault = 1000

// storable makes text from outside fit for a text column: valid, without NUL, bounded.
func storable(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > maxFault {
		s = s[:maxFault]
	}
	return strings.ToValidUTF8(s, "")
}

func (s *Sender) recordParams(b batch, verdicts []verdict) store.RecordPushesParams {
	arg := store.RecordPushesParams{ReceiptDelayMs: s.cfg.ReceiptDelay.Milliseconds(), LargeBytes: largeBytes}
	for i, v := range verdicts {
		arg.Ids = append(arg.Ids, b.rows[i].ID)
		arg.Leases = append(arg.Leases, b.rows[i].Lease)
		arg.Statuses = append(arg.Statuses, v.status)
		arg.RetryMs = append(arg.RetryMs, v.retry.Milliseconds())
		arg.CountAttempts = append(arg.CountAttempts, v.counts)
		arg.SentAts = append(arg.SentAts, v.sentAt)
		arg.ErrorMessages = append(arg.ErrorMessages, storable(v.message))
	}
	for i := range b.pushes {
		p := &b.pushes[i]
		if state := p.delivery(verdicts[p.reminder]); state != "" {
			addPush(&arg, b.rows[p.reminder], p, state)
		}
	}
	return arg
}

// largeBytes is the size from which on some services say of a push that its device is gone (expo/expo issue 9550), so that one word of it is
// not enough. They take expo.MaxPayload.
const largeBytes = expo.MaxPayload - 1024

// delivery is the state of the delivery that has come of a push; empty: none has, since nothing was learned about it.
func (p *push) delivery(v verdict) string {
	switch {
	case p.state == accepted:
		return "accepted"
	case p.state == refused:
		return "failed"
	case p.state != again && p.state != blocked:
		return ""
	case v.status != reminderPending, p.state == again && v.spent:
		return "failed"
	}
	return "retry"
}

func addPush(arg *store.RecordPushesParams, row store.ClaimRemindersRow, p *push, state string) {
	code, fault := "", ""
	if e := p.ticket.Err; e != nil {
		code, fault = e.Code, e.Error()
	}
	arg.PushReminderIds = append(arg.PushReminderIds, row.ID)
	arg.PushTokens = append(arg.PushTokens, p.token)
	arg.PushStates = append(arg.PushStates, state)
	arg.TicketIds = append(arg.TicketIds, storable(p.ticket.ID))
	arg.ErrorCodes = append(arg.ErrorCodes, storable(code))
	arg.PushErrors = append(arg.PushErrors, storable(fault))
	arg.PushSentAts = append(arg.PushSentAts, p.sentAt)
	arg.LatenessMs = append(arg.LatenessMs, p.sentAt.Sub(row.NotifyAtTs).Milliseconds())
	arg.PayloadBytes = append(arg.PayloadBytes, int32(p.message.Payload()))
	arg.RetireReasons = append(arg.RetireReasons, storable(p.retire))
	arg.Projects = append(arg.Projects, p.project)
}
