package cleanup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/store"
)

const (
	// maxRefused is after how many rows that the database would not part with the rest of their kind is left.
	maxRefused = 100
	// deletionsKept is for how long the record of a user who has been forgotten is kept, which names nobody.
	deletionsKept = 90 * 24 * time.Hour
	// longestRest bounds the pause after a step that took long.
	longestRest = 5 * time.Second
)

// manner is how each transaction goes about it: it waits for nobody, as whoever holds a row may wait for ours, and for no disk, since what a crash
// brings back is removed again.
const manner = `select set_config('lock_timeout', '250ms', true), set_config('synchronous_commit', 'off', true)`

// round is one cleanup under way.
type round struct {
	*Cleaner
	share    float64
	dry      bool
	progress func(Progress)

	part string
	at   place

	counts  Counts
	held    time.Time // until when it is ours, as it was last written
	noted   time.Time // when that was
	refused int64     // rows of this part
	done    int64     // blocks of the parts that are behind us
	total   int64     // blocks of all parts
}

// through goes through all parts from where the round stands, and ends it. When it is broken off, another may go on at once.
func (r *round) through(ctx context.Context) error {
	err := r.walk(ctx)
	if err == nil {
		err = r.end(ctx)
	}
	if err == nil || r.dry || errors.Is(err, errLost) {
		return err
	}
	writing, done := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer done()
	return errors.Join(err, r.q.ReleaseCleanup(writing, r.held))
}

// walk goes through the tables of all parts that are wanted, from where the round stands.
func (r *round) walk(ctx context.Context) error {
	blocks, err := r.blocks(ctx)
	if err != nil {
		return err
	}
	wanted := slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return !p.wanted(r.cfg) })
	for _, p := range wanted {
		r.total += p.blocks(blocks)
	}
	from := max(0, slices.IndexFunc(wanted, func(p part) bool { return p.name == r.part }))
	for i, p := range wanted {
		if i < from {
			r.done += p.blocks(blocks)
			continue
		}
		if p.name != r.part {
			r.part, r.at = p.name, 0
		}
		if err := r.table(ctx, p, start(p.blocks(blocks))); err != nil {
			return fmt.Errorf("clean up %s: %w", p.name, err)
		}
		r.done += p.blocks(blocks)
	}
	return nil
}

func (r *round) blocks(ctx context.Context) (store.TableBlocksRow, error) {
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	blocks, err := r.q.TableBlocks(ctx)
	if err != nil {
		err = fmt.Errorf("ask how large the tables are: %w", err)
	}
	return blocks, err
}

// table goes through one table, to its end as it was.
func (r *round) table(ctx context.Context, p part, end place) error {
	r.refused = 0
	for r.at < end {
		began := time.Now()
		if err := r.step(ctx, p, end); err != nil {
			return err
		}
		if r.refused >= maxRefused {
			r.log.Warn().Str("part", p.name).Int64("refused", r.refused).Msg("the rest of a part is left: the database refuses too many rows")
			r.at = end
		}
		if r.progress != nil {
			r.progress(Progress{Part: p.name, Done: r.done + r.at.block(), Total: r.total, Counts: r.counts})
		}
		if err := pause(ctx, min(longestRest, time.Duration(float64(time.Since(began))*(1/r.share-1)))); err != nil {
			return err
		}
	}
	return nil
}

// step reads on, and removes what it finds.
func (r *round) step(ctx context.Context, p part, end place) error {
	limited, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	next := min(end, start(r.at.block()+r.cfg.Blocks))
	rows, err := p.find(limited, r.q, r.cfg, r.at, next)
	if err != nil {
		return fmt.Errorf("find old rows: %w", err)
	}
	if len(rows) == r.cfg.Batch {
		next = rows[len(rows)-1].at + 1
	}
	switch {
	case r.dry:
		r.counts.add(p.counted(int64(len(rows))))
	case len(rows) > 0:
		err = r.remove(ctx, p, rows)
	case time.Since(r.noted) > r.cfg.Hold/4:
		err = r.note(limited, r.q, r.counts)
	}
	r.at = next
	return err
}

