package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/parentpal/reminder-worker/sql/cleanup"
)

// The shortest ages that rows may be removed at. What a reminder's receipt is asked for takes a day; and an audit reads calendars a month back, where
// it would take the copy of an event that is gone for somebody else's.
const (
	leastAge         = 2 * 24 * time.Hour
	leastAgeOfEvents = 35 * 24 * time.Hour
)

func (c Config) validateCleanup() error {
	var faults []error
	for _, age := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"CLEANUP_INTERVAL", c.CleanupInterval, time.Hour}, {"KEEP_REMINDERS", c.KeepReminders, leastAge},
		{"KEEP_FAILED_EVENTS", c.KeepFailedEvents, leastAgeOfEvents}, {"KEEP_EVENTS", c.KeepEvents, leastAgeOfEvents},
		{"KEEP_REMOVALS", c.KeepRemovals, leastAgeOfEvents}, {"KEEP_DEVICES", c.KeepDevices, leastAge},
	} {
		if age.value != 0 && age.value < age.least {
			faults = append(faults, fmt.Errorf("%s: %s is neither 0 (never) nor at least %s", age.name, age.value, age.least))
		}
	}
	return errors.Join(faults...)
}

func (c Config) cleanup() cleanup.Config {
	k := cleanup.DefaultConfig()
	k.Interval, k.Reminders, k.FailedEvents, k.Events = c.CleanupInterval, c.KeepReminders, c.KeepFailedEvents, c.KeepEvents
	k.Removals, k.Devices = c.KeepRemovals, c.KeepDevices
	return k
}
