package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/wheel"
	"github.com/parentpal/reminder-worker/sql/store"
)

// claimSlack is how far the measured offset of the database's clock may be wrong without a fired reminder being refused.
const claimSlack = 20 * time.Millisecond

// reminderSending is the state of a claimed reminder; the others that a claim answers are final.
const (
	reminderPending = "pending"
	reminderSending = "sending"
	reminderSent    = "sent"
	reminderFailed  = "failed"
)

// push is one message to one device and what became of it.
type push struct {
	reminder int // index in the claimed rows
	token    string
	message  expo.Message
	sentAt   time.Time // the database's clock, just before the request
	ticket   expo.Ticket
	state    pushState
}

type pushState int

const (
	unsent pushState = iota // the request failed as a whole
	accepted
	refused // for good
	again   // this device, later
)

// deliver claims ids, sends what the claim takes and records what became of it.
func (s *Sender) deliver(ctx context.Context, ids []uuid.UUID) {
	rows, err := s.db.ClaimReminders(ctx, store.ClaimRemindersParams{
		Ids: ids, SlackMs: claimSlack.Milliseconds(), LeaseMs: s.cfg.Lease.Milliseconds(), MaxAttempts: int32(s.cfg.MaxAttempts),
	})
	if err != nil {
		s.m.databaseErrors.Inc()
		s.log.Error().Err(fmt.Errorf("claim reminders: %w", err)).Int("reminders", len(ids)).Msg("claim failed")
		s.armAgain(ids, s.now().Add(time.Second))
		return
	}
	claimed := rows[:0]
	for _, row := range rows {
		s.m.reminders.WithLabelValues(row.Status).Inc()
		if row.Status == reminderSending {
			claimed = append(claimed, row)
		}
	}
	if len(claimed) == 0 {
		return
	}
	pushes := s.compose(claimed)
	if extra := len(pushes) - len(ids); extra > 0 {
		_ = s.limit.WaitN(ctx, min(extra, s.cfg.Batch)) // several devices: the rest of their share; ctx ending shows below
	}
	for chunk := pushes; len(chunk) > 0; {
		n := min(len(chunk), expo.MaxMessages)
		s.send(ctx, chunk[:n])
		chunk = chunk[n:]
	}
	if ctx.Err() != nil && anyUnsent(pushes) {
		return // the grace is over: the claims end by themselves
	}
	s.record(ctx, claimed, pushes)
}

func anyUnsent(pushes []push) bool {
	for i := range pushes {
		if pushes[i].state == unsent {
			return true
		}
	}
	return false
}

func (s *Sender) armAgain(ids []uuid.UUID, at time.Time) {
	entries := make([]wheel.Entry, len(ids))
	for i, id := range ids {
		entries[i] = wheel.Entry{ID: wheel.ID(id), At: at}
	}
	s.wheel.ArmAll(entries)
}

// compose makes one message per reminder and device.
func (s *Sender) compose(rows []store.ClaimRemindersRow) []push {
	pushes := make([]push, 0, len(rows))
	now := s.now()
	for i, row := range rows {
		m := s.message(row, now)
		for _, token := range row.Tokens {
			m.To = token
			pushes = append(pushes, push{reminder: i, token: token, message: m.Fit()})
		}
	}
	return pushes
}

func (s *Sender) message(row store.ClaimRemindersRow, now time.Time) expo.Message {
	title, body := text(row, now, s.cfg.Zone)
	id := row.ID.String()
	data, _ := json.Marshal(map[string]string{"reminderId": id, "eventId": row.EventID.String()}) // strings always encode
	return expo.Message{
		Title: title, Body: body, Data: data, Sound: expo.DefaultSound, Priority: expo.PriorityHigh,
		Expiration: expires(row, now).Unix(), CollapseID: id, Tag: id,
	}
}

// expires is the event's start: after it nobody wants to hear of it. A reminder that the app set for later than the start is good for a day.
func expires(row store.ClaimRemindersRow, now time.Time) time.Time {
	if row.HasStart && row.StartTs.After(now) {
		return row.StartTs
	}
	return now.Add(24 * time.Hour)
}

// send offers one chunk to Expo and notes the answer in it. A batch that Expo refuses for its composition is split until what is at
// fault stands alone.
func (s *Sender) send(ctx context.Context, chunk []push) {
	messages := make([]expo.Message, len(chunk))
	sentAt := s.now()
	for i := range chunk {
		messages[i] = chunk[i].message
		chunk[i].sentAt = sentAt
	}
	began := time.Now()
	tickets, err := s.expo.Send(ctx, messages)
	s.m.requestSeconds.Observe(time.Since(began).Seconds())
	if err == nil {
		s.m.requests.WithLabelValues("ok").Inc()
		s.pace.succeeded()
		s.note(chunk, tickets)
		return
	}
	var e *expo.Error
	if !errors.As(err, &e) {
		e = &expo.Error{Kind: expo.Retry, Err: err}
	}
	s.m.requests.WithLabelValues(e.Kind.String()).Inc()
	switch {
	case ctx.Err() != nil:
	case e.Kind == expo.Split || e.Kind == expo.Permanent:
		s.split(ctx, chunk, e)
	default:
		s.rest(e)
		s.armUnsent(chunk, e)
	}
}

// split sends a refused chunk in halves; a single message that is refused is refused for good.
func (s *Sender) split(ctx context.Context, chunk []push, e *expo.Error) {
	if len(chunk) == 1 {
		chunk[0].state = refused
		chunk[0].ticket = expo.Ticket{Err: e}
		return
	}
	half := len(chunk) / 2
	for _, part := range [][]push{chunk[:half], chunk[half:]} {
		if s.limit.WaitN(ctx, len(part)) == nil {
			s.send(ctx, part)
		}
	}
}

// rest pauses the sender after a request that says nothing about its messages.
func (s *Sender) rest(e *expo.Error) {
	d := s.pace.failed(e.Error(), e.RetryAfter)
	level := zerolog.WarnLevel
	if e.Kind == expo.Project {
		level = zerolog.ErrorLevel
	}
	s.log.WithLevel(level).Err(e).Dur("rest", d).Msg("sender paused")
}

func (s *Sender) armUnsent(chunk []push, e *expo.Error) {
	for i := range chunk {
		chunk[i].state = unsent
		chunk[i].ticket = expo.Ticket{Err: e}
	}
}

// note reads the tickets of a chunk.
func (s *Sender) note(chunk []push, tickets []expo.Ticket) {
	for i := range chunk {
		p := &chunk[i]
		p.ticket = tickets[i]
		switch e := tickets[i].Err; {
		case e == nil:
			p.state = accepted
		case e.Kind == expo.Retry || e.Kind == expo.Throttled:
			p.state = again
		case e.Kind == expo.Project:
			p.state = unsent
			s.rest(e)
		default:
			p.state = refused
		}
		s.m.countPush(p)
	}
}
