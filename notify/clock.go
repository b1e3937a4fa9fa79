package notify

import (
	"sync"
	"time"
)

// clock knows the latest that the database's clock can be. However slow the network is at the moment, what was learned from a quick answer
// holds, so a claim is not taken for older than it is by the time its answer took.
type clock struct {
	mu     sync.Mutex
	at     time.Time // by this machine's clocks; zero: nothing is known
	latest time.Time // the latest the database's clock can have been then
}

// drift is by what part of the time two clocks may run apart, as 1/drift: those that are set right by running slower or faster do so by one
// part in two thousand each.
const drift = 1000

// learn takes in a moment of the database's clock, read between two of ours, and returns the latest that it can be at answered. What was known
// is given up when it turns out to be wrong: that clock was set, or another server has taken over.
func (c *clock) learn(moment, asked, answered time.Time) (latest time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	latest = moment.Add(elapsed(asked, answered))
	if !c.at.IsZero() {
		passed := elapsed(c.at, answered)
		if known := c.latest.Add(passed + passed/drift); known.Before(latest) && !known.Before(moment) {
			latest = known
		}
	}
	c.at, c.latest = answered, latest
	return latest
}

// elapsed is the longer of the times that this machine's two clocks show: one stands still while the machine sleeps, the other can be set.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// over reports whether t has come by either of them.
func over(t time.Time) bool {
	now := time.Now()
	return !now.Before(t) || !now.Round(0).Before(t.Round(0))
}
