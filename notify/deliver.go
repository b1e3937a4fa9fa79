package notify

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sql/store"
)

// reminderSending is the state of a claimed reminder. Of the others that a claim answers all but reminderPending, of one that rests, are final.
const (
	reminderPending = "pending"
	reminderSending = "sending"
	reminderSent    = "sent"
	reminderFailed  = "failed"
	reminderSkipped = "skipped"
)

// push is one message to one device and what became of it.
type push struct {
	reminder int // index in the claimed rows
	token    string
	project  string // the Expo project of the token, if it is another than ours; empty: ours, or not known
	message  expo.Message
	notAfter time.Time // by the database's clock: when its event begins, or its user's quiet hours; zero: never
	sentAt   time.Time // the database's clock, just before the request
	ticket   expo.Ticket
	retire   string        // why the device is not to be pushed to again
	pause    time.Duration // of a blocked one: how long it waits by itself; zero: with the others that are
	state    pushState
}

type pushState int

const (
	unsent   pushState = iota // the request failed as a whole, or was not made
	accepted                  // Expo has given a ticket
	refused                   // for good
	again                     // this device, later
	blocked                   // this device, later, through no fault of the reminder's: no attempt is used
	stale                     // the moment for it has passed
	doubted                   // its request was refused with nothing else in it; undecided until the batch is through
)

// batch is what a claim has taken to be sent.
type batch struct {
	began  time.Time // the claim was made no earlier
	due    time.Time // nothing of it is to be sent before, by the database's clock
	rows   []store.ClaimRemindersRow
	early  []verdict // of those rows that are not to be sent now; the zero verdict for others
	pushes []push
	chunks [][]*push   // the pushes by request
	missed []uuid.UUID // what it has not answered
	permit permit      // to offer the first chunk
	ok     bool        // it was given
}

// push sends a batch and records it. What the quota does not allow in time for the claim is not offered: nothing was said to Expo about it,
// and it is due again at once.
func (s *Sender) push(ctx context.Context, b batch) {
	if len(b.rows) == 0 {
		return
	}
	f := flight{Sender: s, claimed: b.began, rows: b.rows}
	permit, ok := b.permit, b.ok && s.hold(ctx, b)
	for i, chunk := range b.chunks {
		if i > 0 {
			permit, ok = s.admitInTime(ctx, b.began, len(chunk))
		}
		if !ok {
			break
		}
		f.send(ctx, chunk, permit)
	}
	f.conclude()
	if ctx.Err() != nil && anyUnsent(b.pushes) {
		return // the grace is over: the claims end by themselves
	}
	s.record(ctx, b)
}

// inTime reports whether one more request fits into a claim made at began.
func (s *Sender) inTime(began time.Time) bool { return !over(s.lastRequest(began)) }

// lastRequest is until when a request may begin, of a claim made at began: an answer and its record must fit in as well.
func (s *Sender) lastRequest(began time.Time) time.Time { return began.Add(s.cfg.Lease / 2) }

// lastAnswer is until when an answer is waited for: its record must fit in.
func (s *Sender) lastAnswer(began time.Time) time.Time { return began.Add(s.cfg.Lease - s.cfg.Lease/6) }

func anyUnsent(pushes []push) bool {
	return slices.ContainsFunc(pushes, func(p push) bool { return p.state == unsent })
}

// chunks divides pushes into requests: each to the devices of one Expo project, as far as that is known, and ours first.
func (s *Sender) chunks(pushes []push) (chunks [][]*push) {
	var order []string
	by := map[string][]*push{}
	for i := range pushes {
		p := &pushes[i]
		if _, found := by[p.project]; !found {
			order = append(order, p.project)
		}
		by[p.project] = append(by[p.project], p)
	}
	slices.Sort(order) // the empty name is ours
	for _, project := range order {
		chunks = slices.AppendSeq(chunks, slices.Chunk(by[project], s.cfg.Batch))
	}
	return chunks
}
