package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Config says what is measured.
type Config struct {
	// DatabaseURL is a database on this machine whose role is a superuser: each measurement makes a database and drops it, and large tables are filled
	// with triggers at rest. Empty: a private Postgres is started.
	DatabaseURL string
	// Only names the scenarios to run. Empty: all.
	Only []string
	// Runs is how often each is measured; what is told is the median. 1 to 100.
	Runs int
	// Size is how much is measured.
	Size Size
	// Progress takes a line for each step. Nil: nobody is told.
	Progress io.Writer
}

// Size is how much of everything there is.
type Size struct {
	// Settle is how long what a start has set going is given before something is measured.
	Settle time.Duration

	PickupRate   int           // events a second
	PickupFor    time.Duration //
	Drain        []int         // events that wait
	Sustained    []int         // events a second
	SustainedFor time.Duration //
	Lateness     []int         // reminders at random instants
	LatenessFor  time.Duration // in which they are
	Herd         int           // reminders of one instant
	PacedHerd    int           // the same under Expo's limits
	Rebuild      []int         // reminders within the horizon at the start
	Far          int           // reminders behind the horizon in the last of them
	Starts       int           // of the worker with each, and with each of Growth
	IdleFor      time.Duration //
	Growth       []int         // rows in each table that are history

	Cleanup          int // events that are to be removed, each with two or three reminders
	CleanupReminders int // that fall due meanwhile, within each LatenessFor
}

// QuickSize is for a first look.
func QuickSize() Size {
	return Size{
		Settle:     3 * time.Second,
		PickupRate: 20, PickupFor: 10 * time.Second,
		Drain:     []int{20_000},
		Sustained: []int{1000}, SustainedFor: 10 * time.Second,
		Lateness: []int{2000}, LatenessFor: 20 * time.Second,
		Herd: 5000, PacedHerd: 3000,
		Rebuild: []int{1_000_000}, Starts: 5,
		IdleFor: 15 * time.Second,
		Growth:  []int{10_000, 300_000},
		Cleanup: 40_000, CleanupReminders: 1000,
	}
}

// FullSize is for figures to publish: minutes for each rate, and tables of 20 million rows.
func FullSize() Size {
	return Size{
		Settle:     3 * time.Second,
		PickupRate: 20, PickupFor: 20 * time.Second,
		Drain:     []int{20_000, 100_000},
		Sustained: []int{1000, 2000}, SustainedFor: time.Minute,
		Lateness: []int{2000, 20_000}, LatenessFor: time.Minute,
		Herd: 5000, PacedHerd: 30_000,
		Rebuild: []int{1_000_000, 5_000_000, 100_000}, Far: 20_000_000, Starts: 5,
		IdleFor: 30 * time.Second,
		Growth:  []int{10_000, 1_000_000, 20_000_000},
		Cleanup: 2_000_000, CleanupReminders: 3000,
	}
}

// DefaultConfig measures everything once, quickly.
func DefaultConfig() Config { return Config{Runs: 1, Size: QuickSize()} }

// Validate reports every fault of c at once, each by the name of its flag.
func (c Config) Validate() error {
	var faults []error
	if c.Runs < 1 || c.Runs > 100 {
		faults = append(faults, fmt.Errorf("--runs %d: must be between 1 and 100", c.Runs))
	}
	for _, name := range c.Only {
		if !slices.Contains(ScenarioNames(), name) {
			faults = append(faults, fmt.Errorf("--only %s: there is none of that name; there are %s", name, strings.Join(ScenarioNames(), ", ")))
		}
	}
	return errors.Join(faults...)
}
