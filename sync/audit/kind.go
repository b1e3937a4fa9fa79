package audit

import (
	"slices"

	"github.com/google/uuid"
)

// Kind is in which way something is out of step.
type Kind string

// The kinds. Those of the schema are named by migrations.FaultKind.
const (
	TriggerMissing  Kind = "trigger_missing"
	TriggerDisabled Kind = "trigger_disabled"
	TriggerChanged  Kind = "trigger_changed"
	FunctionChanged Kind = "function_changed"

	AccountPaused Kind = "account_paused" // until a time that Google never asks for

	EventNotQueued  Kind = "event_not_queued"  // pending, and no worker will come to it
	EventOverdue    Kind = "event_overdue"     // due for long, and no worker has come to it
	EventHeld       Kind = "event_held"        // by a claim that ended long ago
	EventNotPlanned Kind = "event_not_planned" // done, by its state, and its reminders are of an older revision, or of none
	EventNotWritten Kind = "event_not_written" // has no copy although its user's account is connected

	ReminderMissing      Kind = "reminder_missing"
	ReminderNotWanted    Kind = "reminder_not_wanted" // pending, and the event calls for none at that time
	ReminderDiffers      Kind = "reminder_differs"    // from what the event calls for at that time
	ReminderWithoutEvent Kind = "reminder_without_event"
	ReminderStuck        Kind = "reminder_stuck" // waits for what does not come

	CopyNotRecorded  Kind = "copy_not_recorded" // of an event that has one, by its state
	CopyMisnamed     Kind = "copy_misnamed"     // the event, the record and Google do not name the same entry
	CopyNotBuried    Kind = "copy_not_buried"   // its event is gone, another user's or cancelled, and nothing will remove it
	CopyOutdated     Kind = "copy_outdated"     // was last written with other content than the event calls for
	RemovalNotQueued Kind = "removal_not_queued"

	CopyMissing  Kind = "copy_missing"  // Google has lost it
	CopyDiffers  Kind = "copy_differs"  // Google shows another title, place or time
	CopyTwin     Kind = "copy_twin"     // a second entry of the same event
	CopyOrphaned Kind = "copy_orphaned" // an entry of an event that is gone, cancelled or another user's

	CopyUnclaimed  Kind = "copy_unclaimed"   // carries our private properties, and may be another user's or another database's
	AccountNotRead Kind = "account_not_read" // its calendars cannot be read

	CopyDeleted     Kind = "copy_deleted"     // by the user
	CopyEdited      Kind = "copy_edited"      // in what is the user's
	CopyUnmarked    Kind = "copy_unmarked"    // stands there without our private properties
	CopyUnaccounted Kind = "copy_unaccounted" // is not there, and it cannot be told any more whether the user has deleted it
)

// kindOf is what the package says of a kind.
type kindOf struct {
	kind   Kind
	repair string // what a repair does; empty: there is none
	info   bool   // as it should be, worth a word
}

const (
	servedAgain  = "the event is served once more"
	writtenAgain = "the copy is read and written once more"
	removed      = "the entry is removed from the calendar"
	madeAgain    = "made again as the migrations make it"
)

var kinds = []kindOf{
	{TriggerMissing, madeAgain, false}, {TriggerDisabled, "made again and switched on", false}, {TriggerChanged, madeAgain, false}, {FunctionChanged, madeAgain, false},
	{AccountPaused, "the pause ends", false},
	{EventNotQueued, "the event is due now", false}, {EventOverdue, "served now", false}, {EventHeld, servedAgain, false},
	{EventNotPlanned, servedAgain, false}, {EventNotWritten, servedAgain, false},
	{ReminderMissing, servedAgain, false}, {ReminderNotWanted, servedAgain, false}, {ReminderDiffers, servedAgain, false},
	{ReminderWithoutEvent, "put away when a worker claims it, now", false}, {ReminderStuck, "due now", false},
	{CopyNotRecorded, servedAgain, false}, {CopyMisnamed, "recorded as Google has it, and served once more", false},
	{CopyNotBuried, "the copy is removed", false}, {CopyOutdated, servedAgain, false}, {RemovalNotQueued, "the removal is due now", false},
	{CopyMissing, writtenAgain, false}, {CopyDiffers, writtenAgain, false}, {CopyTwin, removed, false}, {CopyOrphaned, removed, false},
	{CopyUnclaimed, "", false}, {AccountNotRead, "", false},
	{CopyDeleted, "", true}, {CopyEdited, "", true}, {CopyUnmarked, "", true}, {CopyUnaccounted, "", true},
}

// Kinds lists all there are, in the order in which they are told.
func Kinds() []Kind {
	all := make([]Kind, len(kinds))
	for i, k := range kinds {
		all[i] = k.kind
	}
	return all
}

func (k Kind) of() kindOf {
	if i := slices.IndexFunc(kinds, func(o kindOf) bool { return o.kind == k }); i >= 0 {
		return kinds[i]
	}
	return kindOf{kind: k}
}

// Repair says what a repair does about it; empty: nothing.
func (k Kind) Repair() string { return k.of().repair }

// Info reports whether it is as it should be, and only worth a word: a user's own doing.
func (k Kind) Info() bool { return k.of().info }

// Finding is one thing that is out of step.
type Finding struct {
	Kind       Kind      `json:"kind"`
	EventID    uuid.UUID `json:"event_id,omitzero"`
	UserID     uuid.UUID `json:"user_id,omitzero"`
	ReminderID uuid.UUID `json:"reminder_id,omitzero"`
	// CalendarID and GoogleID name an entry at Google.
	CalendarID string `json:"calendar_id,omitempty"`
	GoogleID   string `json:"google_event_id,omitempty"`
	// Detail says in words how it is out of step. It holds no token.
	Detail string `json:"detail"`
	// Repaired says that a repair has been set going.
	Repaired bool `json:"repaired"`

	revision int64 // of the event, when it was looked at; 0: there is none
	free     bool  // nothing is recorded of a copy of the event, which is nobody else's
}

// Left reports whether the finding still calls for somebody to do something.
func (f Finding) Left() bool { return !f.Repaired && !f.Kind.Info() }
