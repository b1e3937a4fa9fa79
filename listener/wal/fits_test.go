package wal

import (
	"errors"
	"testing"

	"github.com/parentpal/reminder-worker/listener"
)

// TestSlotFits: a slot that somebody is reading, or is only just making and has no plugin yet, is busy; one that can never be ours is missing.
func TestSlotFits(t *testing.T) {
	t.Parallel()
	other := process{pid: "7", since: "then"}
	ours := slot{there: true, kind: "logical", database: "family", plugin: plugin}
	change := func(f func(*slot)) slot { s := ours; f(&s); return s }
	for name, tt := range map[string]struct {
		slot          slot
		busy, missing bool
	}{
		"free":             {slot: ours},
		"read by another":  {slot: change(func(s *slot) { s.reader = other }), busy: true},
		"being made":       {slot: change(func(s *slot) { s.plugin, s.reader = "", other }), busy: true},
		"another plugin":   {slot: change(func(s *slot) { s.plugin = "test_decoding" }), missing: true},
		"another database": {slot: change(func(s *slot) { s.database, s.plugin = "shop", "" }), missing: true},
		"physical":         {slot: change(func(s *slot) { s.kind, s.plugin = "physical", "" }), missing: true},
	} {
		err := tt.slot.fits("mine", "family", process{})
		var missing *MissingError
		if busy := errors.Is(err, listener.ErrBusy); busy != tt.busy || errors.As(err, &missing) != tt.missing {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSlotHeld: what served this worker last may have the slot for a little longer, also when the server lists it no more; a later process of the same
// number is another worker's.
func TestSlotHeld(t *testing.T) {
	t.Parallel()
	mine := process{pid: "7", since: "then"}
	for name, tt := range map[string]struct {
		reader process
		held   bool
	}{
		"still there":       {mine, true},
		"listed no more":    {process{pid: "7"}, true},
		"the number again":  {process{pid: "7", since: "now"}, false},
		"another":           {process{pid: "8", since: "then"}, false},
		"another, ending":   {process{pid: "8"}, false},
		"being made by one": {process{}, false},
	} {
		err := slot{there: true, reader: tt.reader}.taken("mine", mine)
		_, held := errors.AsType[*HeldError](err)
		if held != tt.held || !held && !errors.Is(err, listener.ErrBusy) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
