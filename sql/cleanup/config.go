package cleanup

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the settings of a Cleaner. Start from DefaultConfig. Of all ages 0 is never.
type Config struct {
	// Reminders is for how long reminders and their deliveries are kept after they are over. 0 or more.
	Reminders time.Duration
	// FailedEvents is for how long events that have failed are kept after they are over, Events for how long all others that are nobody's work any
	// more. 0 or more.
	FailedEvents, Events time.Duration
	// Removals is for how long a removal waits for an account that has ended. 0 or more.
	Removals time.Duration
	// Devices is for how long retired devices are kept. 0 or more.
	Devices time.Duration

	// Interval is the time from the beginning of one cleanup to that of the next; 0: there is none but by Clean.
	Interval time.Duration
	// Hold is after how long another worker goes on with a cleanup whose own has died. 1s or more.
	Hold time.Duration
	// Batch is how many rows of a kind one transaction removes. 1 to 5000.
	Batch int
	// Blocks is how many blocks of a table are read by one statement. 1 or more.
	Blocks int64
	// Share is the part of its time in which a cleanup works; the rest it pauses. More than 0, at most 1.
	Share float64
}

// DefaultConfig returns settings that suit production: 90 days, a year for removals, and only failed ones of the app's events.
func DefaultConfig() Config {
	const day = 24 * time.Hour
	return Config{
		Reminders: 90 * day, FailedEvents: 90 * day, Removals: 365 * day, Devices: 90 * day,
		Interval: day, Hold: 2 * time.Minute, Batch: 1000, Blocks: 256, Share: 0.25,
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
	for _, age := range []struct {
		name  string
		value time.Duration
	}{
		{"reminders", c.Reminders}, {"failed events", c.FailedEvents}, {"events", c.Events}, {"removals", c.Removals}, {"devices", c.Devices},
		{"interval", c.Interval},
	} {
		need(age.value >= 0, "%s %s: must not be negative", age.name, age.value)
	}
	need(c.Hold >= time.Second, "hold %s: must be 1s or more", c.Hold)
	need(c.Batch >= 1 && c.Batch <= 5000, "batch %d: must be between 1 and 5000", c.Batch)
	need(c.Blocks >= 1, "blocks %d: must be 1 or more", c.Blocks)
	need(c.Share > 0 && c.Share <= 1, "share %v: must be more than 0 and at most 1", c.Share)
	return errors.Join(faults...)
}
