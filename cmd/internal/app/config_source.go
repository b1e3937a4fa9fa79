package app

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/listener/wal"
)

// The ways to notice changes, as CHANGE_SOURCE names them.
const (
	sourceAuto   = "auto"
	sourceNotify = "notify"
	sourceWAL    = "wal"
	sourcePoll   = "poll"
)

func (c Config) validateSource() error {
	var faults []error
	if !slices.Contains([]string{sourceAuto, sourceNotify, sourceWAL, sourcePoll}, c.ChangeSource) {
		faults = append(faults, fmt.Errorf("CHANGE_SOURCE: %q is none of auto, notify, wal, poll", c.ChangeSource))
	}
	switch {
	case c.WALSlot == "":
	case c.ChangeSource != sourceWAL:
		faults = append(faults, errors.New("WAL_SLOT: of use with CHANGE_SOURCE=wal only; unset it"))
	case wal.CheckSlot(c.WALSlot) != nil:
		faults = append(faults, fmt.Errorf("WAL_SLOT: %q is no name for a slot: 1 to 63 of a-z, 0-9 and _", c.WALSlot))
	}
	return errors.Join(faults...)
}

// mustHear reports whether the operator has asked for a way to hear, so that a worker that does not hear is not ready.
func (c Config) mustHear() bool { return c.ChangeSource == sourceNotify || c.ChangeSource == sourceWAL }

func (c Config) wal() wal.Config {
	w := wal.DefaultConfig()
	w.Slot = c.WALSlot
	return w
}

func (c Config) listener() listener.Config {
	l := listener.DefaultConfig()
	l.SweepInterval = c.SweepInterval
	l.SweepDegraded = min(l.SweepDegraded, c.SweepInterval)
	return l
}

// bellKeeps is for how long a bell that was opened rings: several proofs' time, so that one which is late does not silence it.
const bellKeeps = 30 * time.Second

// walBellKeeps is the same for the log. A permanent slot is to have what is committed for a day while no worker lives; what comes later is
// found in the tables, as everything is, and a slot that was given up costs writers no longer than that.
func (c Config) walBellKeeps() time.Duration {
	if c.WALSlot != "" {
		return 24 * time.Hour
	}
	return bellKeeps
}
