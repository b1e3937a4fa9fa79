package reconcile

import "sync/atomic"

// byHand is a pause that a person has asked for, and that a person ends. The zero value is none.
type byHand struct{ reason atomic.Pointer[string] }

// set pauses because of why, and ends the pause if that is nil.
func (b *byHand) set(why *string) { b.reason.Store(why) }

// on reports whether there is one.
func (b *byHand) on() bool { return b.reason.Load() != nil }

// why says so in words, for the rows that wait. It may be asked when a statement has seen the pause, and this worker not yet heard of it.
func (b *byHand) why() string {
	text := "calendars are paused by hand"
	if why := b.reason.Load(); why != nil {
		text = "calendars are " + *why
	}
	return text
}
