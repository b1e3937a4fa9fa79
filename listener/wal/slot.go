package wal

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"
)

const plugin = "pgoutput"

// slot is what the server says of one.
type slot struct {
	there     bool
	plugin    string
	kind      string // logical or physical
	database  string
	pid       string // of who reads it; empty: nobody
	lost      bool   // the log that it needs is gone
	confirmed uint64
}

// find looks for a slot; without a name there is none.
func (l *link) find(ctx context.Context, name string) (slot, error) {
	if name == "" {
		return slot{}, nil
	}
	rows, err := l.query(ctx, `select coalesce(plugin, ''), slot_type, coalesce(database, ''), coalesce(active_pid::text, ''),
		coalesce(wal_status, ''), coalesce(confirmed_flush_lsn, '0/0') from pg_catalog.pg_replication_slots where slot_name = '`+name+`'`)
	if err != nil {
		return slot{}, fmt.Errorf("look for slot %q: %w", name, err)
	}
	if len(rows) != 1 || len(rows[0]) != 6 {
		return slot{}, nil
	}
	r := rows[0]
	at, err := pglogrepl.ParseLSN(r[5])
	if err != nil {
		return slot{}, fmt.Errorf("look for slot %q: %w", name, err)
	}
	return slot{true, r[0], r[1], r[2], r[3], r[4] == "lost", uint64(at)}, nil
}

// fits reports why a slot cannot be this worker's.
func (s slot) fits(name, database string) error {
	fault := ""
	switch {
	case s.kind != "logical":
		fault = "is a " + s.kind + " one"
	case s.database != database:
		fault = fmt.Sprintf("belongs to database %q", s.database)
	case s.plugin != plugin:
		fault = fmt.Sprintf("has the output plugin %q", s.plugin)
	case s.pid != "":
		return &BusyError{name, s.pid}
	default:
		return nil
	}
	return &MissingError{Need: NeedOwnSlot, Fault: fmt.Sprintf("slot %q %s, and must be a logical one of database %q with %s", name, fault, database, plugin),
		Fix: "choose another name"}
}

// obtain returns the name of a slot that can be read, and where it was left.
func (o *opening) obtain(ctx context.Context) (name string, at uint64, err error) {
	name = o.cfg.Slot
	if name == "" {
		return o.make(ctx, "reminder_worker_"+strings.ToLower(rand.Text()), " TEMPORARY")
	}
	found, err := o.find(ctx, name)
	if err != nil {
		return "", 0, err
	}
	if !found.there {
		return o.make(ctx, name, "")
	}
	if err := found.fits(name, o.seen.database); err != nil {
		return "", 0, err
	}
	if found.lost || o.ruined.Load() {
		return o.renew(ctx, name)
	}
	return name, found.confirmed, nil
}

// renew makes a slot anew that the server has given up. What it may have held is
// in the tables, which are read after every opening.
func (o *opening) renew(ctx context.Context, name string) (string, uint64, error) {
	o.log.Error().Str("slot", name).Msg("the server can no longer read this slot: it is made anew; look at max_slot_wal_keep_size, and at why nobody read it")
	o.metrics.lost.Inc()
	if _, err := o.query(ctx, "DROP_REPLICATION_SLOT "+name); err != nil && !hasCode(err, undefined) {
		if hasCode(err, inUse) {
			return "", 0, o.busy(ctx, name)
		}
		return "", 0, fmt.Errorf("drop slot %q: %w", name, err)
	}
	o.ruined.Store(false)
	return o.make(ctx, name, "")
}

// make has the server make a slot, which takes until all writers that are under way
// have ended.
func (o *opening) make(ctx context.Context, name, temporary string) (string, uint64, error) {
	limited, cancel := context.WithTimeout(ctx, o.cfg.SlotTimeout)
	defer cancel()
	if err := o.ask("CREATE_REPLICATION_SLOT " + name + temporary + " LOGICAL " + plugin + " NOEXPORT_SNAPSHOT"); err != nil {
		return "", 0, err
	}
	rows, err := o.patiently(limited, name)
	switch {
	case hasCode(err, duplicate):
		return "", 0, o.busy(ctx, name) // another worker has just made it
	case hasCode(err, limitReached):
		return "", 0, o.seen.noSlot(err)
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		return "", 0, &SlotWaitError{name, o.blockers(ctx), err}
	case err != nil:
		return "", 0, fmt.Errorf("make slot %q: %w", name, err)
	case len(rows) != 1 || len(rows[0]) < 2:
		return "", 0, fmt.Errorf("make slot %q: the answer is not one row", name)
	}
	at, err := pglogrepl.ParseLSN(rows[0][1])
	if err != nil {
		return "", 0, fmt.Errorf("make slot %q: %w", name, err)
	}
	return name, uint64(at), nil
}

// patiently waits for a slot, and says so when it takes long.
func (o *opening) patiently(ctx context.Context, name string) ([][]string, error) {
	short, cancel := context.WithTimeout(ctx, o.cfg.StatusInterval)
	defer cancel()
	rows, err := o.answer(short)
	if err == nil || short.Err() == nil || ctx.Err() != nil {
		return rows, err
	}
	o.log.Warn().Str("slot", name).Str("server_processes", o.blockers(ctx)).
		Msg("the server makes the slot when transactions under way have ended; sweeping until then")
	return o.answer(ctx)
}

// blockers names the server's processes that this connection waits for, if they can
// be asked for.
func (o *opening) blockers(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	beside, err := dial(ctx, o.connect)
	if err != nil {
		return ""
	}
	defer beside.close()
	rows, err := beside.query(ctx, fmt.Sprintf("select array_to_string(pg_blocking_pids(%d), ', ')", o.conn.PgConn().PID()))
	if err != nil || len(rows) != 1 || len(rows[0]) != 1 {
		return ""
	}
	return rows[0][0]
}

// busy names who has a slot.
func (o *opening) busy(ctx context.Context, name string) error {
	found, err := o.find(ctx, name)
	if err != nil {
		return err
	}
	return &BusyError{name, found.pid}
}
