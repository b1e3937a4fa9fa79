package page

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// firstDelay is how long an address is not heard after a first wrong password. It doubles with each further one.
	firstDelay = 100 * time.Millisecond
	lastDelay  = 10 * time.Second
	// forgiven is after how long a wrong password is forgotten.
	forgiven = 10 * time.Minute
	// maxSuspects bounds how many addresses are remembered; those beyond are taken for one.
	maxSuspects = 1024
	// tellEvery is the least time between two lines in the log.
	tellEvery = 10 * time.Second
)

// trials remember who has given wrong passwords, so that nobody can try many. The zero value is ready.
type trials struct {
	mu       sync.Mutex // guards the fields below
	suspects map[netip.Prefix]suspect
	untold   int
	toldAt   time.Time
}

// suspect is where wrong passwords have come from.
type suspect struct {
	wrong int
	until time.Time // not heard before
}

// wait is for how long an address is not heard.
func (t *trials) wait(from netip.Prefix, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.suspects[t.key(from)].until.Sub(now)
}

// wrong notes a wrong password, and returns how many there were that nobody was told of; 0: it is too soon to tell.
func (t *trials) wrong(from netip.Prefix, now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.suspects == nil {
		t.suspects = map[netip.Prefix]suspect{}
	}
	if len(t.suspects) >= maxSuspects {
		for at, s := range t.suspects {
			if now.Sub(s.until) > forgiven {
				delete(t.suspects, at)
			}
		}
	}
	key := t.key(from)
	s := t.suspects[key]
	if now.Sub(s.until) > forgiven {
		s = suspect{}
	}
	s.wrong++
	s.until = now.Add(min(firstDelay<<min(s.wrong-1, 16), lastDelay))
	t.suspects[key] = s
	t.untold++
	if now.Sub(t.toldAt) < tellEvery {
		return 0
	}
	n := t.untold
	t.untold, t.toldAt = 0, now
	return n
}

// right forgets what an address has done.
func (t *trials) right(from netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.suspects, from)
}

// key is under what an address is remembered. One that is new when there is no room is one of all those.
func (t *trials) key(from netip.Prefix) netip.Prefix {
	if _, known := t.suspects[from]; !known && len(t.suspects) >= maxSuspects {
		return netip.Prefix{}
	}
	return from
}
