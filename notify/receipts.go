package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sql/store"
)

// receiptChunk is how many receipts one request asks for, as Expo's own client does.
const receiptChunk = 300

// askReceipts asks for receipts as they fall due, until ctx ends.
func (s *Sender) askReceipts(ctx context.Context) {
	tick := time.NewTicker(min(s.cfg.ReceiptDelay/4+1, time.Minute))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.drainReceipts(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn().Err(err).Msg("receipts not read")
				sleep(ctx, s.cfg.PauseMin) // they stay due
			}
		}
	}
}

// drainReceipts asks for all receipts that are due, chunk by chunk. A chunk that fails is due again after a third of the delay.
func (s *Sender) drainReceipts(ctx context.Context) error {
	var faults []error
	for ctx.Err() == nil {
		rows, err := s.db.ClaimReceipts(ctx, store.ClaimReceiptsParams{
			MaxRows: receiptChunk, AgainMs: max(1, (s.cfg.ReceiptDelay / 3).Milliseconds()),
		})
		if err != nil {
			s.m.databaseErrors.Inc()
			return errors.Join(append(faults, fmt.Errorf("claim receipts: %w", err))...)
		}
		var a asking
		faults = append(faults, s.askChunk(ctx, rows, &a))
		if len(rows) < receiptChunk || !a.answered {
			break // all were asked for, or Expo does not answer
		}
	}
	return errors.Join(faults...)
}

// asking is how the questions for one chunk went.
type asking struct {
	answered bool
	refused  int // single ids
}

// askChunk asks for receipts and settles what there is. A question that Expo refuses is divided, until what it refuses stands alone, or it
// seems to refuse all. What has been asked for long enough is settled without an answer.
func (s *Sender) askChunk(ctx context.Context, rows []store.ClaimReceiptsRow, a *asking) error {
	if len(rows) == 0 {
		return nil
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.TicketID
	}
	receipts, err := s.expo.Receipts(ctx, ids)
	e, failed := errors.AsType[*expo.Error](err)
	switch {
	case !failed:
		a.answered = true
		return s.settle(ctx, s.settlements(rows, receipts))
	case e.Kind == expo.Split && len(rows) > 1 && (a.answered || a.refused < maxStrikes):
		half := len(rows) / 2
		return errors.Join(s.askChunk(ctx, rows[:half], a), s.askChunk(ctx, rows[half:], a))
	case e.Kind == expo.Permanent:
		a.refused++
	case e.Kind == expo.Project:
		s.raise(e, true)
	}
	return errors.Join(fmt.Errorf("ask for receipts: %w", err), s.settle(ctx, s.settlements(rows, nil)))
}

// settle writes verdicts, and arms the reminders that are to be offered again. What the database refuses for the rows' own sake is divided, so
// that one row at fault keeps no other from its verdict; what became of that one's push is then not known.
func (s *Sender) settle(ctx context.Context, verdicts []settlement) error {
	if len(verdicts) == 0 {
		return nil
	}
	settled, err := s.db.SettleDeliveries(ctx, s.settleParams(verdicts))
	switch half := len(verdicts) / 2; {
	case err == nil:
	case refusesData(err) && half > 0:
		return errors.Join(s.settle(ctx, verdicts[:half]), s.settle(ctx, verdicts[half:]))
	case refusesData(err) && verdicts[0].state != "unknown":
		s.log.Error().Err(err).Stringer("reminder", verdicts[0].row.ReminderID).Msg("verdict not written")
		v := verdicts[0]
		v.state, v.fault = "unknown", "the verdict could not be written to the reminder: "+v.fault
		return s.settle(ctx, []settlement{v})
	default:
		s.m.databaseErrors.Inc()
		return fmt.Errorf("settle deliveries: %w", err)
	}
	for _, row := range settled {
		s.m.receipts.WithLabelValues(row.State).Inc()
		if row.DueAt.After(time.Unix(0, 0)) {
			s.Arm(row.ReminderID, row.DueAt)
		}
	}
	return nil
}

// settlements are the verdicts on those deliveries that have one, or that Expo has forgotten.
func (s *Sender) settlements(rows []store.ClaimReceiptsRow, receipts map[string]expo.Receipt) (verdicts []settlement) {
	now := s.now()
	for _, row := range rows {
		receipt, known := receipts[row.TicketID]
		switch {
		case known:
			verdicts = append(verdicts, s.judge(receipt.Err, row))
		case now.Sub(row.SentAt) >= s.cfg.ReceiptLimit:
			verdicts = append(verdicts, settlement{row: row, state: "unknown", fault: "Expo has no receipt for this push"})
		}
	}
	return verdicts
}

func (s *Sender) settleParams(verdicts []settlement) store.SettleDeliveriesParams {
	arg := store.SettleDeliveriesParams{MaxAttempts: int32(s.cfg.MaxAttempts), LargeBytes: largeBytes}
	for _, v := range verdicts {
		arg.ReminderIds = append(arg.ReminderIds, v.row.ReminderID)
		arg.Tokens = append(arg.Tokens, v.row.Token)
		arg.TicketIds = append(arg.TicketIds, v.row.TicketID)
		arg.States = append(arg.States, v.state)
		arg.ErrorCodes = append(arg.ErrorCodes, storable(v.code))
		arg.ErrorMessages = append(arg.ErrorMessages, storable(v.fault))
		arg.Gone = append(arg.Gone, v.gone)
		arg.RetryMs = append(arg.RetryMs, v.retry.Milliseconds())
		arg.CountAttempts = append(arg.CountAttempts, v.counts)
	}
	return arg
}

// settlement is the verdict on one delivery.
type settlement struct {
	row                store.ClaimReceiptsRow
	state, code, fault string
	gone               bool
	retry              time.Duration
	counts             bool
}

// judge says what a receipt means. A push that did not get through is offered again, to that device alone and as long as its event has not
// begun: what the push services could not do may work a moment later, and what our own credentials are to blame for when they are mended,
// which uses no attempt.
func (s *Sender) judge(e *expo.Error, row store.ClaimReceiptsRow) settlement {
	if e == nil {
		return settlement{row: row, state: "delivered"}
	}
	v := settlement{row: row, state: "failed", code: e.Code, fault: expo.Mask(row.Token) + ": " + e.Error(), gone: e.Kind == expo.DeviceGone}
	switch e.Kind {
	case expo.Retry, expo.Throttled:
		v.state, v.counts = "retry", true
		v.retry = s.cfg.Jitter(grow(s.cfg.RetryBase, s.cfg.RetryMax, int(row.Attempts)-1))
	case expo.Project:
		foreign := row.Project != "" && row.Project != s.cfg.Project
		if foreign && s.cfg.Project != "" {
			return v // its credentials are not ours to mend
		}
		if !foreign {
			s.raise(e, false)
		}
		v.state, v.retry = "retry", s.patience(row.SentAt.Add(-time.Duration(row.LatenessMs)*time.Millisecond))
	}
	v.retry = s.inTimeFor(row.Deadline, v.retry)
	return v
}
