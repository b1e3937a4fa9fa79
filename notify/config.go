package notify

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/text"
)

// Config holds the settings of a Sender. Start from DefaultConfig.
type Config struct {
	// Zone is the time zone of users who have not set one.
	Zone *time.Location
	// Texts puts reminders into words.
	Texts *text.Catalog
	// Category is the name of the actions that a device offers with a push (see categoryId at Expo), and Channel the Android channel it comes
	// through. A device that does not know the category shows no actions; one that does not know the channel shows nothing. Empty: none.
	Category, Channel string
	// Project is our Expo project, as Expo names it (@owner/slug). Empty: the one that most of the devices belong to.
	Project string

	// Horizon is how far ahead the wheel is filled; it is refilled four times as often. 1m to 31 days.
	Horizon time.Duration
	// PageSize is how many reminders are read into the wheel by one statement. 1 or more.
	PageSize int
	// SweepGrace is how long a reminder may be overdue and unclaimed before a sweep takes it. More than 0.
	SweepGrace time.Duration

	// Batch is how many reminders one claim takes, at most what one request of Expo carries. 1 to expo.MaxMessages.
	Batch int
	// Connections is how many requests are on the wire at once. Expo advises at most 6. 1 or more.
	Connections int
	// Lease is how long a claim holds: the time until another worker sends what one that died had claimed. Half of it is for what precedes
	// a request, a third at least for the answer, a sixth for its record. 1s or more.
	Lease time.Duration

	// MaxAttempts is after how many attempts a reminder is 'failed'. 1 or more.
	MaxAttempts int
	// RetryBase is the pause after the first failed attempt; it grows with each further one (see Sender.backoff), up to RetryMax. More than 0.
	RetryBase time.Duration
	// RetryMax is the longest pause between two attempts. At least RetryBase.
	RetryMax time.Duration
	// PauseMin is how long the sender rests after a request failed as a whole; it doubles with each further one. More than 0.
	PauseMin time.Duration
	// PauseMax is the longest such rest. At least PauseMin.
	PauseMax time.Duration

	// ReceiptDelay is the time from a push to the question for its receipt. Expo advises 15 minutes. More than 0.
	ReceiptDelay time.Duration
	// ReceiptLimit is how long a receipt is asked for; Expo forgets it after 24 hours. At least ReceiptDelay.
	ReceiptLimit time.Duration

	// Jitter turns a computed pause into the one that is taken. Tests replace it.
	Jitter func(time.Duration) time.Duration
}

// DefaultConfig returns settings that suit production.
func DefaultConfig() Config {
	return Config{
		Zone:         time.UTC,
		Texts:        text.Default(),
		Category:     "reminder",
		Horizon:      time.Hour,
		PageSize:     10_000,
		SweepGrace:   2 * time.Second,
		Batch:        expo.MaxMessages,
		Connections:  6,
		Lease:        15 * time.Second,
		MaxAttempts:  5,
		RetryBase:    2 * time.Second,
		RetryMax:     30 * time.Minute,
		PauseMin:     time.Second,
		PauseMax:     time.Minute,
		ReceiptDelay: 15 * time.Minute,
		ReceiptLimit: 24 * time.Hour,
		Jitter:       equalJitter,
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
	need(c.Zone != nil, "zone: missing")
	need(c.Texts != nil, "texts: missing")
	need(c.Horizon >= time.Minute && c.Horizon <= 31*24*time.Hour, "horizon %s: must be between 1m and 31 days", c.Horizon)
	need(c.PageSize >= 1, "page size %d: must be at least 1", c.PageSize)
	need(c.SweepGrace > 0, "sweep grace %s: must be more than 0", c.SweepGrace)
	need(c.Batch >= 1 && c.Batch <= expo.MaxMessages, "batch %d: must be between 1 and %d", c.Batch, expo.MaxMessages)
	need(c.Connections >= 1, "connections %d: must be at least 1", c.Connections)
	need(c.Lease >= time.Second, "lease %s: must be at least 1s", c.Lease)
	need(c.MaxAttempts >= 1, "max attempts %d: must be at least 1", c.MaxAttempts)
	need(c.RetryBase > 0, "retry base %s: must be more than 0", c.RetryBase)
	need(c.RetryMax >= c.RetryBase, "retry max %s: must be at least the retry base, %s", c.RetryMax, c.RetryBase)
	need(c.PauseMin > 0, "pause min %s: must be more than 0", c.PauseMin)
	need(c.PauseMax >= c.PauseMin, "pause max %s: must be at least the pause min, %s", c.PauseMax, c.PauseMin)
	need(c.ReceiptDelay > 0, "receipt delay %s: must be more than 0", c.ReceiptDelay)
	need(c.ReceiptLimit >= c.ReceiptDelay, "receipt limit %s: must be at least the receipt delay, %s", c.ReceiptLimit, c.ReceiptDelay)
	need(c.Jitter != nil, "jitter: missing")
	return errors.Join(faults...)
}

// equalJitter returns between half of d and d.
func equalJitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// grow doubles base so many times, up to limit.
func grow(base, limit time.Duration, times int) time.Duration {
	d := base
	for i := 0; i < times && d < limit; i++ {
		d *= 2
	}
	return min(d, limit)
}
