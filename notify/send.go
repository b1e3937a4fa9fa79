package notify

import (
	"context"
	"errors"
	"net/http"
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

// send offers one chunk to Expo, while the quota allows it, and notes the answer in it. A batch that Expo refuses for its composition is
// split until what is at fault stands alone. While the sender rests nothing is offered, and after it no more than it takes at a time: the chunk
// may have been claimed before requests failed.
func (f *flight) send(ctx context.Context, chunk []*push, p permit) {
	if why, ok := f.pace.allows(reminders(chunk)); !ok {
		leave(chunk, &expo.Error{Kind: expo.Retry, Message: why})
		return
	}
	if chunk = f.timely(chunk); len(chunk) == 0 {
		return
	}
	tickets, err := f.offer(ctx, chunk, p)
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
func (s *Sender) timely(chunk []*push) []*push {
	now := s.now()
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
func (f *flight) offer(ctx context.Context, chunk []*push, given permit) ([]expo.Ticket, error) {
	before := earlier(f.lastRequest(f.claimed), given.until)
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
	return f.expo.SendWith(ctx, messages, expo.Leave{Before: before, Wrote: given.used})
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
	if p, ok := f.admitInTime(ctx, f.claimed, len(chunk)); ok {
		f.send(ctx, chunk, p)
		return
	}
	leave(chunk, e)
}

// split sends a refused chunk in parts: by Expo project if that is what is wrong, else in halves. About a message that is refused alone
// it is decided when the batch is through. When a few are, and nothing was taken, it is not they that are wrong, and the rest is not tried.
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
		if !f.taken && len(f.doubted) >= maxStrikes {
			leave(part, e)
		} else if p, ok := f.admitInTime(ctx, f.claimed, len(part)); ok {
			f.send(ctx, part, p)
		}
	}
}

// conclude decides about what was refused for itself, by message or by project, now that the others of the batch have been tried.
func (f *flight) conclude() {
	for i, r := range f.doubted {
		switch {
		case f.taken: // an attempt is used, and another may succeed
			f.mark(r.chunk, again, r.err)
		case len(f.doubted) >= maxStrikes:
			if i == 0 {
				f.rest(r.err)
			}
			leave(r.chunk, r.err)
		default:
			f.alone(r)
		}
	}
	for _, r := range f.spurned {
		_, one := f.single(r.chunk)
		switch {
		case r.chunk[0].project != "":
			f.disown(r.chunk, r.err)
		case one:
			f.alone(r)
		default:
			f.rest(r.err)
			leave(r.chunk, r.err)
		}
	}
}

// failed notes a request that says nothing about its messages.
func (f *flight) failed(chunk []*push, e *expo.Error) {
	_, one := f.single(chunk)
	switch {
	case e.Kind == expo.Project || e.Kind == expo.Throttled && chunk[0].project != "":
		f.spurned = append(f.spurned, rejected{chunk, e})
	case e.Code == expo.CodeMiscounted: // it was taken, and would be taken again and again
		f.rest(e)
		f.mark(chunk, again, e)
	case one && e.Kind == expo.Retry:
		f.alone(rejected{chunk, e})
	default:
		f.rest(e)
		leave(chunk, e)
	}
}

// maxUnsure is the longest that a reminder waits by itself whose requests may all have been taken.
const maxUnsure = 5 * time.Minute

// alone deals with a request that failed and had the messages of one reminder only. That is its own fault if Expo has taken another that was made
// since the first time, or refuses this one of its batch: then it counts. Until then it may be anybody's. The reminder waits by itself, longer each time, and holds up nobody;
// when others fail like it, it is Expo or us, and the sender rests.
func (f *flight) alone(r rejected) {
	row, _ := f.single(r.chunk)
	before := f.queue.suspect(row.ID)
	if f.taken && r.err.Kind != expo.Retry || before.times > 0 && f.pace.takenSince(before.since) {
		f.queue.counted(row.ID)
		state := again
		if r.err.Kind == expo.Project {
			state = blocked
		}
		f.mark(r.chunk, state, r.err)
		return
	}
	strikes := f.pace.strike(row.ID)
	if strikes >= maxStrikes {
		f.rest(r.err)
		leave(r.chunk, r.err)
		return
	}
	if r.err.Kind == expo.Project && (ours(r.err) || strikes > 1 || before.times > 0) {
		f.raise(r.err, true)
	}
	if before.times == 0 {
		f.log.Warn().Err(r.err).Stringer("reminder", row.ID).Msg("request for one reminder failed, it is tried again by itself")
	}
	longest := f.cfg.PauseMax
	if r.err.Unsure {
		longest = max(longest, maxUnsure)
	}
	f.mark(r.chunk, blocked, r.err)
	for _, p := range r.chunk {
		p.pause = max(f.cfg.Jitter(grow(f.cfg.PauseMin, longest, before.times)), r.err.RetryAfter)
	}
}

// ours reports whether a refusal is about our access token, whatever the message: 401, and OAuth's word for it. What belongs to another project
// has been seen to be answered with 403.
func ours(e *expo.Error) bool {
	return e.Status == http.StatusUnauthorized || e.Code == expo.CodeInvalidBearer
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

// reminders counts the reminders that a chunk has pushes of. Those of one stand together.
func reminders(chunk []*push) (n int) {
	last := -1
	for _, p := range chunk {
		if p.reminder != last {
			n, last = n+1, p.reminder
		}
	}
	return n
}

// rest pauses the sender after a request that says nothing about its messages.
func (s *Sender) rest(e *expo.Error) {
	d := s.pace.failed(e.Error(), e.RetryAfter)
	level := zerolog.WarnLevel
	if e.Kind == expo.Project || e.Kind == expo.Permanent {
		level = zerolog.ErrorLevel
		s.raise(e, true)
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
		f.raise(blame, false)
	}
	if blame != nil && !slices.ContainsFunc(tickets, saysMore) {
		f.failed(chunk, blame)
		return
	}
	if chunk[0].project == "" || f.cfg.Project == "" { // another project's says nothing of ours
		f.taken = true
		f.pace.succeeded(f.began)
		f.clear(f.began)
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
