package wal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// survey is what a server has to offer.
type survey struct {
	version     int
	level       string
	standby     bool
	slots       int // in use
	slotsMost   int
	heard       int  // slots of workers that hear in this database, without a name of their own
	publication bool // it is there
	mayPublish  bool
	database    string
	me          process // that serves this connection
}

// look asks the server in one question.
func (l *link) look(ctx context.Context, publication string) (survey, error) {
	rows, err := l.query(ctx, `select current_setting('server_version_num'), current_setting('wal_level'), pg_is_in_recovery()::int,
		(select count(*) from pg_catalog.pg_replication_slots), current_setting('max_replication_slots'),
		(select count(*) from pg_catalog.pg_publication where pubname = '`+publication+`'),
		has_database_privilege(current_database(), 'create')::int, current_database(),
		(select count(*) from pg_catalog.pg_replication_slots
			where temporary and active and database = current_database() and starts_with(slot_name::text, '`+temporaryPrefix+`')),
		pg_backend_pid(), (select extract(epoch from a.backend_start) from pg_catalog.pg_stat_activity a where a.pid = pg_backend_pid())`)
	if err != nil {
		return survey{}, fmt.Errorf("ask what the server has: %w", err)
	}
	if len(rows) != 1 || len(rows[0]) != 11 {
		return survey{}, errors.New("ask what the server has: the answer is not one row")
	}
	r := rows[0]
	return survey{
		version: number(r[0]), level: r[1], standby: r[2] == "1", slots: number(r[3]), slotsMost: number(r[4]),
		publication: r[5] != "0", mayPublish: r[6] == "1", database: r[7],
		heard: number(r[8]), me: process{r[9], r[10]},
	}, nil
}

// number is 0 for what is none: the server does not answer with such.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// oldest is the first version whose pgoutput sends messages.
const oldest = 14_00_00

// faults are all that is missing for a source with these settings, but the slot.
func (s survey) faults(publication string) (missing []error) {
	lack := func(n Need, fault, fix string) {
		missing = append(missing, &MissingError{Need: n, Fault: fault, Fix: fix})
	}
	if s.version < oldest {
		lack(NeedVersion, fmt.Sprintf("PostgreSQL %d sends no messages to a replica", s.version/10_000), "upgrade the server to PostgreSQL 14 or newer")
	}
	if s.standby {
		lack(NeedPrimary, "this is a standby, and the worker has to write", "connect to the primary")
	}
	if s.level != "logical" {
		lack(NeedLevel, "wal_level is "+s.level+", and must be logical", "alter system set wal_level = logical, or in the provider's settings (RDS: rds.logical_replication = 1), and restart the server")
	}
	if !s.publication && !s.mayPublish {
		lack(NeedPublication, fmt.Sprintf("publication %q is missing, and the role may not make it", publication),
			fmt.Sprintf("create publication %s, without tables, as a role that may; or grant create on database %q to this role", publication, s.database))
	}
	return missing
}

// noSlot is for a server that has none left.
func (s survey) noSlot(err error) error {
	return &MissingError{NeedSlot, fmt.Sprintf("all %d replication slots are in use", s.slotsMost),
		"drop one that nobody needs (select slot_name from pg_replication_slots where not active), or raise max_replication_slots (or in the provider's settings) and restart the server", err}
}

// Examine reports everything that is missing for a source with these settings, as
// far as it can be told without changing anything: MissingErrors joined, a
// BusyError, a CrowdedError, or why it cannot be told.
func Examine(ctx context.Context, connect Connect, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	l, err := dial(ctx, connect)
	if err != nil {
		return err
	}
	defer l.close()
	seen, err := l.look(ctx, cfg.Publication)
	if err != nil {
		return err
	}
	faults := seen.faults(cfg.Publication)
	slot, err := l.find(ctx, cfg.Slot)
	switch {
	case err != nil:
		faults = append(faults, err)
	case !slot.there && seen.slots >= seen.slotsMost && seen.heard > 0:
		faults = append(faults, &CrowdedError{seen.slotsMost, seen.heard})
	case !slot.there && seen.slots >= seen.slotsMost:
		faults = append(faults, seen.noSlot(nil))
	case slot.there:
		faults = append(faults, slot.fits(cfg.Slot, seen.database, process{}))
	}
	return errors.Join(faults...)
}
