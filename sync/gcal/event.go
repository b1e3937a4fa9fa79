package gcal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Event is what a copy should say.
type Event struct {
	ID                           uuid.UUID
	Title, Location, Description string
	Start, End                   time.Time
	// TimeZone is an IANA name. Where it is empty or unknown to this machine the copy is written in UTC: the instant is right,
	// only the zone that Google shows beside it is not the user's.
	TimeZone string
	// AllDay says that the event lasts whole days of TimeZone: Start and End are midnights there, and the copy shows days without a time.
	AllDay bool
	// Alerts has Google alert the user as they have set their calendar to; otherwise a copy alerts nobody, until the user has it do so.
	Alerts bool
}

// Copy is what is known about the event as it stands in the user's calendar. The zero Copy knows nothing.
type Copy struct {
	// GoogleID is the copy's id there: ours (see NewGoogleID), or a foreign one that an older service left in the row.
	GoogleID string
	// Generation counts how often the id had to be given up because the calendar would not take it again.
	Generation int
	// ETag is Google's version of the copy. Empty means that a write was intended and its outcome was never recorded.
	ETag string
	// Hash is the Event.Hash that was last written.
	Hash string
	// Tries is how often the present write was tried before, if it failed. Only then a copy that Google does not find, and that should be
	// there, is taken for lost.
	Tries int
	// Calendar is the calendar in which the copy stands, if that is another one than the account's: Upsert then moves it. Empty: it is the
	// account's.
	Calendar string
}

// Hash is the fingerprint of everything a copy shows. It is the same in every process; its prefix changes with what is
// written, so that a new version of the program knows which copies it would write differently.
func (e Event) Hash() string {
	b := make([]byte, 0, 512)
	for _, s := range []string{e.Title, e.Location, e.Description, instant(e.Start), instant(e.End), e.TimeZone} {
		// The length first, so that no two lists of fields read the same.
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	// Only what is set, so that copies which were written before there was such a thing are as they should be.
	if e.AllDay {
		b = append(b, 'd')
	}
	if e.Alerts {
		b = append(b, 'a')
	}
	sum := sha256.Sum256(b)
	return "v1:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// instant keeps what Google keeps: whole seconds.
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// NewGoogleID is the id we give an event's copy. Google accepts ids of its clients' choice in base32hex, which a UUID without
// hyphens is, and refuses the second insert of one: whoever writes a copy twice finds the first.
//
// Generation 0 is the UUID itself. A higher one stands in for an id that Google keeps but will not revive.
func NewGoogleID(event uuid.UUID, generation int) string {
	if generation <= 0 {
		return hex.EncodeToString(event[:])
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", event, generation))
	return hex.EncodeToString(sum[:16])
}
