package listener

import (
	"os"
	"slices"
	"testing"
)

// The doorbell as a machine of small steps, for the explorer to try in every order:
// each step is what one statement does at once. What a session is sent lies in its
// worker's inbox at once; when that is read, or the tables are, is open: this stands for
// the delay of the way, of the reader and of the keeper. Time is nothing but
// the order of steps, save where the protocol counts on it: a hush lets its sender
// close the bell for a while only, and a silence outlasts every such while that
// had begun before it.

const (
	modelWriters = 3
	modelWorkers = 2
	modelWindows = 2 * modelWorkers // of the present sessions, then of lost ones
)

// How far a writer's transaction is.
const (
	outside   = iota
	locked    // holds a lock on the table, and has its row
	willRing  // has found the bell open
	willNot   // has found it closed
	announced // heard by others, where that comes before it is seen
	visible   // committed, the lock not yet released
	forgotten // has released it
)

// What a worker's keeper is about to do.
const (
	isDown = iota
	opens
	asksForWriters
	closes
	waits
)

// rules are the protocol, and what may be wrong with it.
type rules struct {
	writers, workers int
	storms, crashes  uint8 // how many at most
	strangers        uint8 // how often somebody else closes the bell
	each             bool  // every worker must see every row, not only one of them
	early            bool  // a commit may be heard before it is seen, as from the log

	noWriters     bool // looks once after opening, and asks for no writers
	writersFirst  bool // asks for the writers, then opens
	noLastLook    bool // looks while there are writers, not after the last
	noHush        bool // closes without a word
	hushAfter     bool // closes first, then says so
	closeAtOnce   bool // closes without waiting for the hush to come back
	closeWhenever bool // closes however long ago the hush was sent
	closeLate     bool // may close for as long as a silence lasts
	noReopen      bool // does not open at the end of a silence
	deafToOthers  bool // does not look when another one hushes
	trustAtOnce   bool // does not begin with a silence: believes the bell that it has opened
	countOwn      bool // takes a bell that is open for one that has been open
	gapsReadOnce  bool // reads the backlog after a gap, and asks for no writers
	trustEarly    bool // takes every commit that it hears for visible
}

// worker is one process, and its session.
type worker struct {
	at      uint8 // what its keeper is about to do
	list    uint8 // the writers that may not have rung
	after   uint8 // the windows that its silence outlasts
	begun   bool
	silent  bool
	winding bool // looks after the writers of the list
	hushing bool // awaits its own hush
	proved  bool // in its inbox, as the next three
	hushed  bool
	other   bool
	early   bool
	missed  bool // the count of openings is another than it knows
	pending bool // a look is due
}

// world is one state of everything.
type world struct {
	open    bool
	window  uint8 // the hushes young enough to close on
	stale   uint8 // workers whose last Close may yet reach the server
	storms  uint8 // left to come, as the next two
	crashes uint8
	strange uint8
	writers [modelWriters]uint8
	seen    [modelWorkers]uint8
	workers [modelWorkers]worker
}

// holders are the writers that hold a lock.
func (s *world) holders() (set uint8) {
	for i, at := range s.writers {
		if at != outside && at != forgotten {
			set |= 1 << i
		}
	}
	return set
}

// rows are the writers whose rows everybody sees.
func (s *world) rows() (set uint8) {
	for i, at := range s.writers {
		if at >= visible {
			set |= 1 << i
		}
	}
	return set
}

func (s *world) fallSilent(r *rules, i int) {
	w := &s.workers[i]
	w.silent, w.winding, w.list = true, false, 0
	w.after = s.window
	if r.closeLate {
		w.after = 0
	}
}

// readInbox is keeper.read, storms apart.
func (s *world) readInbox(r *rules, i int) bool {
	w := &s.workers[i]
	if w.at != waits || !w.proved && !w.hushed && !w.other && !w.early {
		return false
	}
	if w.hushed {
		w.hushing = false
		if !r.closeAtOnce && !r.hushAfter {
			s.fallSilent(r, i)
			w.at = closes
		}
	}
	if w.other && !r.deafToOthers {
		s.fallSilent(r, i)
	}
	if w.proved && !w.begun {
		s.begin(r, i)
	}
	if w.early && !w.silent && !r.trustEarly {
		w.at = asksForWriters
	}
	w.proved, w.hushed, w.other, w.early = false, false, false, false
	return true
}

