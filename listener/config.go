package listener

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// maxChannelBytes is Postgres's limit for identifiers; a longer channel name is
// refused by NOTIFY.
const maxChannelBytes = 63

// Config holds the listener's settings. Start from [DefaultConfig].
type Config struct {
	// Channel is the name the triggers NOTIFY, 1 to 63 bytes.
	Channel string

	// ConnectTimeout bounds connecting, and LISTEN with the settings before it,
	// each by itself. 100ms or more.
	ConnectTimeout time.Duration
	// ProofInterval is the time from one proof of the path to the next. More
	// often costs one tiny transaction each, and is noticed sooner when the path
	// dies silently. 10ms or more.
	ProofInterval time.Duration
	// ProofTimeout is how long a proof may take to come back before the path
	// counts as dead. 10ms or more.
	ProofTimeout time.Duration

	// BackoffMin is the pause after the first failed connection; it doubles with
	// each further one. 1ms or more.
	BackoffMin time.Duration
	// BackoffMax is the longest pause. At least BackoffMin.
	BackoffMax time.Duration
	// HealthyAfter is how long a connection must have listened for its loss to
	// begin again at BackoffMin. Not negative.
	HealthyAfter time.Duration
	// Jitter turns the computed pause into the one that is waited, so that many
	// workers do not return in step. Tests replace it.
	Jitter func(time.Duration) time.Duration

	// Fold is how long the first of several changes waits for the others. It is
	// added to every pickup and saves a probe for each change folded. 0 to 1s.
	Fold time.Duration
	// SweepInterval is the time between two sweeps while listening, 10ms or more.
	SweepInterval time.Duration
	// SweepDegraded is the same while not listening: then the sweep is all there
	// is. 10ms or more, at most SweepInterval.
	SweepDegraded time.Duration
}

// DefaultConfig returns settings that suit production: a silent dead path is known
// in 15 s at most, and a change waits for nothing: what comes while the handler works is folded.
func DefaultConfig() Config {
	return Config{
		Channel:        "reminder_worker",
		ConnectTimeout: 10 * time.Second,
		ProofInterval:  10 * time.Second,
		ProofTimeout:   5 * time.Second,
		BackoffMin:     100 * time.Millisecond,
		BackoffMax:     15 * time.Second,
		HealthyAfter:   10 * time.Second,
		Jitter:         EqualJitter,
		SweepInterval:  30 * time.Second,
		SweepDegraded:  time.Second,
	}
}

// EqualJitter returns a random duration between half of d and d.
func EqualJitter(d time.Duration) time.Duration {
	half := d / 2
	return half + rand.N(d-half+1)
}

// Validate reports everything that is wrong with the settings at once.
func (c Config) Validate() error {
	return errors.Join(
		c.checkChannel(),
		atLeast("connect timeout", c.ConnectTimeout, 100*time.Millisecond),
		atLeast("proof interval", c.ProofInterval, 10*time.Millisecond),
		atLeast("proof timeout", c.ProofTimeout, 10*time.Millisecond),
		atLeast("backoff minimum", c.BackoffMin, time.Millisecond),
		atLeast("backoff maximum", c.BackoffMax, c.BackoffMin),
		atLeast("healthy period", c.HealthyAfter, 0),
		atLeast("fold", c.Fold, 0),
		atMost("fold", c.Fold, time.Second),
		atLeast("degraded sweep interval", c.SweepDegraded, 10*time.Millisecond),
		atLeast("sweep interval", c.SweepInterval, c.SweepDegraded),
		c.checkJitter(),
	)
}

func (c Config) checkChannel() error {
	if n := len(c.Channel); n == 0 || n > maxChannelBytes {
		return fmt.Errorf("channel has %d bytes, must have 1 to %d", n, maxChannelBytes)
	}
	return nil
}

func (c Config) checkJitter() error {
	if c.Jitter == nil {
		return errors.New("jitter is nil, must be a function")
	}
	return nil
}

func atLeast(what string, got, least time.Duration) error {
	if got < least {
		return fmt.Errorf("%s is %v, must be %v or more", what, got, least)
	}
	return nil
}

func atMost(what string, got, most time.Duration) error {
	if got > most {
		return fmt.Errorf("%s is %v, must be %v or less", what, got, most)
	}
	return nil
}
