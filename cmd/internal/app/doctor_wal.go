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
		switch {
		case known:
			faults, fixes = append(faults, missing.Fault), append(fixes, sentence(missing.Fix))
		case used && len(parts(err)) == 1:
			return pass("", fmt.Sprintf("slot %q is read by a worker (server process %s); another sweeps until that ends", busy.Slot, busy.PID))
		case !used:
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
			"Bound it: alter system set max_slot_wal_keep_size = '4GB', and reload. A slot that is given up is made anew, and no change is lost.")
	}
	return pass("", fmt.Sprintf("the log can be read through slot %q, which holds back %s of it at most", slot, size))
}

// examineLeftSlots looks for what a permanent slot leaves behind: slots that nobody reads, and a bell that is open for ever.
func examineLeftSlots(ctx context.Context, p *patient) Finding {
	rows, err := p.conn.Query(ctx, `select slot_name::text from pg_catalog.pg_replication_slots
		where database = current_database() and plugin = 'pgoutput' and not temporary and not active
			and exists (select from pg_catalog.pg_sequences
				where schemaname = 'reminder_worker' and sequencename = 'doorbell_wal' and last_value = 9223372036854775807)
		order by 1`)
	if err != nil {
		return cannotAsk(err)
	}
	slots, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return cannotAsk(err)
	}
	return judgeLeftSlots(slots)
}

func judgeLeftSlots(slots []string) Finding {
	if len(slots) == 0 {
		return pass("", "not used: CHANGE_SOURCE is not wal")
	}
	return warn("", "changes are still written into the log for a permanent slot that nobody reads, and that holds it back",
		"If no worker uses CHANGE_SOURCE=wal any more: select pg_drop_replication_slot('"+slots[0]+"'); select setval('reminder_worker.doorbell_wal', 0);").with(slots...)
}
