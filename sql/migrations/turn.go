package migrations

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"
)

// lockKey is the advisory lock that all programs of this module agree on.
var lockKey = func() int64 {
	h := fnv.New64a()
	h.Write([]byte("github.com/parentpal/reminder-worker/sql/migrations"))
	return int64(h.Sum64())
}()

// takeTurn waits for the lock of this transaction, then sets the limits that its
// statements run under. A server-wide statement_timeout is meant for the app's
// queries and would cut off the building of an index. A session that has been told
// to read no table as a whole may do so here: a migration has to.
func (m *Migrator) takeTurn(ctx context.Context, tx pgx.Tx) error {
	for _, statement := range []string{
		"set local statement_timeout = 0",
		"set local enable_seqscan to default",
		setLockTimeout(m.opts.TurnTimeout),
		fmt.Sprintf("select pg_catalog.pg_advisory_xact_lock(%d)", lockKey),
		setLockTimeout(m.opts.LockTimeout),
	} {
		if _, err := tx.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	return nil
}

func setLockTimeout(d time.Duration) string {
	return fmt.Sprintf("set local lock_timeout = '%dms'", d.Milliseconds())
}

// explainLock turns a lock timeout into a LockError that names the holder. The
// transaction has failed by now, so it is ended before asking.
func (m *Migrator) explainLock(ctx context.Context, conn *pgx.Conn, tx pgx.Tx, err error) error {
	if !hasCode(err, lockNotAvailable) {
		return fmt.Errorf("take the migration lock: %w", err)
	}
	if tx.Rollback(ctx) != nil {
		return &LockError{Waited: m.opts.TurnTimeout, Err: err}
	}
	return &LockError{Waited: m.opts.TurnTimeout, Holder: lockHolder(ctx, conn), Err: err}
}

// lockHolder returns nil when the server does not say who it is.
func lockHolder(ctx context.Context, conn *pgx.Conn) *Holder {
	rows, err := conn.Query(ctx, `select a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''),
			coalesce(host(a.client_addr), 'local'), coalesce(a.xact_start, a.backend_start, now())
		from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a using (pid)
		where l.locktype = 'advisory' and l.granted and l.objsubid = 1
			and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
			and l.classid = $1 and l.objid = $2`,
		pgx.QueryExecModeExec, uint32(uint64(lockKey)>>32), uint32(lockKey))
	if err != nil {
		return nil
	}
	holder, err := pgx.CollectOneRow(rows, pgx.RowToAddrOfStructByPos[Holder])
	if err != nil {
		return nil
	}
	return holder
}
