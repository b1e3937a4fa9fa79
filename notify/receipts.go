package notify

import (
	"context"
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
	if err != nil {
		return 0, fmt.Errorf("ask for receipts: %w", err)
	}
	if arg := s.settlements(rows, receipts); len(arg.ReminderIds) > 0 {
		if err := s.db.SettleDeliveries(ctx, arg); err != nil {
			s.m.databaseErrors.Inc()
			return 0, fmt.Errorf("settle deliveries: %w", err)
		}
	}
	return len(rows), nil
}

// settlements are the verdicts on those deliveries that have one, or that Expo has forgotten.
func (s *Sender) settlements(rows []store.ClaimReceiptsRow, receipts map[string]expo.Receipt) store.SettleDeliveriesParams {
	var arg store.SettleDeliveriesParams
	now := s.now()
	for _, row := range rows {
		receipt, known := receipts[row.TicketID]
		if !known && now.Sub(row.SentAt) < s.cfg.ReceiptLimit {
			continue
		}
		state, code, fault, gone := "delivered", "", "", false
		switch e := receipt.Err; {
		case !known:
			state, fault = "unknown", "Expo has no receipt for this push"
		case e != nil:
			state, code, fault, gone = "failed", e.Code, e.Error(), e.Kind == expo.DeviceGone
		}
		s.m.receipts.WithLabelValues(state).Inc()
		arg.ReminderIds = append(arg.ReminderIds, row.ReminderID)
		arg.Tokens = append(arg.Tokens, row.Token)
		arg.TicketIds = append(arg.TicketIds, row.TicketID)
		arg.States = append(arg.States, state)
		arg.ErrorCodes = append(arg.ErrorCodes, storable(code))
		arg.ErrorMessages = append(arg.ErrorMessages, storable(fault))
		arg.Gone = append(arg.Gone, gone)
	}
	return arg
}
