package pgtest_test

import (
	"testing"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestNewGivesEachTestItsOwnMigratedDatabase(t *testing.T) {
	for range 4 {
		t.Run("one of several", func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			if _, err := db.Pool.Exec(t.Context(), `create table public.mine (id int)`); err != nil {
				t.Fatal(err)
			}
			var events int
			if err := db.Connect(t).QueryRow(t.Context(), `select count(*) from public.events`).Scan(&events); err != nil {
				t.Fatal(err)
			}
		})
	}
}
