package reconcile

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parentpal/reminder-worker/sync/seal"
)

// Config holds the settings of a Reconciler. Start from DefaultConfig.
type Config struct {
	// Offsets are how long before an event's start its reminders are due, where neither the event nor its user says otherwise. Each 0 to 60
	// days, no two equal, at most 16.
	Offsets []time.Duration
	// Zone is the time zone of users who have not set one: copies are shown in it, and days and quiet hours are counted in it.
	Zone *time.Location

	// Batch is how many events are claimed, planned and recorded by one statement. 1 to 5000.
	Batch int
	// InFlight bounds the events held in memory at any time. At least Batch.
	InFlight int
	// Concurrency is how many users' calendars are written at the same moment. 1 or more.
	Concurrency int

	// Lease is how long a claim holds without being extended: the time until another worker takes over from one that died. It is
	// extended while work is in flight. 1s or more.
	Lease time.Duration
	// CallTimeout bounds one write of a copy, which may be several requests. 1s or more.
	CallTimeout time.Duration

	// RetryBase is the pause after the first failed attempt; it doubles with each further one. More than 0.
	RetryBase time.Duration
	// RetryMax is the longest pause between attempts. At least RetryBase.
	RetryMax time.Duration
	// MaxAttempts is after how many attempts an event is 'failed'. 1 or more.
	MaxAttempts int
	// ProjectPause is how long every calendar is left alone after a fault of our own registration with Google. More than 0.
	ProjectPause time.Duration

	// Domains are those whose users the service account acts for that have no consent of their own, in lower case. None: it acts for nobody.
	Domains []string

	// Keys open the refresh tokens that are stored sealed. Nil: none is.
	Keys *seal.Keys

	// SweepInterval is the longest time between two looks at the queue. More than 0.
	SweepInterval time.Duration
	// Jitter turns a computed pause into the one that is taken, so that what failed together does not return together.
	// Tests replace it.
	Jitter func(time.Duration) time.Duration
}

// DefaultConfig returns settings that suit production.
func DefaultConfig() Config {
	return Config{
		Offsets:       []time.Duration{24 * time.Hour, 3 * time.Hour, 30 * time.Minute},
		Zone:          time.UTC,
		Batch:         256,
		InFlight:      1024,
		Concurrency:   32,
		Lease:         15 * time.Second,
		CallTimeout:   30 * time.Second,
		RetryBase:     2 * time.Second,
		RetryMax:      15 * time.Minute,
		MaxAttempts:   100,
		ProjectPause:  time.Minute,
		SweepInterval: 30 * time.Second,
		Jitter:        equalJitter,
	}
}

// maxOffset is the longest time before an event that a reminder may be due.
const maxOffset = 60 * 24 * time.Hour

// Validate reports everything that is wrong with the settings at once.
func (c Config) Validate() error {
	var faults []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	need(len(c.Offsets) <= 16, "offsets: %d given, at most 16", len(c.Offsets))
	seen := map[time.Duration]bool{}
	for _, o := range c.Offsets {
		need(o >= 0 && o <= maxOffset, "offset %s: must be between 0 and %s", o, maxOffset)
		need(!seen[o], "offset %s: given twice", o)
		seen[o] = true
	}
	need(c.Zone != nil, "zone: missing")
	need(c.Batch >= 1 && c.Batch <= 5000, "batch %d: must be between 1 and 5000", c.Batch)
	need(c.InFlight >= c.Batch, "in flight %d: must be at least the batch, %d", c.InFlight, c.Batch)
	need(c.Concurrency >= 1, "concurrency %d: must be at least 1", c.Concurrency)
	need(c.Lease >= time.Second, "lease %s: must be at least 1s", c.Lease)
	need(c.CallTimeout >= time.Second, "call timeout %s: must be at least 1s", c.CallTimeout)
	need(c.RetryBase > 0, "retry base %s: must be more than 0", c.RetryBase)
	need(c.RetryMax >= c.RetryBase, "retry max %s: must be at least the retry base, %s", c.RetryMax, c.RetryBase)
	need(c.MaxAttempts >= 1, "max attempts %d: must be at least 1", c.MaxAttempts)
	need(c.ProjectPause > 0, "project pause %s: must be more than 0", c.ProjectPause)
	for _, d := range c.Domains {
		need(d != "" && d == strings.ToLower(d) && !strings.ContainsAny(d, "@ "), "domain %q: must be a domain in lower case", d)
	}
	need(c.SweepInterval > 0, "sweep interval %s: must be more than 0", c.SweepInterval)
	need(c.Jitter != nil, "jitter: missing")
	return errors.Join(faults...)
}
