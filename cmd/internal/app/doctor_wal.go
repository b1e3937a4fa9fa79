package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/listener/wal"
)

// examineReplication says what is missing for CHANGE_SOURCE=wal; for other sources, what such a time has left behind.
func examineReplication(ctx context.Context, p *patient) Finding {
	if p.c.ChangeSource != sourceWAL {
		return examineLeftSlots(ctx, p)
	}
	cfg, err := p.c.connConfig()
	if err != nil {
		return cannotAsk(err)
	}
	settings := p.c.wal()
	settings.Shape(cfg)
	if err := wal.Examine(ctx, dialing(cfg), settings); err != nil {
		return judgeReplication(err)
	}
	if p.c.WALSlot == "" {
		if left := examineLeftSlots(ctx, p); left.Verdict != Pass {
			return left
		}
		return pass("", "the log can be read, through a slot that goes with its connection")
	}
	return examineKeepSize(ctx, p)
}

// judgeReplication puts what is missing into words.
func judgeReplication(err error) Finding {
	var faults, fixes []string
	for _, e := range parts(err) {
		missing, known := errors.AsType[*wal.MissingError](e)
		busy, used := errors.AsType[*wal.BusyError](e)
		full, crowded := errors.AsType[*wal.CrowdedError](e)
		switch {
		case known:
			faults, fixes = append(faults, missing.Fault), append(fixes, sentence(missing.Fix))
		case used && len(parts(err)) == 1:
			return pass("", fmt.Sprintf("slot %q is read by a worker (server process %s); another sweeps until that ends", busy.Slot, busy.PID))
		case crowded && len(parts(err)) == 1:
			return warn("", full.Error(), "Before another worker is started: raise max_replication_slots (or in the provider's settings) and restart the server.")
		case !used && !crowded:
			return cannotAsk(e)
		}
	}
	return fail("", "CHANGE_SOURCE=wal cannot work: "+count(len(faults), "thing is", "things are")+" missing", strings.Join(unique(fixes), " ")).with(faults...)
}

// parts are the errors that were joined into one.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // only the outermost is a list
		return joined.Unwrap()
	}
	return []error{err}
}

// sentence makes one of an order.
func sentence(order string) string {
	if order == "" {
		return ""
	}
	return strings.ToUpper(order[:1]) + order[1:] + "."
}

// examineKeepSize is for a permanent slot, which holds back the log while nobody reads it.
func examineKeepSize(ctx context.Context, p *patient) Finding {
	var size string
	if err := p.conn.QueryRow(ctx, `select current_setting('max_slot_wal_keep_size')`).Scan(&size); err != nil {
		return cannotAsk(err)
	}
	return judgeKeepSize(p.c.WALSlot, size)
}

func judgeKeepSize(slot, size string) Finding {
	if size == "-1" {
		return warn("", fmt.Sprintf("slot %q may hold back the log until the disk is full, if no worker reads it", slot),
			"Bound it: alter system set max_slot_wal_keep_size = '4GB', and reload (or in the provider's settings). A slot that is given up is made anew, and no change is lost.")
	}
	return pass("", fmt.Sprintf("the log can be read through slot %q, which holds back %s of it at most", slot, size))
}

// examineLeftSlots looks for what a permanent slot leaves behind. A slot is ours by its name alone: others may have some of the same plugin.
func examineLeftSlots(ctx context.Context, p *patient) Finding {
	rows, err := p.conn.Query(ctx, `select slot_name::text as name,
			pg_size_pretty(pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn)) as holds
		from pg_catalog.pg_replication_slots
		where database = current_database() and plugin = 'pgoutput' and not temporary and not active
			and restart_lsn is not null and starts_with(slot_name::text, 'reminder_worker')
		order by 1`)
	if err != nil {
		return cannotAsk(err)
	}
	slots, err := pgx.CollectRows(rows, pgx.RowToStructByPos[leftSlot])
	if err != nil {
		return cannotAsk(err)
	}
	return judgeLeftSlots(slots)
}

// leftSlot is a slot of a worker's that nobody reads.
type leftSlot struct{ Name, Holds string }

func judgeLeftSlots(slots []leftSlot) Finding {
	if len(slots) == 0 {
		return pass("", "not used: CHANGE_SOURCE is not wal")
	}
	var details, drops []string
	for _, s := range slots {
		details = append(details, s.Name+" holds back "+s.Holds)
		drops = append(drops, "select pg_drop_replication_slot('"+s.Name+"');")
	}
	return warn("", "the log is held back for "+count(len(slots), "permanent slot", "permanent slots")+" that nobody reads",
		"If no worker has it as its WAL_SLOT any more: "+strings.Join(drops, " ")).with(details...)
}
