package page

import (
	"context"
	"time"
)

// cell keeps the latest reading of one view, and has it read again, once for all who ask, when it is too old. What goes
// wrong is kept for as long, so that a database in trouble is not asked more often for it.
type cell[T any] struct {
	read  func(context.Context) (T, error)
	every time.Duration // how old a reading may be
	limit time.Duration // of one
	turn  chan struct{} // holds one token: whoever has it may touch what follows
	kept  *reading[T]
}

// reading is one view as it was read.
type reading[T any] struct {
	value T
	at    time.Time
	tried time.Time // when it was last tried to read a newer one
	err   error     // why there is none
	have  bool      // value is one
}

func newCell[T any](cfg Config, read func(context.Context) (T, error)) cell[T] {
	c := cell[T]{read: read, every: cfg.Interval, limit: cfg.ReadTimeout, turn: make(chan struct{}, 1), kept: &reading[T]{}}
	c.turn <- struct{}{}
	return c
}

// get answers a reading that is new enough, or the latest with why there is no newer one. Without any it is an error.
func (c *cell[T]) get(ctx context.Context) (value T, stale error, err error) {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return value, nil, ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()
	k := c.kept
	if time.Since(k.tried) >= c.every {
		// Whoever happens to ask reads for all: that they leave is no reason to begin anew.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.limit)
		v, err := c.read(limited)
		cancel()
		k.tried, k.err = time.Now(), err
		if err == nil {
			k.value, k.at, k.have = v, k.tried, true
		} else if !k.have {
			k.value = v // what could be told without the database
		}
	}
	switch {
	case k.err == nil:
		return k.value, nil, nil
	case k.have:
		return k.value, k.err, nil
	}
	return k.value, nil, k.err
}

// forget has the next who asks read anew, since something was changed.
func (c *cell[T]) forget(ctx context.Context) {
	select {
	case <-c.turn:
		c.kept.tried = time.Time{}
		c.turn <- struct{}{}
	case <-ctx.Done():
	}
}
