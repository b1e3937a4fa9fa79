package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/personal"
)

// Holdings are what is held about a user, in rows.
type Holdings = personal.Holdings

// UnknownUserError says that nothing is held about a user, and that the app does not know them either.
type UnknownUserError = personal.UnknownError

// ExportUser writes all that is held about a user to out, as one JSON document, and returns how many rows of each kind are in it. It migrates nothing.
func (a *App) ExportUser(ctx context.Context, user uuid.UUID, out io.Writer) (map[string]int64, error) {
	defer a.close()
	if err := a.attach(ctx); err != nil {
		return nil, err
	}
	return personal.Export(ctx, a.pool, user, out)
}

// Deletion is what was asked of a user, and what has come of it.
type Deletion struct {
	// ID is the number under which it is written down.
	ID uuid.UUID
	personal.State
}

// DeleteOptions say what is asked.
type DeleteOptions struct {
	User uuid.UUID
	// KeepCopies leaves in the user's calendar what stands there.
	KeepCopies bool
	// AuthUser has the row of auth.users removed as well.
	AuthUser bool
	// Confirm is asked before anything is changed; its error ends it.
	Confirm func(Holdings) error
	// Patience is for how long nothing may come of it until it is left to the workers. More than 0.
	Patience time.Duration
	// Progress, if set, is told now and then how far it has come.
	Progress func(Deletion)
}

// DeleteUser has a user forgotten: it writes that down, and makes the steps together with workers that run, or alone. A deletion that has not ended
// is gone on with by them, or when it is asked for again. It migrates nothing.
func (a *App) DeleteUser(ctx context.Context, o DeleteOptions) (Deletion, error) {
	defer a.close()
	if err := a.attach(ctx); err != nil {
		return Deletion{}, err
	}
	held, err := personal.Look(ctx, bounded{a.pool, statementLimit}, o.User)
	if err != nil {
		return Deletion{}, err
	}
	if err := o.Confirm(held); err != nil {
		return Deletion{}, err
	}
	id, err := a.forgetter.Ask(ctx, o.User, personal.Wish{KeepCopies: o.KeepCopies, AuthUser: o.AuthUser})
	if err != nil {
		return Deletion{}, err
	}
	work, end := graceful(ctx, a.cfg.ShutdownGrace)
	defer end()
	return a.forget(ctx, work, id, o)
}

// forgetPause is the time between two looks at what a deletion waits for.
const forgetPause = 250 * time.Millisecond

// forget makes steps, and Google's part of them, until the deletion has ended or nothing more comes of it.
func (a *App) forget(ctx, work context.Context, id uuid.UUID, o DeleteOptions) (d Deletion, err error) {
	d.ID = id
	last, since := "", time.Now()
	for {
		ended, err := a.forgetter.Step(ctx, id)
		if err != nil {
			return d, err
		}
		if d.State, err = a.forgetter.State(ctx, id); err != nil || ended {
			return d, err
		}
		if o.Progress != nil {
			o.Progress(d)
		}
		now, err := a.traceOf(ctx, o.User, d)
		if err != nil {
			return d, err
		}
		if now != last {
			last, since = now, time.Now()
		}
		if d.Refused > 0 || time.Since(since) > o.Patience {
			return d, nil
		}
		if err := a.serveOnce(ctx, work); err != nil {
			return d, err
		}
		t := time.NewTimer(forgetPause)
		select {
		case <-ctx.Done():
			t.Stop()
			return d, context.Cause(ctx)
		case <-t.C:
		}
	}
}

// traceOf changes when something has come of a deletion.
func (a *App) traceOf(ctx context.Context, user uuid.UUID, d Deletion) (string, error) {
	held, err := personal.Look(ctx, bounded{a.pool, statementLimit}, user)
	if _, gone := errors.AsType[*personal.UnknownError](err); gone {
		err = nil
	}
	return fmt.Sprint(held, d.Removed, d.CopiesLeft), err
}
