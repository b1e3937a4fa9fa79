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
	for {
		n, err := s.askChunk(ctx)
		if err != nil || n < receiptChunk {
			return err
		}
	}
}

func (s *Sender) askChunk(ctx context.Context) (int, error) {
	rows, err := s.db.ClaimReceipts(ctx, store.ClaimReceiptsParams{
		MaxRows: receiptChunk, AgainMs: max(1, (s.cfg.ReceiptDelay / 3).Milliseconds()),
	})
	if err != nil {
		s.m.databaseErrors.Inc()
		return 0, fmt.Errorf("claim receipts: %w", err)
	}
	if len(rows) == 0 {
		return 0, nil
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.TicketID
	}
	receipts, err := s.expo.Receipts(ctx, ids)
	if e, ok := errors.AsType[*expo.Error](err); ok && e.Kind == expo.Project {
		s.raise(e)
	}
	if err != nil {
		return 0, fmt.Errorf("ask for receipts: %w", err)
	}
	if arg := s.settlements(rows, receipts); len(arg.ReminderIds) > 0 {
		return len(rows), s.settle(ctx, arg)
	}
	return len(rows), nil
}

// settle writes verdicts, and arms the reminders that are to be offered again.
func (s *Sender) settle(ctx context.Context, arg store.SettleDeliveriesParams) error {
	settled, err := s.db.SettleDeliveries(ctx, arg)
	if err != nil {
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
func (s *Sender) settlements(rows []store.ClaimReceiptsRow, receipts map[string]expo.Receipt) store.SettleDeliveriesParams {
	arg := store.SettleDeliveriesParams{MaxAttempts: int32(s.cfg.MaxAttempts), LargeBytes: largeBytes}
	now := s.now()
	for _, row := range rows {
		receipt, known := receipts[row.TicketID]
		if !known && now.Sub(row.SentAt) < s.cfg.ReceiptLimit {
			continue
		}
		v := settlement{state: "unknown", fault: "Expo has no receipt for this push"}
		if known {
			v = s.judge(receipt.Err, row, now)
		}
		arg.ReminderIds = append(arg.ReminderIds, row.ReminderID)
		arg.Tokens = append(arg.Tokens, row.Token)
		arg.TicketIds = append(arg.TicketIds, row.TicketID)
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
	state, code, fault string
	gone               bool
	retry              time.Duration
	counts             bool
}

// judge says what a receipt means. A push that did not get through is offered again, to that device alone and as long as its event has not
// begun: what the push services could not do may work a moment later, and what our own credentials are to blame for when they are mended,
// which uses no attempt.
func (s *Sender) judge(e *expo.Error, row store.ClaimReceiptsRow, now time.Time) settlement {
	if e == nil {
		return settlement{state: "delivered"}
	}
	v := settlement{state: "failed", code: e.Code, fault: expo.Mask(row.Token) + ": " + e.Error(), gone: e.Kind == expo.DeviceGone}
	switch e.Kind {
	case expo.Retry, expo.Throttled:
		v.state, v.counts = "retry", true
		v.retry = s.cfg.Jitter(grow(s.cfg.RetryBase, s.cfg.RetryMax, int(row.Attempts)-1))
	case expo.Project:
		s.raise(e)
		due := row.SentAt.Add(-time.Duration(row.LatenessMs) * time.Millisecond)
		v.state, v.retry = "retry", s.patience(now.Sub(due))
	}
	return v
}
