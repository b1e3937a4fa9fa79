package gcal

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/api/calendar/v3"
)

// left is a copy in the calendar that it is moved from.
type left struct {
	calendar, id string
	found        *calendar.Event
}

// move begins with a copy that stands in another calendar than it should. What the user has made of it comes along: it is read there, inserted
// here, and removed there last, so that at every moment it stands in one of the two, and an attempt that broke off is taken up where it was.
//
// Google has a request of its own for this (events.move), which not every consent to write events covers, and of which it is not said what
// becomes of the event's id in either calendar. A calendar that may not be touched any more, as Google says several times, is left as it is.
//
//	there: live ──────► insert here, or adopt what an earlier attempt has inserted ──► delete there ──► done
//	there: not, as Google says several times, or deleted, and the content has changed ──► insert here, or adopt ──► done
//	there: deleted, or known to be, and the content is the same ──► here: live ──► adopt ──► done
//	                                                here: not ──► done: the user has deleted it, and it stays deleted
func (u *upsert) move(known Copy) step {
	from := &left{calendar: known.Calendar, id: known.GoogleID}
	return func(ctx context.Context) (step, error) {
		found, err := u.read(ctx, from.calendar, from.id)
		live := err == nil && found.Status != statusCancelled && u.ours(found)
		if err != nil && !gone(err) && !u.barred(err) {
			return nil, doubted(err)
		}
		if status(err) == http.StatusNotFound && known.ETag != "" && known.ETag != deletedETag && u.tries < maxLost {
			return nil, err // it was written there, and Google remembers those deleted: if it turned up again there would be two
		}
		// Moved after its user had deleted it, it stands in neither.
		deleted := (err == nil && !live && known.ETag != "" || gone(err) && known.ETag == deletedETag) && known.Hash == u.hash
		// The first id, as whoever knows nothing of the copy would begin with here.
		u.generation = 0
		u.id = NewGoogleID(u.event.ID, u.generation)
		if deleted {
			return u.arrive, nil
		}
		if live {
			from.found = found
			u.left = from
		}
		return u.insert, nil
	}
}

// arrive tells a copy that an earlier attempt has moved from one that the user has deleted.
func (u *upsert) arrive(ctx context.Context) (step, error) {
	found, err := u.read(ctx, u.account.calendar(), u.id)
	switch {
	case err != nil && !gone(err):
		return nil, err
	case err == nil && found.Status != statusCancelled && u.ours(found):
		return u.settle(found)
	}
	u.result = Copy{GoogleID: u.id, Generation: u.generation, ETag: deletedETag, Hash: u.hash}
	return nil, nil
}

// deletedETag stands for the version of a copy that the user has deleted: it is known, and no request names it.
const deletedETag = `"deleted"`

// leave removes the copy from the calendar it was moved from.
func (u *upsert) leave(ctx context.Context) (step, error) {
	err := u.client.do(ctx, u.account, OpDelete, func(ctx context.Context) error {
		return u.client.api.Events.Delete(u.left.calendar, u.left.id).SendUpdates("none").Context(ctx).Do()
	})
	if err != nil && !gone(err) && !u.barred(err) {
		return nil, doubted(err)
	}
	return nil, nil
}

// maxRefused is how often the calendar that a copy is moved from may refuse us before it is left as it is. A copy that is left there because of
// a refusal that Google did not mean would be a twin.
const maxRefused = 3

// barred reports whether err says, and not for the first time, that the calendar that is left may not be touched any more.
func (u *upsert) barred(err error) bool { return refused(err) && u.tries >= maxRefused }

// doubted makes a refusal one that is asked about again.
func doubted(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || !refused(err) {
		return err
	}
	again := *e
	again.Kind = Retry
	return &again
}

// same reports whether a copy here is the very one that was found there, because both names are of one calendar, as "primary" and the user's address
// are: every calendar is the organizer of what was made in it.
func (l *left) same(here *calendar.Event) bool {
	if here.Id != l.id {
		return false
	}
	if here.Organizer == nil || l.found.Organizer == nil || here.Organizer.Email == "" {
		return here.Etag == l.found.Etag
	}
	return here.Organizer.Email == l.found.Organizer.Email
}