// begin is what follows the first proof.
func (s *world) begin(r *rules, i int) {
	s.workers[i].begun, s.workers[i].pending = true, true
	if !r.trustAtOnce {
		s.fallSilent(r, i)
	}
}

// openBell is the first half of keeper.open, with what the server does.
func (s *world) openBell(r *rules, i int) {
	w := &s.workers[i]
	if !s.open {
		for j := range s.workers {
			s.workers[j].missed = s.workers[j].at != isDown && (j == i || !r.countOwn)
		}
	}
	s.open = true
	if w.at == opens {
		w.proved = true
	}
	gap, wasSilent := w.begun && !w.silent && w.missed, w.silent
	w.silent, w.missed, w.at = false, false, waits
	if gap {
		w.pending = true
	}
	if !w.begun || wasSilent || gap && !r.gapsReadOnce {
		w.at = asksForWriters
	}
}

// askForWriters is its second half.
func (s *world) askForWriters(r *rules, i int) {
	w := &s.workers[i]
	w.at, w.winding = waits, true
	w.list = s.holders()
	if r.noWriters {
		w.list = 0
	}
}

// look is keeper.look.
func (s *world) look(r *rules, i int) bool {
	w := &s.workers[i]
	if w.at != waits || !w.silent && !w.winding {
		return false
	}
	last := false
	if !w.silent {
		w.list &= s.holders()
		last = w.list == 0 && w.begun
		w.winding = !last
	}
	if w.begun && (!last || !r.noLastLook) {
		w.pending = true
	}
	return true
}

// hush is keeper.sendHush, if there is a storm.
func (s *world) hush(r *rules, i int) bool {
	w := &s.workers[i]
	if s.storms == 0 || w.at != waits || !w.begun || w.hushing || w.silent {
		return false
	}
	s.storms--
	w.early = false // keeper.read returns
	s.window |= 1 << i
	switch {
	case r.noHush, r.hushAfter:
		s.fallSilent(r, i)
		w.at = closes
	case r.closeAtOnce:
		s.say(i)
		s.fallSilent(r, i)
		w.at = closes
	default:
		s.say(i)
	}
	return true
}

// say sends the hush of one worker to all.
func (s *world) say(i int) {
	for j := range s.workers {
		switch w := &s.workers[j]; {
		case w.at == isDown:
		case j == i:
			w.hushed, w.hushing = true, true
		default:
			w.other = true
		}
	}
}

// shut is what the server does when it is asked to close.
func (s *world) shut(r *rules, window int) {
	if s.window&(1<<window) != 0 || r.closeWhenever {
		s.open = false
	}
}

// each is the smallest world in which workers can fail each other.
var each = rules{writers: 1, workers: 2, storms: 1, crashes: 1, each: true}

// without returns the same world with fewer crashes.
func (r rules) without() rules { r.crashes = 0; return r }

// scenario is a world by its name.
type scenario struct {
	name string
	rules
}

// worlds are small enough for every day.
var worlds = []scenario{
	{"two workers, a crash", each},
	{"two writers, a crash", rules{writers: 2, workers: 1, storms: 2, crashes: 1, each: true}},
	{"somebody else closes it", rules{writers: 2, workers: 1, storms: 1, strangers: 1, each: true}},
	{"somebody else closes it behind two", rules{writers: 1, workers: 2, strangers: 1, each: true}},
	{"commits are heard early", rules{writers: 2, workers: 1, storms: 1, each: true, early: true}},
}

