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

// verdict is what one claimed reminder becomes.
type verdict struct {
	status  string
	message string
	retry   time.Duration
	counts  bool
	sentAt  time.Time
}

// record writes what became of a claimed batch, in one statement, and arms what is to be tried again. It repeats until it succeeds or
// ctx ends: then the claims run out and the reminders are sent again. A batch that the database refuses is split, so that one row at
// fault does not have the others sent again.
func (s *Sender) record(ctx context.Context, rows []store.ClaimRemindersRow, pushes []push) {
	verdicts := s.verdicts(rows, pushes)
	arg := recordParams(rows, pushes, verdicts)
	arg.ReceiptDelayMs = s.cfg.ReceiptDelay.Milliseconds()
	if !s.write(ctx, arg) {
		if half := len(rows) / 2; half > 0 && ctx.Err() == nil {
			first, second := divide(pushes, half)
			s.record(ctx, rows[:half], first)
			s.record(ctx, rows[half:], second)
		}
		return
	}
	now := s.now()
	var retries []wheel.Entry
	for i, v := range verdicts {
		s.m.countReminder(v, rows[i])
		if v.status == reminderPending {
			retries = append(retries, wheel.Entry{ID: wheel.ID(rows[i].ID), At: now.Add(v.retry)})
		}
	}
	s.wheel.ArmAll(retries)
}

// divide separates the pushes of the first half of a batch, which come first, from the others.
func divide(pushes []push, half int) (first, second []push) {
	n := 0
	for n < len(pushes) && pushes[n].reminder < half {
		n++
	}
	second = slices.Clone(pushes[n:])
	for i := range second {
		second[i].reminder -= half
	}
	return pushes[:n], second
}

// maxRefusals is how often a statement is repeated that the database refuses for its content: a row that is deleted at that very moment
// makes it refuse once.
const maxRefusals = 5

// write records a batch and reports whether that worked. Rows that somebody else is at are tried again with the whole batch, for as long
// as their claim holds: what is recorded already is no longer claimed, and so not touched twice. Then they are left to the next claim,
// which finds their deliveries.
func (s *Sender) write(ctx context.Context, arg store.RecordPushesParams) bool {
	refusals, began := 0, time.Now()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		busy, err := s.db.RecordPushes(ctx, arg)
		if err == nil && len(busy) == 0 {
			return true
		}
		if err == nil && time.Since(began) > s.cfg.Lease {
			s.log.Warn().Int("reminders", len(busy)).Msg("result left to the next claim")
			return true
		}
		if err != nil {
			s.m.databaseErrors.Inc()
			s.log.Error().Err(fmt.Errorf("record pushes: %w", err)).Int("reminders", len(arg.Ids)).Msg("result not recorded")
		}
		if refusesData(err) {
			refusals++
		}
		if sleep(ctx, pause); ctx.Err() != nil || refusals == maxRefusals {
			return false
		}
	}
}

// refusesData reports whether a statement failed for the rows it was given or met: SQLSTATE classes 22 (data), 23 (constraints) and P0
// (raised by a trigger of the app).
func refusesData(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && len(pe.Code) == 5 && slices.Contains([]string{"22", "23", "P0"}, pe.Code[:2])
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

// verdicts decides what each reminder becomes from what became of its pushes.
func (s *Sender) verdicts(rows []store.ClaimRemindersRow, pushes []push) []verdict {
	verdicts := make([]verdict, len(rows))
	own := make([][]*push, len(rows))
	for i := range pushes {
		p := &pushes[i]
		own[p.reminder] = append(own[p.reminder], p)
	}
	for i, row := range rows {
		verdicts[i] = s.verdict(row, own[i])
	}
	return verdicts
}

func (s *Sender) verdict(row store.ClaimRemindersRow, pushes []*push) verdict {
	var count [again + 1]int
	var faults []string
	v := verdict{}
	for _, p := range pushes {
		count[p.state]++
		if p.state == accepted && v.sentAt.IsZero() {
			v.sentAt = p.sentAt
		}
		if p.state != accepted && p.ticket.Err != nil {
			faults = append(faults, expo.Mask(p.token)+": "+p.ticket.Err.Error())
		}
	}
	v.message = strings.Join(faults, "; ")
	tried := int(row.RetryCount) + 1
	switch {
	case count[unsent] > 0: // nothing was learned about the reminder: no attempt is used
		left, _ := s.pace.left()
		v.status, v.retry = reminderPending, max(left, time.Millisecond)
	case count[again] > 0 && tried < s.cfg.MaxAttempts:
		v.status, v.counts = reminderPending, true
		v.retry = s.cfg.Jitter(grow(s.cfg.RetryBase, time.Hour, int(row.RetryCount)))
	case count[accepted] > 0:
		v.status = reminderSent
	default:
		v.status, v.counts = reminderFailed, count[again] > 0
		if v.counts {
			v.message = fmt.Sprintf("gave up after %d attempts: %s", tried, v.message)
		}
	}
	return v
}

func recordParams(rows []store.ClaimRemindersRow, pushes []push, verdicts []verdict) store.RecordPushesParams {
	var arg store.RecordPushesParams
	for i, v := range verdicts {
		arg.Ids = append(arg.Ids, rows[i].ID)
		arg.Leases = append(arg.Leases, rows[i].Lease)
		arg.Statuses = append(arg.Statuses, v.status)
		arg.RetryMs = append(arg.RetryMs, v.retry.Milliseconds())
		arg.CountAttempts = append(arg.CountAttempts, v.counts)
		arg.SentAts = append(arg.SentAts, v.sentAt)
		arg.ErrorMessages = append(arg.ErrorMessages, storable(v.message))
	}
	for i := range pushes {
		if pushes[i].state == unsent || pushes[i].state == again {
			continue // no delivery has come of it yet
		}
		addPush(&arg, rows[pushes[i].reminder], &pushes[i])
	}
	return arg
}

func addPush(arg *store.RecordPushesParams, row store.ClaimRemindersRow, p *push) {
	state, code, fault, gone := "accepted", "", "", false
	if e := p.ticket.Err; e != nil {
		state, code, fault, gone = "failed", e.Code, e.Error(), e.Kind == expo.DeviceGone
	}
	arg.PushReminderIds = append(arg.PushReminderIds, row.ID)
	arg.PushTokens = append(arg.PushTokens, p.token)
	arg.PushStates = append(arg.PushStates, state)
	arg.TicketIds = append(arg.TicketIds, storable(p.ticket.ID))
	arg.ErrorCodes = append(arg.ErrorCodes, storable(code))
	arg.PushErrors = append(arg.PushErrors, storable(fault))
	arg.PushSentAts = append(arg.PushSentAts, p.sentAt)
	arg.LatenessMs = append(arg.LatenessMs, p.sentAt.Sub(row.NotifyAtTs).Milliseconds())
	arg.Gone = append(arg.Gone, gone)
}
