package bench

import (
	"context"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// fillPage is how many numbered rows one transaction writes.
const fillPage = 50_000

// fill has a statement write the rows 1 to n, as Statements says, a connection for each processor.
func (r *rig) fill(ctx context.Context, statement string, n int, args ...any) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(min(processors(), writers))
	for from := 1; from <= n; from += fillPage {
		work.Go(func() error {
			return pgx.BeginFunc(ctx, r.db, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "set local session_replication_role = replica"); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, statement, append([]any{from, min(n, from+fillPage-1)}, args...)...)
				return err
			})
		})
	}
	return work.Wait()
}

// settle has the server do what it would do by itself sooner or later after many rows were written, so that it does not while something is measured.
func (r *rig) settle(ctx context.Context) error {
	for _, statement := range []string{"vacuum analyze", "checkpoint"} {
		if _, err := r.db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
