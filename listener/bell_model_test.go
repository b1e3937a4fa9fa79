package listener

import (
	"math/bits"
	"testing"
)

// The doorbell as a machine of small steps, for the explorer to try in every order:
// each step is what one statement or one message does at once. Time is nothing but
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

// What a session is sent.
const (
	noMessage = iota
	aCommit
	ownProof
	ownHush
	othersHush
)

// rules are the protocol, and what may be wrong with it.
type rules struct {
	writers, workers int
	storms, crashes  uint8 // how many at most
	strangers        uint8 // how often somebody else closes the bell
	each             bool  // every worker must see every row, not only one of them

	noWriters     bool // looks once after opening, and asks for no writers
	writersFirst  bool // asks for the writers, then opens
	noLastLook    bool // looks while there are writers, not after the last
	noHush        bool // closes without a word
	hushAfter     bool // closes first, then says so
	closeAtOnce   bool // closes without waiting for the hush to come back
	closeWhenever bool // closes however long ago the hush was sent
	noReopen      bool // does not open at the end of a silence
	deafToOthers  bool // does not look when another one hushes
	trustAtOnce   bool // does not begin with a silence: believes the bell that it has opened
}

// worker is one process, and its session.
type worker struct {
	at      uint8 // what its keeper is about to do
	queue   uint32
	list    uint8 // the writers that may not have rung
	after   uint8 // the windows that its silence outlasts
	begun   bool
	silent  bool
	winding bool // looks after the writers of the list
	hushing bool // awaits its own hush
	proved  bool // in its inbox, as the next two
	hushed  bool
	other   bool
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

// send appends a message to a session's queue.
func (w *worker) send(m uint32) {
	if w.at != isDown {
		w.queue |= m << ((bits.Len32(w.queue) + 3) / 4 * 4)
	}
}

// receive is what the goroutine that reads does with the next message.
func (w *worker) receive() bool {
	m := w.queue & 0xf
	w.queue >>= 4
	switch m {
	case noMessage:
		return false
	case aCommit:
		w.pending = true
	case ownProof:
		w.proved = true
	case ownHush:
		w.hushed = true
	case othersHush:
		w.other = true
	}
	return true
}

func (s *world) fallSilent(i int) {
	w := &s.workers[i]
	w.silent, w.winding, w.list = true, false, 0
	w.after = s.window
}

// readInbox is keeper.read.
func (s *world) readInbox(r *rules, i int) bool {
	w := &s.workers[i]
	if w.at != waits || !w.proved && !w.hushed && !w.other {
		return false
	}
	if w.hushed {
		w.hushing = false
		if !r.closeAtOnce && !r.hushAfter {
			s.fallSilent(i)
			w.at = closes
		}
	}
	if w.other && !r.deafToOthers {
		s.fallSilent(i)
	}
	if w.proved && !w.begun {
		w.begun, w.pending = true, true
		if !r.trustAtOnce {
			s.fallSilent(i)
			if w.hushed {
				w.at = closes
			}
		}
	}
	w.proved, w.hushed, w.other = false, false, false
	return true
}

// openBell is the first half of keeper.open, with what the server does.
func (s *world) openBell(r *rules, i int) {
	w := &s.workers[i]
	wasClosed := !s.open
	s.open = true
	if !w.begun && !w.proved && w.at == opens {
		w.send(ownProof)
	}
	wasSilent := w.silent
	w.silent = false
	if w.begun && !wasSilent && wasClosed {
		w.pending = true
	}
	w.at = waits
	if !w.begun || wasSilent || wasClosed {
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
	if w.begun && !(last && r.noLastLook) {
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
	s.window |= 1 << i
	switch {
	case r.noHush, r.hushAfter:
		s.fallSilent(i)
		w.at = closes
	case r.closeAtOnce:
		s.say(i)
		s.fallSilent(i)
		w.at = closes
	default:
		s.say(i)
	}
	return true
}

// say sends the hush of one worker to all.
func (s *world) say(i int) {
	for j := range s.workers {
		if j == i {
			s.workers[j].send(ownHush)
			s.workers[j].hushing = true
		} else {
			s.workers[j].send(othersHush)
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

func TestTheBellMissesNoRowWhateverTheOrder(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]rules{
		"two workers, a crash":         each,
		"two writers, a crash":         {writers: 2, workers: 1, storms: 2, crashes: 1, each: true},
		"somebody else closes it":      {writers: 2, workers: 1, storms: 1, strangers: 1, each: true},
		"without waiting for the hush": {writers: 1, workers: 2, storms: 1, each: true, closeAtOnce: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := explore(r)
			if f.miss != nil {
				t.Errorf("a row is missed, unless by the sweep:%s", show(f.miss))
			}
			if f.deaf > 0 && r.strangers == 0 {
				t.Errorf("a worker is deaf until it renews the bell:%s", show(f.toDeaf))
			}
			t.Logf("%d states, %d of them deaf", f.states, f.deaf)
		})
	}
}

func TestTheBellNeedsEveryPartOfItsProtocol(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rules){
		"no writers asked for":        func(r *rules) { r.noWriters = true },
		"writers asked for too early": func(r *rules) { r.writersFirst = true },
		"no last look":                func(r *rules) { r.noLastLook = true },
		"closed without a hush":       func(r *rules) { r.noHush = true },
		"closed before the hush":      func(r *rules) { r.hushAfter, r.crashes = true, 1 },
		"closed long after the hush":  func(r *rules) { r.closeWhenever = true },
		"hushes of others ignored":    func(r *rules) { r.deafToOthers = true },
		"never opened again":          func(r *rules) { r.noReopen = true },
		"trusted at once":             func(r *rules) { r.trustAtOnce, r.each, r.crashes = true, false, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			r := each
			r.crashes = 0
			change(&r)
			switch f := explore(r); {
			case f.miss != nil:
				t.Logf("a row is missed:%s", show(f.miss))
			case f.toDeaf != nil:
				t.Logf("a worker is deaf until it renews the bell:%s", show(f.toDeaf))
			default:
				t.Errorf("the fault does no harm in %d states", f.states)
			}
		})
	}
}
