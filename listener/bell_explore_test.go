package listener

import (
	"slices"
	"strconv"
	"strings"
)

// step is one thing that can happen, to one writer, worker or window.
type step struct {
	what  uint8
	whose uint8
}

// What can happen. What comes before storms is bound to happen some day.
const (
	writes = iota
	reads
	opensBell
	asks
	closesBell
	renews
	endsSilence
	looks
	scans
	windowEnds
	storms
	crashes
	starts
	lateClose
	stranger
	steps
)

var stepNames = [steps]string{
	"goes on", "reads its inbox", "opens the bell", "asks for writers", "closes the bell", "renews the bell",
	"ends its silence and opens the bell", "looks", "scans", "may close no more", "hears a storm", "crashes",
	"listens", "closed the bell before it crashed", "closes the bell",
}

func (st step) String() string {
	switch who := string(rune('A' + st.whose)); st.what {
	case writes:
		return "writer " + strconv.Itoa(int(st.whose)+1) + " " + stepNames[st.what]
	case stranger:
		return "somebody else " + stepNames[st.what]
	default:
		if st.what == windowEnds && st.whose >= modelWorkers {
			who = string(rune('A'+st.whose-modelWorkers)) + " of old"
		}
		return who + " " + stepNames[st.what]
	}
}

// do takes one step, and reports whether it could be taken.
func (s *world) do(r *rules, st step) bool {
	i := int(st.whose)
	switch st.what {
	case writes:
		return i < r.writers && s.write(r, i)
	case windowEnds:
		return s.endWindow(i)
	case stranger:
		return i == 0 && s.meddle()
	}
	return i < r.workers && s.act(r, st.what, i)
}

// act is a step of a worker.
func (s *world) act(r *rules, what uint8, i int) bool {
	w := &s.workers[i]
	switch what {
	case starts:
		return s.start(i)
	case lateClose:
		return s.closeLate(r, i)
	}
	if w.at == isDown {
		return false
	}
	switch what {
	case reads:
		return s.readInbox(r, i)
	case looks:
		return s.look(r, i)
	case scans:
		return s.scan(r, i)
	case storms:
		return s.hush(r, i)
	case crashes:
		return s.crash(i)
	default:
		return s.turn(r, what, i)
	}
}

// turn is a step that talks to the bell.
func (s *world) turn(r *rules, what uint8, i int) bool {
	w := &s.workers[i]
	switch {
	case what == opensBell && w.at == opens && (!r.writersFirst || w.winding):
		s.openBell(r, i)
		if r.writersFirst {
			w.at = waits
		}
	case what == asks && w.at == asksForWriters:
		s.askForWriters(r, i)
	case what == asks && r.writersFirst && w.at == opens && !w.winding:
		s.askForWriters(r, i)
		w.at = opens
	case what == closesBell && w.at == closes:
		w.at = waits
		s.shut(r, i)
		if r.hushAfter {
			s.say(i)
		}
	case what == renews && w.at == waits && w.begun && !w.silent:
		s.reopen(r, i)
	case what == endsSilence && w.at == waits && w.silent && w.after == 0:
		s.endSilence(r, i)
	default:
		return false
	}
	return true
}

func (s *world) endSilence(r *rules, i int) {
	if r.noReopen {
		s.workers[i].silent = false
		s.askForWriters(r, i)
		return
	}
	s.reopen(r, i)
}

// reopen opens, if the protocol asks for nothing else first.
func (s *world) reopen(r *rules, i int) {
	if r.writersFirst && s.workers[i].silent {
		s.askForWriters(r, i)
		s.workers[i].at = opens
		s.workers[i].silent = false
		return
	}
	s.openBell(r, i)
}

// write is the next step of a transaction.
func (s *world) write(r *rules, i int) bool {
	switch at := &s.writers[i]; *at {
	case outside, visible:
		*at++
	case locked:
		*at = willNot
		if s.open {
			*at = willRing
		}
	case willRing:
		*at = visible
		if r.early {
			*at = announced
		}
		s.announce(r)
	case willNot, announced:
		*at = visible
	default:
		return false
	}
	return true
}

func (s *world) announce(r *rules) {
	for j := range s.workers {
		if w := &s.workers[j]; w.at != isDown {
			w.pending, w.early = true, r.early
		}
	}
}

func (s *world) scan(r *rules, i int) bool {
	if !s.workers[i].pending {
		return false
	}
	s.workers[i].pending = false
	if !r.each {
		i = 0
	}
	s.seen[i] |= s.rows()
	return true
}

