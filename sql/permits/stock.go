package permits

import "time"

// grant is so many permits that may be used in a span of time.
type grant struct {
	n           int
	from, until time.Time // by this machine's clock; from may be past, or zero
	parts       []part    // what it was put together from, at least one
}

// part is what a grant has of one that the database made.
type part struct {
	n     int
	until time.Time // by this machine's clock
	ends  time.Time // until when it counts, by the database's
}

// good reports whether at least left remains, by the clock that is set as well: the other stands still while the machine sleeps.
func (g grant) good(now time.Time, left time.Duration) bool {
	now = now.Add(left)
	return !now.After(g.until) && !now.Round(0).After(g.until.Round(0))
}

// part moves the first n permits' parts of g to others.
func (g *grant) part(to []part, n int) []part {
	for n > 0 {
		first := &g.parts[0]
		some := min(n, first.n)
		to = append(to, part{n: some, until: first.until, ends: first.ends})
		n, first.n = n-some, first.n-some
		if first.n == 0 {
			g.parts = g.parts[1:]
		}
	}
	return to
}

// stock is what was granted and is not used: taken ahead of need, or left by who could not wait.
type stock struct {
	grants []grant // the oldest first
	sum    int
}

func (s *stock) add(g grant) {
	s.grants = append(s.grants, g)
	s.sum += g.n
}

// take takes n out, the oldest first, as one grant: good when all of them are. If there are fewer it takes none.
func (s *stock) take(n int) (g grant, enough bool) {
	if s.sum < n {
		return g, false
	}
	s.sum -= n
	g.n = n
	for n > 0 {
		first := &s.grants[0]
		some := min(n, first.n)
		if first.from.After(g.from) {
			g.from = first.from
		}
		if g.until.IsZero() || first.until.Before(g.until) {
			g.until = first.until
		}
		g.parts = first.part(g.parts, some)
		n, first.n = n-some, first.n-some
		if first.n == 0 {
			s.grants = s.grants[1:]
		}
	}
	return g, true
}

// forget drops what has less than left to go, and returns how many permits that were.
func (s *stock) forget(now time.Time, left time.Duration) (dropped int) {
	kept := s.grants[:0]
	for _, g := range s.grants {
		if g.good(now, left) {
			kept = append(kept, g)
		} else {
			dropped += g.n
		}
	}
	s.grants = kept
	s.sum -= dropped
	return dropped
}
