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

// maxStormCommits bounds what is remembered to recognise a storm.
const maxStormCommits = 10_000

// Config holds the listener's settings. Start from [DefaultConfig].
type Config struct {
	// ProofInterval is the time from one proof of the path to the next. More
	// often costs one tiny transaction each, and is noticed sooner when the path
	// dies silently. 10ms or more.
	ProofInterval time.Duration
	// ProofTimeout is how long a proof may take to come back before the path
	// counts as dead. 10ms or more.
	ProofTimeout time.Duration

	// StormCommits within StormWithin make a storm: then the bell is silenced and
	// the tables are looked at every LookInterval. 0 of them: there is never one.
	StormCommits int
	StormWithin  time.Duration
	// Silence is for how long. The bell is closed within half of it after others
	// have been told, or not at all; so all who were told, or came later, still look.
	// At least 2*LookInterval, at most 10s.
	Silence time.Duration
	// LookInterval is the time from one look to the next while the bell is silent.
	// 1ms or more.
	LookInterval time.Duration
	// LookSlowest is the same for transactions that found the bell closed and take
	// their time to end. At least LookInterval.
	LookSlowest time.Duration
	// TellInterval is the shortest time between two words to the other workers.
	// Not negative.
	TellInterval time.Duration

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
// in 9 s at most, and a change waits for nothing: what comes while the handler works is folded.
// Ten commits within 100 ms are a storm, because with as many announcements looking
// every 5 to 10 ms is the cheaper way, for writers and for the worker.
func DefaultConfig() Config {
	return Config{
		ProofInterval: 5 * time.Second,
		ProofTimeout:  4 * time.Second,
		StormCommits:  10,
		StormWithin:   100 * time.Millisecond,
		Silence:       2 * time.Second,
		LookInterval:  5 * time.Millisecond,
		LookSlowest:   100 * time.Millisecond,
		TellInterval:  100 * time.Millisecond,
		BackoffMin:    100 * time.Millisecond,
		BackoffMax:    15 * time.Second,
		HealthyAfter:  10 * time.Second,
		Jitter:        EqualJitter,
		SweepInterval: 30 * time.Second,
		SweepDegraded: time.Second,
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
		atLeast("proof interval", c.ProofInterval, 10*time.Millisecond),
		atLeast("proof timeout", c.ProofTimeout, 10*time.Millisecond),
		c.checkStorm(),
		atLeast("look interval", c.LookInterval, time.Millisecond),
		atLeast("slowest look", c.LookSlowest, c.LookInterval),
		atLeast("silence", c.Silence, 2*c.LookInterval),
		atMost("silence", c.Silence, 10*time.Second),
		atLeast("tell interval", c.TellInterval, 0),
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

func (c Config) checkStorm() error {
	if c.StormCommits < 0 || c.StormCommits > maxStormCommits {
		return fmt.Errorf("storm commits is %d, must be 0 to %d", c.StormCommits, maxStormCommits)
	}
	return atLeast("storm period", c.StormWithin, 0)
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
