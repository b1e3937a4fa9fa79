package wal

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"
)

const (
	plugin = "pgoutput"
	// temporaryPrefix begins the names of the slots that go with their connections.
	temporaryPrefix = "reminder_worker_"
)

// slot is what the server says of one.
type slot struct {
	there     bool
	plugin    string
	kind      string // logical or physical
	database  string
	reader    process // none: nobody
	lost      bool    // the log that it needs is gone
	confirmed uint64
}

// process is one of the server's, told apart from a later one with the same number.
type process struct{ pid, since string }

// place is where a stream begins.
type place struct {
	slot string
	at   uint64 // what is before it has been acknowledged
	old  bool   // the slot was there before, and something may have piled up
}

// find looks for a slot; without a name there is none.
func (l *link) find(ctx context.Context, name string) (slot, error) {
	if name == "" {
		return slot{}, nil
	}
	rows, err := l.query(ctx, `select coalesce(s.plugin, ''), s.slot_type, coalesce(s.database, ''), coalesce(s.active_pid::text, ''),
		coalesce(extract(epoch from a.backend_start)::text, ''), coalesce(s.wal_status, ''), coalesce(s.confirmed_flush_lsn, '0/0')
		from pg_catalog.pg_replication_slots s left join pg_catalog.pg_stat_activity a on a.pid = s.active_pid where s.slot_name = '`+name+`'`)
	if err != nil {
		return slot{}, fmt.Errorf("look for slot %q: %w", name, err)
	}
	if len(rows) != 1 || len(rows[0]) != 7 {
		return slot{}, nil
	}
	r := rows[0]
	at, err := pglogrepl.ParseLSN(r[6])
	if err != nil {
		return slot{}, fmt.Errorf("look for slot %q: %w", name, err)
	}
	return slot{true, r[0], r[1], r[2], process{r[3], r[4]}, r[5] == "lost", uint64(at)}, nil
}

// fits reports why a slot cannot be this worker's. mine is the process that served
// this worker last.
func (s slot) fits(name, database string, mine process) error {
	fault := ""
	switch {
	case s.kind != "logical":
		fault = "is a " + s.kind + " one"
	case s.database != database:
		fault = fmt.Sprintf("belongs to database %q", s.database)
	case s.plugin == "": // it is being made at this moment, by another worker
		return s.taken(name, mine)
	case s.plugin != plugin:
		fault = fmt.Sprintf("has the output plugin %q", s.plugin)
	case s.reader != process{}:
		return s.taken(name, mine)
	default:
		return nil
	}
	return &MissingError{Need: NeedOwnSlot, Fault: fmt.Sprintf("slot %q %s, and must be a logical one of database %q with %s", name, fault, database, plugin),
		Fix: "choose another name"}
}

// taken says who has a slot.
func (s slot) taken(name string, mine process) error {
	// A process that is just ending still has its slot when it is listed no more, and has no time of its start then.
	if s.reader.pid != "" && s.reader.pid == mine.pid && (s.reader.since == mine.since || s.reader.since == "") {
		return &HeldError{name, mine.pid}
	}
	return &BusyError{name, s.reader.pid}
}

// obtain returns a slot that can be read.
func (o *opening) obtain(ctx context.Context) (place, error) {
	name := o.cfg.Slot
	if name == "" {
		return o.make(ctx, temporaryPrefix+strings.ToLower(rand.Text()), " TEMPORARY")
	}
	found, err := o.find(ctx, name)
	if err != nil {
		return place{}, err
	}
	if !found.there {
		return o.make(ctx, name, "")
	}
	if err := found.fits(name, o.seen.database, o.served()); err != nil {
		return place{}, err
	}
	if found.lost || o.ruined.Load() {
		return o.renew(ctx, name)
	}
	return place{name, found.confirmed, true}, nil
}

// renew makes a slot anew that the server has given up. What it may have held is
// in the tables, which are read after every opening.
func (o *opening) renew(ctx context.Context, name string) (place, error) {
	if _, err := o.query(ctx, "DROP_REPLICATION_SLOT "+name); err != nil && !hasCode(err, undefined) {
		if hasCode(err, inUse) {
			return place{}, o.busy(ctx, name)
		}
		return place{}, fmt.Errorf("drop slot %q: %w", name, err)
	}
	o.ruined.Store(false)
	o.metrics.lost.Inc()
	o.log.Error().Str("slot", name).Msg("the server could no longer read this slot: it is made anew; look at max_slot_wal_keep_size, and at why nobody read it")
	return o.make(ctx, name, "")
}

// make has the server make a slot, which takes until all writers that are under way
// have ended.
func (o *opening) make(ctx context.Context, name, temporary string) (place, error) {
	limited, cancel := context.WithTimeout(ctx, o.cfg.SlotTimeout)
	defer cancel()
	if err := o.ask("CREATE_REPLICATION_SLOT " + name + temporary + " LOGICAL " + plugin + " NOEXPORT_SNAPSHOT"); err != nil {
		return place{}, err
	}
	rows, err := o.patiently(limited, name)
	switch {
	case hasCode(err, duplicate):
		return place{}, o.busy(ctx, name) // another worker has just made it
	case hasCode(err, limitReached):
		return place{}, o.seen.noSlot(err)
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		return place{}, &SlotWaitError{name, o.blockers(ctx), err}
	case err != nil:
		return place{}, fmt.Errorf("make slot %q: %w", name, err)
	case len(rows) != 1 || len(rows[0]) < 2:
		return place{}, fmt.Errorf("make slot %q: the answer is not one row", name)
	}
	at, err := pglogrepl.ParseLSN(rows[0][1])
	if err != nil {
		return place{}, fmt.Errorf("make slot %q: %w", name, err)
	}
	return place{slot: name, at: uint64(at)}, nil
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
	return found.taken(name, o.served())
}
