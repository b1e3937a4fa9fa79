package permits

import (
	"errors"
	"fmt"
	"time"
)

// Config says what a service allows, and how permits are kept. All workers are to have the same for one quota.
type Config struct {
	// Quota is the name of the row, and of the metrics' label.
	Quota string
	// Allowed is how many permits may be used in any Window; 0: any number. 0 to 1,000,000.
	Allowed int
	// Window is the time over which the service counts. More than 0, up to an hour.
	Window time.Duration
	// Keep is how long permits may be kept before they are used. Every permit counts for so much longer. More than 0, up to Window.
	Keep time.Duration
	// Margin is by how much one way to the service may take longer than another. 0 to Window.
	Margin time.Duration
	// Chunk is how many are taken by one statement when they are used as fast as they come. 1: none ahead of need.
	Chunk int
	// Patience is how long a Take waits for its permits; it fails at once if that cannot be enough. 0: as long as it must.
	Patience time.Duration
}

// Validate reports everything that is wrong with the settings at once.
func (c Config) Validate() error {
	var faults []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	need(c.Quota != "", "quota: has no name")
	need(c.Allowed >= 0 && c.Allowed <= 1_000_000, "allowed %d: must be between 0 and 1000000", c.Allowed)
	need(c.Window > 0 && c.Window <= time.Hour, "window %s: must be more than 0 and at most 1h", c.Window)
	need(c.Keep > 0 && c.Keep <= c.Window, "keep %s: must be more than 0 and at most the window, %s", c.Keep, c.Window)
	need(c.Margin >= 0 && c.Margin <= c.Window, "margin %s: must be between 0 and the window, %s", c.Margin, c.Window)
	need(c.Chunk >= 1, "chunk %d: must be at least 1", c.Chunk)
	need(c.Patience >= 0, "patience %s: must not be negative", c.Patience)
	return errors.Join(faults...)
}
