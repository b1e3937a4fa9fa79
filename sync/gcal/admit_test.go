package gcal_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// usedUp is a quota's answer: not before so long.
type usedUp time.Duration

func (u usedUp) Error() string             { return "used up for " + time.Duration(u).String() }
func (u usedUp) RetryAfter() time.Duration { return time.Duration(u) }

// hers is the answer of a quota that is one user's.
type hers time.Duration

func (u hers) Error() string             { return "used up for " + time.Duration(u).String() }
func (u hers) RetryAfter() time.Duration { return time.Duration(u) }
func (hers) Personal() bool              { return true }

// Every request to the Calendar API is asked for, no other is.
func TestAdmit(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	f := newFixture(t, gcalfake.Config{}, func(c *gcal.Config) {
		c.Admit = func(context.Context, uuid.UUID) error { asked.Add(1); return nil }
	})
	e := newEvent("Violin")
	known := f.upsert(e, gcal.Copy{})
	e.Title = "Violin lesson"
	known = f.upsert(e, known)
	f.must(f.client.Delete(t.Context(), f.account, known))
	if got := f.requests(); got != "insert 200, get 200, update 200, delete 204" || asked.Load() != 4 {
		t.Errorf("asked %d times for %s", asked.Load(), got)
	}
	if n := f.google.Count(gcalfake.OpToken, -1); n > 0 {
		t.Logf("%d token requests were not asked for", n)
	}
}

// Not admitted is not sent, and is the trouble of all accounts unless it is the call's own.
func TestNotAdmitted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refusal error
		want    gcal.Error
		shared  bool
	}{
		"used up":        {usedUp(40 * time.Second), gcal.Error{Kind: gcal.Throttled, Reason: gcal.ReasonOwnQuota, RetryAfter: 40 * time.Second}, true},
		"for a moment":   {usedUp(0), gcal.Error{Kind: gcal.Throttled, Reason: gcal.ReasonOwnQuota, RetryAfter: time.Millisecond}, true},
		"of one user":    {hers(20 * time.Second), gcal.Error{Kind: gcal.Throttled, Reason: gcal.ReasonOwnUserQuota, RetryAfter: 20 * time.Second}, false},
		"the call's end": {context.DeadlineExceeded, gcal.Error{Kind: gcal.Retry}, false},
	} {
		f := newFixture(t, gcalfake.Config{}, func(c *gcal.Config) {
			c.Admit = func(context.Context, uuid.UUID) error { return tt.refusal }
		})
		_, err := f.client.Upsert(t.Context(), f.account, newEvent("Violin"), gcal.Copy{})
		var e *gcal.Error
		if !errors.As(err, &e) || e.Kind != tt.want.Kind || e.Reason != tt.want.Reason || e.RetryAfter != tt.want.RetryAfter || e.Shared() != tt.shared {
			t.Errorf("%s: %v", name, err)
		}
		if !errors.Is(err, tt.refusal) {
			t.Errorf("%s: the cause is lost in %v", name, err)
		}
		if got := f.requests(); got != "" {
			t.Errorf("%s: sent %s", name, got)
		}
	}
}
