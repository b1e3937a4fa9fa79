package listener

import "time"

// storm tells whether commits are announced more often than looking by ourselves
// would cost. Only one goroutine uses it.
type storm struct {
	within time.Duration
	last   []time.Time // of as many commits as make a storm, in a ring
	next   int
}

func newStorm(commits int, within time.Duration) *storm {
	return &storm{within: within, last: make([]time.Time, commits)}
}

// note counts one commit, and reports whether it makes a storm of the ones before.
func (s *storm) note(now time.Time) bool {
	if len(s.last) == 0 {
		return false
	}
	oldest := s.last[s.next]
	s.last[s.next] = now
	s.next = (s.next + 1) % len(s.last)
	return !oldest.IsZero() && now.Sub(oldest) < s.within
}

// reset forgets what was counted.
func (s *storm) reset() { clear(s.last) }
