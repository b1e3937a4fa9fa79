package demo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Run shows the program at work until cfg.For has passed since it was ready, or ctx ends, which is no error. It leaves nothing behind,
// also when what it shows cannot be written any more, which is one.
func Run(ctx context.Context, cfg Config) (v Verdict, err error) {
	if err := cfg.Validate(); err != nil {
		return v, err
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	cfg.Out = &outlet{to: cfg.Out, shut: leave}
	f := newFace(cfg)
	s, err := raise(ctx, cfg, f)
	defer func() {
		if end := s.strike(); err == nil { // what went wrong first says most
			err = end
		}
	}()
	if cause := context.Cause(ctx); errors.Is(cause, errPart) {
		return v, cause
	}
	if err != nil {
		if ctx.Err() != nil {
			f.say("stopped before it had begun")
			return v, nil
		}
		return v, err
	}
	return s.perform(ctx)
}

// perform plays the story, waits, and judges.
func (s *stage) perform(ctx context.Context) (Verdict, error) {
	ready := time.Now()
	tale := &story{family: newFamily(s.db), tracker: s.tracker, face: s.face, limit: patience}
	if err := s.play(ctx, tale, ready); err != nil {
		return Verdict{}, err
	}
	s.face.say("stopping ...")
	if err := s.stopApp(); err != nil {
		return Verdict{}, err
	}
	return s.conclude(tale.promises, s.appStopped.Sub(ready))
}

// play tells the story and stays until it is time to end. That ctx ends is no error.
func (s *stage) play(ctx context.Context, tale *story, ready time.Time) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watching := make(chan struct{})
	defer func() { stop(nil); <-watching }()
	go func() {
		defer close(watching)
		s.watchParts(ctx, stop)
	}()
	err := s.tellAndWait(ctx, tale, ready)
	if cause := context.Cause(ctx); errors.Is(cause, errPart) {
		return cause
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

var errPart = errors.New("the demo cannot go on")

// watchParts ends the play when the program or the tracker has ended.
func (s *stage) watchParts(ctx context.Context, stop context.CancelCauseFunc) {
	select {
	case <-s.appEnded:
		stop(fmt.Errorf("%w: the program ended: %w", errPart, s.endOfApp()))
	case <-s.watchEnded:
		stop(fmt.Errorf("%w: its rows cannot be followed any more: %w", errPart, s.watchErr))
	case <-ctx.Done():
	}
}

func (s *stage) tellAndWait(ctx context.Context, tale *story, ready time.Time) error {
	if err := tale.signUp(ctx, s.google.Grant); err != nil {
		return err
	}
	s.face.started(s.addresses()) // a visitor may use the family from here on
	if err := tale.tell(ctx); err != nil {
		return err
	}
	tale.scene("That is all they do. Now their reminders come, to the instant.")
	for _, next := range []func(context.Context) error{tale.delivered, tale.putOff, tale.delivered} {
		if err := next(ctx); err != nil {
			return err
		}
	}
	if s.cfg.For == 0 {
		s.face.say("Your turn: insert an event (the SQL is above), or stop with Ctrl-C.")
		<-ctx.Done()
		return ctx.Err()
	}
	left := time.NewTimer(time.Until(ready.Add(s.cfg.For)))
	defer left.Stop()
	select {
	case <-left.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// conclude judges when the program has stopped.
func (s *stage) conclude(promises []promise, ran time.Duration) (Verdict, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// The connection may have been cut off in the middle of a statement by the end of the story.
	if err := s.reconnect(ctx); err != nil {
		return Verdict{}, err
	}
	f, err := s.gather(ctx, s.appStopped, promises)
	if err != nil {
		return Verdict{}, err
	}
	sum, err := s.summarise(ctx, f, ran)
	if err != nil {
		return Verdict{}, err
	}
	s.face.conclude(sum)
	return sum.verdict, nil
}
