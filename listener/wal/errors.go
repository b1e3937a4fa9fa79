package wal

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/listener"
)

// Need is something that logical replication does not work without.
type Need uint8

// The needs, in the order in which they are looked at.
const (
	NeedDirect      Need = iota + 1 // a connection without a pooler
	NeedRole                        // a role that may replicate
	NeedSender                      // a free connection of replication
	NeedVersion                     // PostgreSQL 14
	NeedPrimary                     // a server that takes writes
	NeedLevel                       // wal_level = logical
	NeedPublication                 // a publication, or the right to make it
	NeedSlot                        // a free replication slot
	NeedOwnSlot                     // a slot of that name that fits
)

// MissingError says what is missing for logical replication, and what to do.
type MissingError struct {
	Need  Need
	Fault string // how it is
	Fix   string // what to do, as an order
	Err   error  // what the server said, if it was asked in vain
}

func (e *MissingError) Error() string { return e.Fault + "; " + e.Fix }
func (e *MissingError) Unwrap() error { return e.Err }

// BusyError says that another worker has the permanent slot. It is a
// [listener.ErrBusy].
type BusyError struct {
	Slot string
	PID  string // of the server's process that serves it; empty if it has just gone
}

func (e *BusyError) Error() string {
	if e.PID == "" {
		return fmt.Sprintf("slot %q is in use: %v", e.Slot, listener.ErrBusy)
	}
	return fmt.Sprintf("slot %q is in use by server process %s: %v", e.Slot, e.PID, listener.ErrBusy)
}
func (e *BusyError) Unwrap() error { return listener.ErrBusy }

// HeldError says that the permanent slot is still held for this worker's own last
// connection. No other worker hears, so it is no [listener.ErrBusy].
type HeldError struct {
	Slot string
	PID  string // of the server's process that holds it
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("slot %q is still held for this worker's last connection: server process %s decodes a large transaction, or has not noticed yet that nobody listens", e.Slot, e.PID)
}

// CrowdedError says that workers hear already, and that there is no slot for another.
type CrowdedError struct {
	Most  int // how many slots the server has
	Heard int // by how many workers' connections
}

func (e *CrowdedError) Error() string {
	return fmt.Sprintf("all %d replication slots are in use, %d by workers that hear: there is no room for another", e.Most, e.Heard)
}

// SlotWaitError says that the server could not make a slot in time, because
// transactions that were under way have not ended.
type SlotWaitError struct {
	Slot string
	PIDs string // of the server's processes that it waits for, if known
	Err  error
}

func (e *SlotWaitError) Error() string {
	text := fmt.Sprintf("make slot %q: transactions under way do not end", e.Slot)
	if e.PIDs != "" {
		text += " (server process " + e.PIDs + ")"
	}
	return text + ": " + e.Err.Error()
}
func (e *SlotWaitError) Unwrap() error { return e.Err }

// MalformedError says that a message of the stream cannot be read.
type MalformedError struct{ Fault string }

func (e *MalformedError) Error() string { return "malformed message: " + e.Fault }

// errSilent says that the server has not said a word for the catch-up timeout.
var errSilent = errors.New("no sign of life from the server")

// SQLSTATEs that are told apart.
const (
	denied          = "42501"
	syntaxError     = "42601"
	duplicate       = "42710"
	duplicateRow    = "23505" // of the catalog, when two make the same at once
	undefined       = "42704"
	badParameter    = "22023"
	badMessage      = "08P01"
	tooMany         = "53300" // connections, or connections of replication
	limitReached    = "53400" // slots
	notInThatState  = "55000" // a slot that is lost
	inUse           = "55006"
	noSuchParameter = undefined
)

// hasCode reports whether the server answered with one of the codes.
func hasCode(err error, codes ...string) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(codes, pe.Code)
}

// whyNoConnection turns what a server or a pooler answers to the wish for a
// connection of replication into what is missing.
func whyNoConnection(err error) error {
	pe, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case !answered:
		return fmt.Errorf("connect: %w", err)
	case pe.Code == denied:
		return &MissingError{NeedRole, fmt.Sprintf("role %q may not replicate: %s", roleOf(err), oneLine(pe.Message)),
			fmt.Sprintf("as a superuser: alter role %s replication; or in the provider's settings (RDS: grant rds_replication; Supabase: role postgres on a direct connection may)",
				pgx.Identifier{roleOf(err)}.Sanitize()), err}
	case pe.Code == tooMany:
		return &MissingError{NeedSender, "the server has no connection left for replication: " + oneLine(pe.Message),
			"raise max_wal_senders (or in the provider's settings) and restart the server, or end one of pg_stat_replication", err}
	case pe.Code == badMessage || pe.Code == noSuchParameter || pe.Code == badParameter:
		return notDirect("a connection of replication is refused: "+oneLine(pe.Message), err)
	}
	return fmt.Errorf("connect: %w", err)
}

// roleOf is the role that a connection was asked for with.
func roleOf(err error) string {
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return e.Config.User
	}
	return ""
}

func notDirect(fault string, err error) error {
	return &MissingError{NeedDirect, fault, "connect to the server itself: poolers do not pass replication on", err}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
