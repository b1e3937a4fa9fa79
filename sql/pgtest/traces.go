package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Traces names the tables, as "schema.table: text", in which one of texts stands in any column of any row. Case is ignored.
func Traces(t testing.TB, db *pgxpool.Pool, texts ...string) (found []string) {
	t.Helper()
	var tables []string
	err := db.QueryRow(t.Context(), `
		select array_agg(format('%I.%I', n.nspname, c.relname) order by 1)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`).Scan(&tables)
	if err != nil {
		t.Fatalf("list the tables: %v", err)
	}
	for _, table := range tables {
		for _, text := range texts {
			var there bool
			err := db.QueryRow(t.Context(), `select exists (select from `+table+` t where strpos(lower(to_jsonb(t)::text), lower($1)) > 0)`, text).Scan(&there)
			if err != nil {
				t.Fatalf("search %s: %v", table, err)
			}
			if there {
				found = append(found, table+": "+text)
			}
		}
	}
	return found
}
