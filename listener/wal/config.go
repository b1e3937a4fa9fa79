package wal

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// maxNameBytes is Postgres's limit for names of slots and publications.
const maxNameBytes = 63

// Config holds the settings of a source. Start from [DefaultConfig].
type Config struct {
	// Slot is the name of a permanent replication slot, made if it is missing: 1 to
	// 63 of a-z, 0-9 and _. Empty: every connection makes a temporary one.
	Slot string
	// Publication is the name of the publication that pgoutput insists on, made
	// without tables if it is missing. As Slot, and not beginning with a digit.
	Publication string
	// SenderTimeout is how long the server waits for a sign of life before it ends
	// the connection and frees the slot. 1s to 1h.
	SenderTimeout time.Duration
	// StatusInterval is the time from one sign of life to the next, which also tell
	// the server what it may forget. 10ms or more, at most a third of SenderTimeout.
	StatusInterval time.Duration
	// SlotTimeout is how long the making of a slot may wait for transactions that
	// are under way. 1s or more.
	SlotTimeout time.Duration
	// CatchUpTimeout is how long [Source.Open] bears the silence of a server that
	// decodes: within a large transaction it may not say a word. A vanished peer is
	// noticed sooner, by the kernel. SenderTimeout to 24h.
	CatchUpTimeout time.Duration
}

// DefaultConfig returns settings that suit production: a slot whose worker has died
// without a word is free again within ten seconds.
func DefaultConfig() Config {
	return Config{
		Publication:    "reminder_worker",
		SenderTimeout:  10 * time.Second,
		StatusInterval: 3 * time.Second,
		SlotTimeout:    2 * time.Minute,
		CatchUpTimeout: 15 * time.Minute,
	}
}

// Validate reports everything that is wrong with the settings at once.
func (c Config) Validate() error {
	var faults []error
	if c.Slot != "" {
		faults = append(faults, CheckSlot(c.Slot))
	}
	if err := CheckSlot(c.Publication); err != nil || c.Publication[0] <= '9' {
		faults = append(faults, fmt.Errorf("publication %q must be 1 to %d of a-z, 0-9 and _, and not begin with a digit", c.Publication, maxNameBytes))
	}
	return errors.Join(append(faults,
		between("sender timeout", c.SenderTimeout, time.Second, time.Hour),
		between("status interval", c.StatusInterval, 10*time.Millisecond, max(c.SenderTimeout/3, 10*time.Millisecond)),
		between("slot timeout", c.SlotTimeout, time.Second, time.Hour),
		between("catch-up timeout", c.CatchUpTimeout, c.SenderTimeout, 24*time.Hour),
	)...)
}

// CheckSlot reports what is wrong with the name of a slot.
func CheckSlot(name string) error {
	ok := len(name) > 0 && len(name) <= maxNameBytes
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_')
	}
	if !ok {
		return fmt.Errorf("slot %q must be 1 to %d of a-z, 0-9 and _", name, maxNameBytes)
	}
	return nil
}

func between(what string, got, least, most time.Duration) error {
	if got < least || got > most {
		return fmt.Errorf("%s is %v, must be %v to %v", what, got, least, most)
	}
	return nil
}

// Shape makes a configuration of ordinary connections one of replication.
func (c Config) Shape(conn *pgx.ConnConfig) {
	if conn.RuntimeParams == nil {
		conn.RuntimeParams = map[string]string{}
	}
	conn.RuntimeParams["replication"] = "database"
	conn.RuntimeParams["wal_sender_timeout"] = strconv.FormatInt(c.SenderTimeout.Milliseconds(), 10)
	conn.RuntimeParams["application_name"] = "reminder-worker listener"
	conn.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // the only one there is
}
