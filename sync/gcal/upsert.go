package gcal

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/api/calendar/v3"
)

const (
	maxSteps = 32 // of one Upsert: eight generations at worst
	maxMoves = 99 // of one that moves a copy, which begins with the first generation: each return to a calendar may need one more
	maxStale = 3  // how often a copy may change under our hands
	maxLost  = 3  // how often a copy is looked for that should be there
)

// Upsert makes the user's calendar show e and returns what is known then, for the next time. What was known decides the way:
//
//   - the same content was written and confirmed: nothing is asked of Google at all;
//   - nothing, or only that a write was intended: insert under our own id. Should the id be taken, the earlier write had arrived
//     and is adopted, or brought up to date;
//   - a copy: read it, put our fields into what the user has made of it, and replace it unless it changed meanwhile;
//   - a copy in another calendar: move it (see move).
//
// A copy that the user has deleted is brought back, under a new id if Google insists.
//
// On an error the returned Copy is what to go on from: the known one, or, if that had to be given up, the intent to write under the
// next id. Calling again with either is safe whatever the failed call may have done; the returned one spares the way so far.
func (c *Client) Upsert(ctx context.Context, a Account, e Event, known Copy) (Copy, error) {
	hash := e.Hash()
	moves := known.GoogleID != "" && known.Calendar != "" && known.Calendar != a.calendar()
	if known.ETag != "" && known.Hash == hash && !moves {
		return known, nil
	}
	if e.Start.IsZero() || e.End.IsZero() {
		return known, &Error{Kind: Permanent, Op: OpInsert, Reason: "required", Note: "The event needs a start and an end."}
	}
	u := &upsert{client: c, account: a, event: e, hash: hash, generation: known.Generation, id: known.GoogleID, tries: known.Tries}
	begin, most := u.begin(known), maxSteps
	if moves {
		begin, most = u.move(known), maxMoves
	}
	err := u.run(ctx, begin, most)
	switch {
	case err == nil:
		return u.result, nil
	case moves:
		return known, err // it may stand in both calendars now; what is known leads to both
	case u.generation != known.Generation:
		return Copy{GoogleID: u.id, Generation: u.generation}, err
	default:
		return known, err
	}
}

// upsert is one Upsert under way: the id it is trying and what it has met so far.
type upsert struct {
	client  *Client
	account Account
	event   Event
	hash    string

	id         string
	generation int
	taken      bool // the calendar has refused to insert under our own id
	tries      int  // of the caller, before
	missed     bool // a copy that should be there was not, once in this attempt
	stale      int  // times the copy changed between reading and writing it
	left       *left
	result     Copy
}

// step is one exchange; it returns the next, nil when the result is there.
type step func(context.Context) (step, error)

// begin is the first step where nothing is to be moved.
func (u *upsert) begin(known Copy) step {
	if known.GoogleID != "" && (known.ETag != "" || !u.own()) {
		return u.revise
	}
	u.id = NewGoogleID(u.event.ID, u.generation)
	return u.insert
}

func (u *upsert) run(ctx context.Context, next step, most int) error {
	for range most {
		var err error
		if next, err = next(ctx); next == nil {
			return err
		}
	}
	return &Error{Kind: Retry, Op: OpInsert, Reason: "unsettled", Note: "The copy keeps changing its state."}
}

// insert writes a new copy under our own id.
func (u *upsert) insert(ctx context.Context) (step, error) {
	body := newBody(u.event, u.id, u.hash)
	if u.left != nil {
		body = movedBody(u.left.found, u.event, u.id, u.hash)
	}
	var made *calendar.Event
	err := u.client.do(ctx, u.account, OpInsert, func(ctx context.Context) (err error) {
		made, err = u.client.api.Events.Insert(u.account.calendar(), body).
			SendUpdates("none").SupportsAttachments(true).Context(ctx).Do()
		return err
	})
	leaveOut(err, texts(body)...)
	if status(err) == http.StatusConflict {
		u.taken = true
		return u.revise, nil
	}
	return u.finish(made, err)
}

// revise reads what is there and decides.
func (u *upsert) revise(ctx context.Context) (step, error) {
	found, err := u.read(ctx, u.account.calendar(), u.id)
	switch {
	case status(err) == http.StatusNotFound && gone(err) && (u.taken || !u.own()) && u.tries < maxLost:
		// The id is taken, or the copy was written by another: to make another one now would make a twin of it, should it turn up.
		return nil, err
	case status(err) == http.StatusNotFound && gone(err) && (u.taken || !u.own()) && !u.missed:
		u.missed = true // the attempts before may have failed for other reasons: it is looked for once more
		return u.revise, nil
	case gone(err):
		return u.renew()
	case err != nil:
		return nil, err
	case !u.ours(found):
		u.taken = u.taken || u.own()
		return u.renew()
	default:
		return u.settle(found)
	}
}

