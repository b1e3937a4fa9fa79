package notify

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sql/store"
)

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

// push sends a batch and records it. What the quota does not allow in time for the claim is not offered: nothing was said to Expo about it,
// and it is due again at once.
func (s *Sender) push(ctx context.Context, b batch) {
	if len(b.rows) == 0 {
		return
	}
	until, ok := b.until, b.ok
	for rest := b.pushes; ok; {
		n := min(len(rest), s.cfg.Batch)
		s.send(ctx, b.began, rest[:n], until)
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
		until, ok = s.admitInTime(ctx, b.began, min(len(rest), s.cfg.Batch))
	}
	if ctx.Err() != nil && anyUnsent(b.pushes) {
		return // the grace is over: the claims end by themselves
	}
	s.record(ctx, b.rows, b.pushes)
}

// inTime reports whether one more request fits into a claim made at began.
func (s *Sender) inTime(began time.Time) bool { return !over(s.lastRequest(began)) }

// lastRequest is until when a request may begin, of a claim made at began: an answer and its record must fit in as well.
func (s *Sender) lastRequest(began time.Time) time.Time { return began.Add(s.cfg.Lease / 2) }

// lastAnswer is until when an answer is waited for: its record must fit in.
func (s *Sender) lastAnswer(began time.Time) time.Time { return began.Add(s.cfg.Lease - s.cfg.Lease/6) }

func anyUnsent(pushes []push) bool {
	for i := range pushes {
		if pushes[i].state == unsent {
			return true
		}
	}
	return false
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

// send offers one chunk to Expo, until when the quota allows it, and notes the answer in it. A batch that Expo refuses for its composition is
// split until what is at fault stands alone. While the sender rests nothing is offered.
func (s *Sender) send(ctx context.Context, claimed time.Time, chunk []push, until time.Time) {
	if left, why := s.pace.left(); left > 0 {
		s.leave(chunk, &expo.Error{Kind: expo.Retry, Message: "at rest after " + why})
		return
	}
	tickets, err := s.offer(ctx, claimed, chunk, until)
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
	case e.Kind == expo.Late:
		s.sendAgain(ctx, claimed, chunk, e)
	case e.Kind == expo.Split || e.Kind == expo.Permanent:
		s.split(ctx, claimed, chunk, e)
	default:
		s.rest(e)
		s.leave(chunk, e)
	}
}

// offer makes the request. What was looked at before may be long ago when it is written, for the process can be stopped, and the machine:
// so the client looks once more, at both the quota's limit and the claim's.
func (s *Sender) offer(ctx context.Context, claimed time.Time, chunk []push, until time.Time) ([]expo.Ticket, error) {
	before := s.lastRequest(claimed)
	if !until.IsZero() && until.Before(before) {
		before = until
	}
	ctx, cancel := context.WithDeadline(ctx, s.lastAnswer(claimed))
	defer cancel()
	messages := make([]expo.Message, len(chunk))
	sentAt := s.now()
	for i := range chunk {
		messages[i] = chunk[i].message
		chunk[i].sentAt = sentAt
	}
	began := time.Now()
	defer func() { s.m.requestSeconds.Observe(time.Since(began).Seconds()) }()
	return s.expo.SendBefore(ctx, messages, before)
}

// sendAgain offers a chunk that came too late to be written, if it was the quota's limit that was over and not the claim's.
func (s *Sender) sendAgain(ctx context.Context, claimed time.Time, chunk []push, e *expo.Error) {
	if until, ok := s.admitInTime(ctx, claimed, len(chunk)); ok {
		s.send(ctx, claimed, chunk, until)
		return
	}
	s.leave(chunk, e)
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
		if until, ok := s.admitInTime(ctx, claimed, len(part)); ok {
			s.send(ctx, claimed, part, until)
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