func (s *world) start(i int) bool {
	if s.workers[i].at != isDown {
		return false
	}
	s.workers[i] = worker{at: opens}
	return true
}

func (s *world) crash(i int) bool {
	if s.crashes == 0 {
		return false
	}
	s.crashes--
	if s.workers[i].at == closes {
		s.stale |= 1 << i
		s.window = s.window&^(1<<(i+modelWorkers)) | s.window>>i&1<<(i+modelWorkers)
		for j := range s.workers {
			s.workers[j].after |= s.workers[j].after >> i & 1 << (i + modelWorkers)
		}
	}
	s.forgetWindow(i)
	s.workers[i] = worker{}
	return true
}

func (s *world) closeLate(r *rules, i int) bool {
	if s.stale&(1<<i) == 0 {
		return false
	}
	s.stale &^= 1 << i
	s.shut(r, i+modelWorkers)
	return true
}

func (s *world) endWindow(i int) bool {
	if i >= modelWindows || s.window&(1<<i) == 0 {
		return false
	}
	s.forgetWindow(i)
	return true
}

func (s *world) forgetWindow(i int) {
	s.window &^= 1 << i
	for j := range s.workers {
		s.workers[j].after &^= 1 << i
	}
}

func (s *world) meddle() bool {
	if s.strange == 0 || !s.open {
		return false
	}
	s.strange--
	s.open = false
	return true
}

// missed reports whether a committed row was seen by nobody who should have,
// and nothing is left to happen that would change it.
func (s *world) missed(r *rules) bool {
	rows := s.rows()
	for i := range r.workers {
		if s.workers[i].at == isDown {
			continue
		}
		if r.each && s.seen[i]&rows != rows || !r.each && s.seen[0]&rows != rows {
			return true
		}
	}
	return false
}

// deaf reports whether a worker believes that it hears, while the bell is closed and
// it does not look, nor is about to; nor any other, if one is enough.
func (s *world) deaf(r *rules) bool {
	some, all := false, true
	for i := range r.workers {
		w := &s.workers[i]
		if w.at == isDown || !w.begun {
			continue
		}
		believes := !w.silent && !w.winding && w.at == waits && !w.hushed && !w.other && !w.early
		some, all = some || believes, all && believes
	}
	return !s.open && some && (all || r.each)
}

// finding is what an exploration has come to.
type finding struct {
	states int
	deaf   int    // in how many of them a worker is deaf
	miss   []step // the shortest way to a row that is missed
	toDeaf []step // the shortest way to a worker that is deaf
}

type origin struct {
	from int32
	by   step
}

// explore goes all ways from the beginning, the short ones first, until a row is
// missed, or a worker is deaf that no stranger made so, or there are no more.
func explore(r rules) finding {
	e := explorer{rules: r, known: map[world]struct{}{}}
	e.add(world{storms: r.storms, crashes: r.crashes, strange: r.strangers}, origin{from: -1})
	for at := 0; at < len(e.states) && e.miss == nil && (e.toDeaf == nil || r.strangers > 0); at++ {
		quiet := e.expand(at)
		if e.states[at].deaf(&r) {
			if e.deaf++; e.toDeaf == nil {
				e.toDeaf = e.wayTo(at)
			}
		}
		if quiet && e.states[at].missed(&r) {
			e.miss = e.wayTo(at)
		}
	}
	e.finding.states = len(e.states)
	return e.finding
}

type explorer struct {
	finding
	rules   rules
	states  []world
	origins []origin
	known   map[world]struct{}
}

func (e *explorer) add(s world, from origin) {
	if _, old := e.known[s]; !old {
		e.known[s] = struct{}{}
		e.states, e.origins = append(e.states, s), append(e.origins, from)
	}
}

// expand takes every step from one state, and reports whether none is bound to
// happen that leads elsewhere.
func (e *explorer) expand(at int) (quiet bool) {
	quiet = true
	for what := range uint8(steps) {
		for whose := range uint8(modelWindows) {
			st, next := step{what, whose}, e.states[at]
			if next.do(&e.rules, st) && next != e.states[at] {
				quiet = quiet && what >= storms
				e.add(next, origin{int32(at), st})
			}
		}
	}
	return quiet
}

func (e *explorer) wayTo(at int) (way []step) {
	for ; e.origins[at].from >= 0; at = int(e.origins[at].from) {
		way = append(way, e.origins[at].by)
	}
	slices.Reverse(way)
	return way
}

func show(way []step) string {
	var b strings.Builder
	for _, st := range way {
		b.WriteString("\n\t" + st.String())
	}
	return b.String()
}