// settle takes a copy of ours as it is if it says what it should, and else writes it.
func (u *upsert) settle(found *calendar.Event) (step, error) {
	if found.Status != statusCancelled && marker(found, hashProperty) == u.hash && len(differences(found, u.event)) == 0 {
		return u.finish(found, nil)
	}
	return u.replace(found), nil
}

func (u *upsert) read(ctx context.Context, calendarID, id string) (found *calendar.Event, err error) {
	err = u.client.do(ctx, u.account, OpGet, func(ctx context.Context) (err error) {
		found, err = u.client.api.Events.Get(calendarID, id).Context(ctx).Do()
		return err
	})
	return found, err
}

// replace writes our fields into found, and only into found: a copy that has changed since is read again.
func (u *upsert) replace(found *calendar.Event) step {
	cancelled, etag := found.Status == statusCancelled, found.Etag
	if cancelled && u.left != nil { // it stood here before; what the user has made of it since is there
		found = movedBody(u.left.found, u.event, u.id, u.hash)
	} else {
		merge(found, u.event, u.hash)
	}
	return func(ctx context.Context) (step, error) {
		var made *calendar.Event
		err := u.client.do(ctx, u.account, OpUpdate, func(ctx context.Context) (err error) {
			call := u.client.api.Events.Update(u.account.calendar(), u.id, found).
				SendUpdates("none").SupportsAttachments(true).Context(ctx)
			if etag != "" {
				call.Header().Set("If-Match", etag)
			}
			made, err = call.Do()
			return err
		})
		leaveOut(err, texts(found)...)
		switch {
		case status(err) == http.StatusPreconditionFailed:
			return u.again(err)
		case cancelled && (gone(err) || refused(err)):
			u.taken = u.taken || u.own()
			return u.renew()
		case gone(err):
			return u.again(err) // deleted since we read it: what became of it decides
		default:
			return u.finish(made, err)
		}
	}
}

// again reads the copy once more, unless it has slipped away too often.
func (u *upsert) again(err error) (step, error) {
	if u.stale++; u.stale > maxStale {
		return nil, err
	}
	return u.revise, nil
}

// renew inserts under our own id: the present one, or the next if the calendar keeps that and will not give it back.
func (u *upsert) renew() (step, error) {
	next := step(u.insert)
	if u.taken {
		u.generation++
		u.taken = false
		next = u.note
	}
	u.id = NewGoogleID(u.event.ID, u.generation)
	return next, nil
}

// note has the caller write down the new id before anything is written under it.
func (u *upsert) note(ctx context.Context) (step, error) {
	if u.client.note != nil {
		if err := u.client.note(ctx, u.account, u.event.ID, Copy{GoogleID: u.id, Generation: u.generation}); err != nil {
			return nil, &Error{Kind: Retry, Op: OpInsert, Err: err}
		}
	}
	return u.insert, nil
}

func (u *upsert) finish(e *calendar.Event, err error) (step, error) {
	if err != nil {
		return nil, err
	}
	u.result = Copy{GoogleID: u.id, Generation: u.generation, ETag: e.Etag, Hash: u.hash}
	if u.left != nil && !u.left.same(e) {
		return u.leave, nil
	}
	return nil, nil
}

// own reports whether the id is, or is about to be, of our making.
func (u *upsert) own() bool { return u.id == "" || u.id == NewGoogleID(u.event.ID, u.generation) }

// ours reports whether a copy is this event's. One that was taken over by its foreign id need not say so yet, but must not say
// that it is another event's.
func (u *upsert) ours(found *calendar.Event) bool {
	m := marker(found, eventProperty)
	return m == u.event.ID.String() || m == "" && !u.own()
}

func status(err error) int {
	if e, ok := errors.AsType[*Error](err); ok && e.Op != OpToken {
		return e.Status
	}
	return 0
}

// gone reports whether Google itself said that there is no such copy; a gateway's "not found" proves nothing.
func gone(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Op != OpToken && e.Reason != "" && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}

// refused reports whether Google forbade this one write.
func refused(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusForbidden && e.Kind == Permanent
}
