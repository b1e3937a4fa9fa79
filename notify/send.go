package notify

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sql/store"
)

// flight is the sending of one batch.
type flight struct {
	*Sender
	claimed time.Time
	began   time.Time // when its last request was made
	rows    []store.ClaimRemindersRow
	taken   bool       // Expo has taken a request of it
	doubted []rejected // single messages, see the state of that name
	spurned []rejected // what was refused to our credentials, and may be another project's
}

// rejected is what Expo has refused, and why.
type rejected struct {
	chunk []*push
	err   *expo.Error
}

// send offers one chunk to Expo, until when the quota allows it, and notes the answer in it. A batch that Expo refuses for its composition is
// split until what is at fault stands alone. While the sender rests nothing is offered.
func (f *flight) send(ctx context.Context, chunk []*push, until time.Time) {
	if left, why := f.pace.left(); left > 0 {
		leave(chunk, &expo.Error{Kind: expo.Retry, Message: "at rest after " + why})
		return
	}
	if chunk = f.timely(chunk); len(chunk) == 0 {
		return
	}
	tickets, err := f.offer(ctx, chunk, until)
	if err == nil {
		f.m.requests.WithLabelValues("ok").Inc()
		f.answered(chunk, tickets)
		return
	}
	var e *expo.Error
	if !errors.As(err, &e) {
		e = &expo.Error{Kind: expo.Retry, Err: err}
	}
	f.m.requests.WithLabelValues(e.Kind.String()).Inc()
	switch {
	case ctx.Err() != nil:
	case e.Kind == expo.Late:
		f.sendAgain(ctx, chunk, e)
	case e.Kind == expo.Split || e.Kind == expo.Permanent:
		f.split(ctx, chunk, e)
	default:
		f.failed(chunk, e)
	}
}

// timely drops the pushes whose moment has passed: their events have begun, or quiet hours have.
func (f *flight) timely(chunk []*push) []*push {
	now := f.now()
	return slices.DeleteFunc(slices.Clone(chunk), func(p *push) bool {
		if p.notAfter.IsZero() || now.Before(p.notAfter) {
			return false
		}
		p.state = stale
		return true
	})
}

// offer makes the request. What was looked at before may be long ago when it is written, for the process can be stopped, and the machine: so
// the client looks once more, at the quota's limit, the claim's, and the moment after which one of the pushes would come too late.
func (f *flight) offer(ctx context.Context, chunk []*push, until time.Time) ([]expo.Ticket, error) {
	before := earlier(f.lastRequest(f.claimed), until)
	ctx, cancel := context.WithDeadline(ctx, f.lastAnswer(f.claimed))
	defer cancel()
	messages := make([]expo.Message, len(chunk))
	sentAt := f.now()
	for i, p := range chunk {
		messages[i] = p.message
		p.sentAt = sentAt
		if !p.notAfter.IsZero() {
			before = earlier(before, p.notAfter.Add(-time.Duration(f.offset.Load())))
		}
	}
	f.began = time.Now()
	defer func() { f.m.requestSeconds.Observe(time.Since(f.began).Seconds()) }()
	return f.expo.SendBefore(ctx, messages, before)
}

// earlier is the earlier of a and b, which is none if it is zero.
func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// sendAgain offers a chunk that came too late to be written, if it was not the claim that was over: without the pushes whose moment has
// passed, and under a new permit.
func (f *flight) sendAgain(ctx context.Context, chunk []*push, e *expo.Error) {
	if until, ok := f.admitInTime(ctx, f.claimed, len(chunk)); ok {
		f.send(ctx, chunk, until)
		return
	}
	leave(chunk, e)
}

// split sends a refused chunk in parts: by Expo project if that is what is wrong, else in halves. About a message that is refused alone
// it is decided when the batch is through.
func (f *flight) split(ctx context.Context, chunk []*push, e *expo.Error) {
	if len(chunk) == 1 {
		chunk[0].state, chunk[0].ticket = doubted, expo.Ticket{Err: e}
		f.doubted = append(f.doubted, rejected{chunk, e})
		return
	}
	parts := f.byProject(chunk, e.Projects())
	if len(parts) < 2 {
		half := len(chunk) / 2
		parts = [][]*push{chunk[:half], chunk[half:]}
	}
	for _, part := range parts {
		if until, ok := f.admitInTime(ctx, f.claimed, len(part)); ok {
			f.send(ctx, part, until)
		}
	}
}

