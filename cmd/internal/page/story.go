package page

import (
	"time"

	"github.com/google/uuid"
)

// Story is what is known about one event.
type Story struct {
	At time.Time `json:"at"`
	// ID is the event's.
	ID uuid.UUID `json:"event_id"`
	// Asked is the reminder that was asked for; zero: the event itself was.
	Asked uuid.UUID `json:"reminder_id,omitzero"`
	// Event is the row; nil: it is gone, and its copies are remembered.
	Event     *Event     `json:"event"`
	Copies    []Copy     `json:"copies"`
	Reminders []Reminder `json:"reminders"`
	// More says that there are more reminders or pushes than are shown.
	More bool `json:"more,omitempty"`
	// Moments are all of it in the order of time, in words.
	Moments []Moment `json:"timeline"`
}

// Event is a row of events.
type Event struct {
	UserID    uuid.UUID `json:"user_id"`
	Title     string    `json:"title,omitempty"`
	Location  string    `json:"location,omitempty"`
	StartsAt  time.Time `json:"starts_at,omitzero"`
	EndsAt    time.Time `json:"ends_at,omitzero"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Status    string    `json:"status"`
	Error     string    `json:"error,omitempty"`
	Revision  int64     `json:"revision"`
	// ChangedAt is when that revision was committed, and so announced.
	ChangedAt time.Time `json:"changed_at"`
	// Planned says that the reminders of this revision are committed.
	Planned  bool      `json:"planned"`
	Attempts int       `json:"attempts"`
	DueAt    time.Time `json:"due_at,omitzero"`     // when it is served next; zero: there is nothing to do
	HeldTill time.Time `json:"held_until,omitzero"` // while a worker is at it
	// Dismissed is when the user was done with it.
	Dismissed time.Time `json:"dismissed_at,omitzero"`
}

// Copy is the event as it stands in one user's Google Calendar.
type Copy struct {
	UserID        uuid.UUID `json:"user_id"`
	CalendarID    string    `json:"calendar_id"`
	GoogleEventID string    `json:"google_event_id"`
	Generation    int       `json:"generation"`
	NotedAt       time.Time `json:"noted_at"`
	WrittenAt     time.Time `json:"written_at,omitzero"`
	TombstonedAt  time.Time `json:"tombstoned_at,omitzero"`
	GoneAt        time.Time `json:"gone_at,omitzero"` // the user has deleted it in Google
	DueAt         time.Time `json:"due_at,omitzero"`  // when its removal is tried next
	Attempts      int       `json:"attempts"`
	Error         string    `json:"error,omitempty"`
}

// Reminder is a row of reminders, with what became of it on each device.
type Reminder struct {
	ID          uuid.UUID  `json:"id"`
	DueAt       time.Time  `json:"due_at"`
	LeadSeconds int        `json:"lead_seconds,omitempty"` // 0: the app wrote it
	Status      string     `json:"status"`
	CreatedAt   time.Time  `json:"created_at,omitzero"`
	AskedAt     time.Time  `json:"asked_at,omitzero"` // when the app asked for it again
	NextAt      time.Time  `json:"next_attempt_at,omitzero"`
	SentAt      time.Time  `json:"sent_at,omitzero"`
	Attempts    int        `json:"attempts"`
	Snoozed     bool       `json:"snoozed,omitempty"`
	Message     string     `json:"message,omitempty"`
	Error       string     `json:"error,omitempty"`
	Deliveries  []Delivery `json:"deliveries"`
}

// Delivery is what became of one push.
type Delivery struct {
	// Token is masked.
	Token string `json:"token"`
	// State is accepted, delivered, failed, unknown or retry.
	State        string    `json:"state"`
	Ticket       string    `json:"ticket,omitempty"`
	SentAt       time.Time `json:"sent_at"`
	LatenessMs   int64     `json:"lateness_ms"`
	Attempts     int       `json:"attempts"`
	ReceiptDueAt time.Time `json:"receipt_due_at,omitzero"`
	SettledAt    time.Time `json:"settled_at,omitzero"`
	Code         string    `json:"code,omitempty"`
	Error        string    `json:"error,omitempty"`
}

// The tones of a moment.
const (
	ToneGood  = "good"
	ToneBad   = "bad"
	ToneQuiet = "quiet"
	ToneAhead = "ahead" // it has not come yet
)

// Moment is one thing that happened, or will.
type Moment struct {
	At time.Time `json:"at"`
	// What is in a few words, Why the rest of the sentence.
	What string `json:"what"`
	Why  string `json:"why,omitempty"`
	Tone string `json:"tone"`
}
