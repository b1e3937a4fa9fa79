package audit

import (
	"errors"
	"fmt"
	"time"

	"github.com/parentpal/reminder-worker/sync/reconcile"
	"github.com/parentpal/reminder-worker/sync/seal"
)

// Config holds the settings of an Auditor. Start from DefaultConfig.
type Config struct {
	// Plan is how the workers plan. It must be as theirs, or everything they have planned is out of step.
	Plan reconcile.Config
	// Keys open the refresh tokens that are stored sealed. Nil: none is.
	Keys *seal.Keys

	// Page is how many rows are looked at by one statement. 1 to 5000.
	Page int
	// Grace is the time between the two looks at what seems out of step. 0 or more.
	Grace time.Duration
	// Overdue is after how long an event that is due should have been taken by a worker. More than 0.
	Overdue time.Duration
	// Past is how far back calendars are read. More than 0.
	Past time.Duration

	// Interval is the time of one round in the background; 0: there is none.
	Interval time.Duration
	// MinPause is the shortest time between two steps of it. More than 0.
	MinPause time.Duration
	// Repair has the background mend what it finds.
	Repair bool
}

// DefaultConfig returns settings that suit production, without a background.
func DefaultConfig() Config {
	return Config{
		Plan:     reconcile.DefaultConfig(),
		Page:     1000,
		Grace:    3 * time.Second,
		Overdue:  10 * time.Minute,
		Past:     31 * 24 * time.Hour,
		MinPause: 10 * time.Second,
	}
}

// Validate reports everything that is wrong with the settings at once.
func (c Config) Validate() error {
	var faults []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	need(c.Page >= 1 && c.Page <= 5000, "page %d: must be between 1 and 5000", c.Page)
	need(c.Grace >= 0, "grace %s: must not be negative", c.Grace)
	need(c.Overdue > 0, "overdue %s: must be more than 0", c.Overdue)
	need(c.Past > 0, "past %s: must be more than 0", c.Past)
	need(c.Interval >= 0, "interval %s: must not be negative", c.Interval)
	need(c.MinPause > 0, "min pause %s: must be more than 0", c.MinPause)
	return errors.Join(append(faults, c.Plan.Validate())...)
}