// remove removes rows, in halves if the database refuses one of them.
func (r *round) remove(ctx context.Context, p part, rows []row) error {
	if r.refused >= maxRefused {
		return nil
	}
	err := r.transact(ctx, p, rows)
	pe, refuses := refusal(err)
	switch {
	case !refuses:
		return err
	case len(rows) > 1:
		half := len(rows) / 2
		if err := r.remove(ctx, p, rows[:half]); err != nil {
			return err
		}
		return r.remove(ctx, p, rows[half:])
	case pe.Code == lockNotAvailable || pe.Code == deadlockDetected: // in use, and left to the next time
		return nil
	}
	if r.refused == 0 { // not its message, which may hold what stands in the row
		r.log.Warn().Str("part", p.name).Stringer("id", rows[0].id).Str("sqlstate", pe.Code).Str("constraint", pe.ConstraintName).Str("table", pe.TableName).
			Msg("the database refuses to part with an old row")
	}
	r.refused++
	r.counts.Refused++
	r.m.count(Counts{Refused: 1})
	return nil
}

// transact removes rows and writes that down, in one transaction.
func (r *round) transact(ctx context.Context, p part, rows []row) error {
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	var removed Counts
	before := r.held
	err := pgx.BeginFunc(ctx, r.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, manner); err != nil {
			return fmt.Errorf("set up the transaction: %w", err)
		}
		q := store.New(tx)
		var err error
		if removed, err = p.remove(ctx, q, r.cfg, rows); err != nil {
			return fmt.Errorf("remove old rows: %w", err)
		}
		sum := r.counts
		sum.add(removed)
		return r.note(ctx, q, sum)
	})
	if err != nil {
		r.held = before
		return err
	}
	r.counts.add(removed)
	r.m.count(removed)
	return nil
}

// note writes how far the round has come: to where the present step began, for what that leaves is found again.
func (r *round) note(ctx context.Context, q *store.Queries, counts Counts) error {
	held, err := q.NoteCleanup(ctx, store.NoteCleanupParams{
		Part: r.part, Place: int64(r.at), Removed: counts.text(), HoldMs: r.cfg.Hold.Milliseconds(), HeldUntil: r.held,
	})
	if err != nil {
		return fmt.Errorf("write how far the cleanup has come: %w", err)
	}
	if len(held) == 0 {
		return errLost
	}
	r.held, r.noted = held[0], time.Now()
	return nil
}

// end forgets what the deletions of users have left, and says that all has been looked at.
func (r *round) end(ctx context.Context) error {
	if r.dry {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	for {
		n, err := r.q.ForgetDeletions(ctx, store.ForgetDeletionsParams{KeepMs: deletionsKept.Milliseconds(), MaxRows: int32(r.cfg.Batch)})
		if err != nil {
			return fmt.Errorf("forget deletions: %w", err)
		}
		r.counts.Deletions += n
		r.m.count(Counts{Deletions: n})
		if n < int64(r.cfg.Batch) {
			break
		}
	}
	n, err := r.q.EndCleanup(ctx, store.EndCleanupParams{
		Removed: r.counts.text(), IntervalMs: intervalMs(r.cfg.Interval), HeldUntil: r.held,
	})
	if err != nil {
		return fmt.Errorf("end the cleanup: %w", err)
	}
	if n == 0 {
		return errLost
	}
	r.log.Info().Object("rows", r.counts).Msg("cleanup ended")
	return nil
}

// intervalMs is negative where there is no next cleanup.
func intervalMs(interval time.Duration) int64 {
	if interval == 0 {
		return -1
	}
	return interval.Milliseconds()
}

// What the database says of rows that others are at.
const (
	lockNotAvailable = "55P03"
	deadlockDetected = "40P01"
)

// refusal is what the database has said of rows it would not part with: a constraint or a trigger of the app's, or somebody is at them.
func refusal(err error) (*pgconn.PgError, bool) {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return nil, false
	}
	switch pe.Code[:min(2, len(pe.Code))] {
	case "22", "23", "27", "P0":
		return pe, true
	}
	return pe, pe.Code == lockNotAvailable || pe.Code == deadlockDetected
}
