package app

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// Bad rows in one transaction with good ones: the good ones are served, each bad one fails alone and says why.
func TestBadRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`alter table events alter column user_id drop not null, alter column title drop not null, alter column start_ts drop not null`) // as an older app may have it
	user, _ := w.user()
	w.start()
	type row struct {
		name, columns, values string
		status, says          string
	}
	rows := []row{
		{"plain", "title", "'Practice'", "synced", ""},
		{"10 MB title", "title", "repeat('x', 10 << 20)", "failed", "title, location and prep_items hold 10.0 MB"},
		{"10 MB location", "title, location", "'a', repeat('x', 10 << 20)", "failed", "shorten them"},
		{"long title", "title", "repeat('x', 1001)", "failed", "title has more than 1000 characters"},
		{"end before start", "title, end_ts", "'a', now()", "failed", "before start_ts"},
		{"year 294000", "title, start_ts", "'a', '294000-01-01'", "failed", "start_ts is in the year 294000"},
		{"before Christ", "title, start_ts", "'a', '4000-01-01 BC'", "failed", "use a time between 1970 and 2199"},
		{"infinite start", "title, start_ts", "'a', 'infinity'", "failed", "start_ts is missing or infinite"},
		{"infinite end", "title, end_ts", "'a', 'infinity'", "synced", ""},
		{"no start", "title, start_ts", "'a', null", "failed", "start_ts is missing"},
		{"empty title", "title", "''", "failed", "title is empty"},
		{"blank title", "title", "E' \\n\\t '", "failed", "title is empty"},
		{"no title", "title", "null", "failed", "title is empty"},
		{"no user", "title, user_id", "'a', null", "failed", "user_id is missing"},
		{"prep_items with nulls", "title, prep_items", "'Nulls', array[null, 'cleats', '', null, 'water']", "synced", ""},
		{"nested prep_items", "title, prep_items", "'Nested', array[['a','b'],['c','d']]", "synced", ""},
		{"emoji and right-to-left", "title, location", "'👨‍👩‍👧 אימון כדורגל ⚽ تدريب', 'المدرسة'", "synced", ""},
		{"SQL and HTML", "title, location", "'''; drop table events; --', '<script>alert(1)</script> &amp;'", "synced", ""},
		{"control characters", "title", "E'a\\x01\\x1b[31mb'", "synced", ""},
	}
	tx, err := w.db.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	ids := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		columns, values := r.columns, r.values
		if !strings.Contains(columns, "user_id") {
			columns, values = columns+", user_id", values+", '"+user.String()+"'"
		}
		if !strings.Contains(columns, "start_ts") {
			columns, values = columns+", start_ts", values+", now() + interval '2 days'"
		}
		if err := tx.QueryRow(context.Background(), "insert into events ("+columns+") values ("+values+") returning id").Scan(&ids[i]); err != nil {
			t.Fatalf("%s: %v", r.name, err)
		}
	}
	if err := tx.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		w.untilStatus(ids[i], r.status)
		if says := one[string](w, `select coalesce(error_message, '') from events where id = $1`, ids[i]); !strings.Contains(says, r.says) || r.says == "" && says != "" {
			t.Errorf("%s: error_message %q, want %q in it", r.name, says, r.says)
		}
	}
	if v := w.google.Violations(); len(v) > 0 {
		t.Errorf("violations of Google's description: %v", v)
	}
}