// large worlds are gone through when REMINDER_WORKER_TEST_FULL is set: millions of states, and gigabytes of memory.
var large = []scenario{
	{"two workers, two writers, a crash", rules{writers: 2, workers: 2, storms: 1, crashes: 1, each: true}},
	{"two workers, two storms, a crash", rules{writers: 1, workers: 2, storms: 2, crashes: 1, each: true}},
	{"two workers, two crashes", rules{writers: 1, workers: 2, storms: 1, crashes: 2, each: true}},
	{"two workers, a storm, somebody else closes it", rules{writers: 1, workers: 2, storms: 1, strangers: 1, each: true}},
	{"two workers hear early", rules{writers: 2, workers: 2, storms: 1, each: true, early: true}},
	{"three writers, a crash", rules{writers: 3, workers: 1, storms: 2, crashes: 1, each: true}},
}

func TestTheBellMissesNoRowWhateverTheOrder(t *testing.T) {
	t.Parallel()
	all := worlds
	if os.Getenv("REMINDER_WORKER_TEST_FULL") != "" {
		all = slices.Concat(worlds, large)
	}
	for _, w := range all {

		t.Run(w.name, func(t *testing.T) {
			f := explore(w.rules)
			if f.miss != nil {
				t.Errorf("%s: a row is missed, unless by the sweep:%s", w.name, show(f.miss))
			}
			if f.deaf > 0 && w.strangers == 0 {
				t.Errorf("%s: a worker is deaf until it renews the bell:%s", w.name, show(f.toDeaf))
			}
			t.Logf("%s: %d states, %d of them deaf", w.name, f.states, f.deaf)
		})
	}
}

// What keeps workers from each other's silence is time alone: the bell is closed
// within half a silence of the hush. That the hush comes back first proves the path
// once more, but no row hangs on it.
func TestTheBellNeedNotWaitForTheHush(t *testing.T) {
	t.Parallel()
	r := each.without()
	r.closeAtOnce = true
	if f := explore(r); f.miss != nil || f.deaf > 0 {
		t.Errorf("a row is missed:%s\na worker is deaf:%s", show(f.miss), show(f.toDeaf))
	}
}

func TestTheBellNeedsEveryPartOfItsProtocol(t *testing.T) {
	t.Parallel()
	stranger := rules{writers: 1, workers: 2, strangers: 1, each: true}
	for _, w := range []struct {
		scenario
		wrong func(*rules)
	}{
		{scenario{"no writers asked for", each.without()}, func(r *rules) { r.noWriters = true }},
		{scenario{"writers asked for too early", each.without()}, func(r *rules) { r.writersFirst = true }},
		{scenario{"no last look", each.without()}, func(r *rules) { r.noLastLook = true }},
		{scenario{"closed without a hush", each.without()}, func(r *rules) { r.noHush = true }},
		{scenario{"closed before the hush", each}, func(r *rules) { r.hushAfter = true }},
		{scenario{"closed long after the hush", each.without()}, func(r *rules) { r.closeWhenever = true }},
		{scenario{"closed at the end of the silence", each.without()}, func(r *rules) { r.closeLate = true }},
		{scenario{"hushes of others ignored", each.without()}, func(r *rules) { r.deafToOthers = true }},
		{scenario{"never opened again", each.without()}, func(r *rules) { r.noReopen = true }},
		{scenario{"trusted at once", each.without()}, func(r *rules) { r.trustAtOnce = true }},
		{scenario{"openings of others not counted", stranger}, func(r *rules) { r.countOwn = true }},
		{scenario{"gaps read once", stranger}, func(r *rules) { r.gapsReadOnce = true }},
		{scenario{"trusted early", rules{writers: 1, workers: 1, early: true, each: true}}, func(r *rules) { r.trustEarly = true }},
	} {
		t.Run(w.name, func(t *testing.T) {
			w.wrong(&w.rules)
			switch f := explore(w.rules); {
			case f.miss != nil:
				t.Logf("%s: a row is missed:%s", w.name, show(f.miss))
			case f.toDeaf != nil:
				t.Logf("%s: a worker is deaf until it renews the bell:%s", w.name, show(f.toDeaf))
			default:
				t.Errorf("%s: the fault does no harm in %d states", w.name, f.states)
			}
		})
	}
}