// conclude decides about what was refused for itself, by message or by project. If Expo takes others it is that which is at fault. If it has
// taken nothing for a while, a reminder that is refused with nothing else in its request waits by itself, without holding up others; several
// of them in a row are us, or Expo, and nothing is held against anybody.
func (f *flight) conclude() {
	proven := f.taken || f.pace.proven()
	for _, r := range f.doubted {
		if proven {
			f.mark(r.chunk, refused, r.err)
		} else {
			f.wonder(r)
		}
	}
	for _, r := range f.spurned {
		if proven && r.chunk[0].project != "" {
			f.disown(r.chunk, r.err)
		} else {
			f.wonder(r)
		}
	}
}

// wonder deals with a refusal that may be the reminder's own fault, or ours.
func (f *flight) wonder(r rejected) {
	if row, one := f.single(r.chunk); one {
		f.queue.suspect(row.ID)
		if f.pace.strike(row.ID) {
			f.mark(r.chunk, blocked, r.err)
			return
		}
	}
	f.rest(r.err, false)
	leave(r.chunk, r.err)
}

// failed notes a request that says nothing about its messages, unless it had those of one reminder only and others go through meanwhile: then
// it seems to be that one's.
func (f *flight) failed(chunk []*push, e *expo.Error) {
	switch {
	case e.Kind == expo.Project || e.Kind == expo.Throttled && chunk[0].project != "":
		f.spurned = append(f.spurned, rejected{chunk, e})
		return
	case e.Code == expo.CodeMiscounted: // it was taken, and would be taken again and again
		f.rest(e, false)
		f.mark(chunk, again, e)
		return
	}
	suspect := false
	if row, one := f.single(chunk); one && e.Kind == expo.Retry {
		suspect = f.queue.suspected(row.ID)
		if suspect && f.pace.proven() {
			f.mark(chunk, again, e)
			return
		}
		f.queue.suspect(row.ID)
	}
	f.rest(e, suspect)
	leave(chunk, e)
}

// single reports whether a chunk holds pushes of one reminder only, and which.
func (f *flight) single(chunk []*push) (row store.ClaimRemindersRow, one bool) {
	for _, p := range chunk {
		if p.reminder != chunk[0].reminder {
			return row, false
		}
	}
	return f.rows[chunk[0].reminder], true
}

// rest pauses the sender after a request that says nothing about its messages; suspect says that it had those of a suspect only.
func (s *Sender) rest(e *expo.Error, suspect bool) {
	d := s.pace.failed(e.Error(), e.RetryAfter, suspect)
	level := zerolog.WarnLevel
	if e.Kind == expo.Project || e.Kind == expo.Permanent {
		level = zerolog.ErrorLevel
		s.raise(e)
	}
	s.log.WithLevel(level).Err(e).Dur("rest", d).Msg("sender paused")
}

// leave notes that nothing was learned about the messages of a chunk.
func leave(chunk []*push, e *expo.Error) {
	for _, p := range chunk {
		p.state, p.ticket = unsent, expo.Ticket{Err: e}
	}
}

// mark gives all pushes of a chunk a state and the reason for it.
func (f *flight) mark(chunk []*push, state pushState, e *expo.Error) {
	for _, p := range chunk {
		p.state, p.ticket = state, expo.Ticket{Err: e}
		f.m.countPush(p)
	}
}

// answered reads an answer that came with tickets. If every ticket blames the project, nothing was learned about the reminders.
func (f *flight) answered(chunk []*push, tickets []expo.Ticket) {
	blame := projectFault(tickets)
	if blame != nil && chunk[0].project == "" {
		f.raise(blame)
	}
	if blame != nil && !slices.ContainsFunc(tickets, saysMore) {
		f.failed(chunk, blame)
		return
	}
	if chunk[0].project == "" || f.cfg.Project == "" { // another project's says nothing of ours
		f.taken = true
		f.pace.succeeded(f.began)
	}
	f.note(chunk, tickets)
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
func (f *flight) note(chunk []*push, tickets []expo.Ticket) {
	for i, p := range chunk {
		p.ticket = tickets[i]
		switch e := tickets[i].Err; {
		case e == nil:
			p.state = accepted
			f.queue.acquit(f.rows[p.reminder].ID)
		case e.Kind == expo.Retry || e.Kind == expo.Throttled:
			p.state = again
		case e.Kind == expo.Project:
			p.state = blocked
		default:
			p.state = refused
			if e.Kind == expo.DeviceGone {
				p.retire = retiredGone
			}
		}
		f.m.countPush(p)
	}
}

// retiredGone is the reason given for a device whose token Expo does not know any more.
const retiredGone = "Expo: DeviceNotRegistered"
