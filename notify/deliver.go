package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

// deliver claims ids, sends what the claim takes and records what became of it. It returns how many it took.
func (s *Sender) deliver(ctx context.Context, ids []uuid.UUID) (int, error) {
	began := time.Now()
	rows, err := s.db.ClaimReminders(ctx, store.ClaimRemindersParams{
		Ids: ids, SlackMs: claimSlack.Milliseconds(), LeaseMs: s.cfg.Lease.Milliseconds(), MaxAttempts: int32(s.cfg.MaxAttempts),
	})
	if err != nil {
		err = fmt.Errorf("claim reminders: %w", err)
		s.m.databaseErrors.Inc()
		s.log.Error().Err(err).Int("reminders", len(ids)).Msg("claim failed")
		s.armAgain(ids, s.now().Add(time.Second))
		return 0, err
	}
	claimed := rows[:0]
	for _, row := range rows {
		s.m.reminders.WithLabelValues(row.Status).Inc()
		if row.Status == reminderSending {
			claimed = append(claimed, row)
		}
	}
	if len(claimed) > 0 {
		s.push(ctx, began, len(ids), claimed)
	}
	return len(rows), nil
}

// push sends what was claimed since began and records it; admitted is how many messages the rate has been asked for.
func (s *Sender) push(ctx context.Context, began time.Time, admitted int, claimed []store.ClaimRemindersRow) {
	pushes := s.compose(claimed)
	_ = s.admit(ctx, len(pushes)-admitted) // several devices: the rest of their share; ctx ending shows below
	for i := 0; i < len(pushes) && (i == 0 || s.inTime(began)); i += expo.MaxMessages {
		s.send(ctx, began, pushes[i:min(i+expo.MaxMessages, len(pushes))])
	}
	if ctx.Err() != nil && anyUnsent(pushes) {
		return // the grace is over: the claims end by themselves
	}
	s.record(ctx, claimed, pushes)
}

// inTime reports whether one more request fits into a claim made at began. Of what does not, nothing was said to Expo: it is due again
// at once.
func (s *Sender) inTime(began time.Time) bool { return time.Since(began) < s.cfg.Lease/3 }

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
// fault stands alone. While the sender rests nothing is offered.
func (s *Sender) send(ctx context.Context, claimed time.Time, chunk []push) {
	if left, why := s.pace.left(); left > 0 {
		s.leave(chunk, &expo.Error{Kind: expo.Retry, Message: "at rest after " + why})
		return
	}
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
		s.answered(chunk, tickets)
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
		s.split(ctx, claimed, chunk, e)
	default:
		s.rest(e)
		s.leave(chunk, e)
	}
}

// split sends a refused chunk in halves; a single message that is refused is refused for good.
func (s *Sender) split(ctx context.Context, claimed time.Time, chunk []push, e *expo.Error) {
	if len(chunk) == 1 {
		chunk[0].state = refused
		chunk[0].ticket = expo.Ticket{Err: e}
		return
	}
	half := len(chunk) / 2
	for _, part := range [][]push{chunk[:half], chunk[half:]} {
		if s.inTime(claimed) && s.admit(ctx, len(part)) == nil {
			s.send(ctx, claimed, part)
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

// leave notes that nothing was learned about the messages of a chunk.
func (s *Sender) leave(chunk []push, e *expo.Error) {
	for i := range chunk {
		chunk[i].state = unsent
		chunk[i].ticket = expo.Ticket{Err: e}
	}
}

// answered reads an answer that came with tickets. If every ticket blames the project, nothing was learned about the reminders.
func (s *Sender) answered(chunk []push, tickets []expo.Ticket) {
	blame := projectFault(tickets)
	if blame != nil {
		s.log.Error().Err(blame).Msg("push credentials refused")
	}
	if blame != nil && !slices.ContainsFunc(tickets, saysMore) {
		s.rest(blame)
		s.leave(chunk, blame)
		return
	}
	s.pace.succeeded()
	s.note(chunk, tickets)
}

// projectFault is the first ticket's error that blames the project, or nil.
func projectFault(tickets []expo.Ticket) *expo.Error {
	for _, t := range tickets {
		if t.Err != nil && t.Err.Kind == expo.Project {
			return t.Err
		}
	}
	return nil
}

// saysMore reports whether a ticket blames something else than the whole project: a sender id can be wrong for one device.
func saysMore(t expo.Ticket) bool {
	return t.Err == nil || t.Err.Kind != expo.Project || t.Err.Code == expo.CodeMismatchSenderID
}

// note turns tickets into what they mean for each push.
func (s *Sender) note(chunk []push, tickets []expo.Ticket) {
	for i := range chunk {
		p := &chunk[i]
		p.ticket = tickets[i]
		switch e := tickets[i].Err; {
		case e == nil:
			p.state = accepted
		case e.Kind == expo.Retry || e.Kind == expo.Throttled || e.Kind == expo.Project:
			p.state = again
		default:
			p.state = refused
		}
		s.m.countPush(p)
	}
}
