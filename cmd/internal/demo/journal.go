package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// journalSQL installs what tells the tracker about rows. A reader deletes what it has read, so a commit that overtook another is not missed.
const journalSQL = `
create schema demo;
create table demo.journal (
  nr bigint generated always as identity primary key,
  xid xid8 not null default pg_current_xact_id(),
  tab text not null,
  op text not null,
  was jsonb,
  is_now jsonb
);
create function demo.note() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into demo.journal (tab, op, was, is_now)
  values (tg_table_name, tg_op, case when tg_op <> 'INSERT' then to_jsonb(old) end, case when tg_op <> 'DELETE' then to_jsonb(new) end);
  perform pg_catalog.pg_notify('demo', '');
  return null;
end
$$;
create trigger zz_demo_note after insert or update or delete on public.events for each row execute function demo.note();
create trigger zz_demo_note after insert or update or delete on public.reminders for each row execute function demo.note();`

const readJournalSQL = `
with seen as (delete from demo.journal returning *)
select pg_xact_commit_timestamp(xid::xid), tab, op, was, is_now from seen order by 1, nr`

// entry is one row that changed, and when that was committed.
type entry struct {
	committed time.Time
	table, op string
	was, is   row
}

// row is what the tracker wants to know of an event or a reminder.
type row struct {
	ID           uuid.UUID `json:"id"`
	UserID       uuid.UUID `json:"user_id"`
	Status       string    `json:"status"`
	ErrorMessage string    `json:"error_message"`

	Title        string `json:"title"`
	Start        stamp  `json:"start_ts"`
	Location     string `json:"location"`
	SyncRevision int64  `json:"sync_revision"`

	EventID      uuid.UUID `json:"event_id"`
	NotifyAt     stamp     `json:"notify_at_ts"`
	PlanRevision *int64    `json:"plan_revision"`
	LeadSeconds  int       `json:"lead_seconds"`
}

// stamp is a time as jsonb has it. One that is no time, such as infinity, is the zero time.
type stamp struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (s *stamp) UnmarshalJSON(raw []byte) error {
	s.Time = time.Time{}
	_ = s.Time.UnmarshalJSON(raw) // infinity: the zero time
	return nil
}

func readJournal(ctx context.Context, conn *pgx.Conn) ([]entry, error) {
	rows, err := conn.Query(ctx, readJournalSQL)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	entries, err := pgx.CollectRows(rows, scanEntry)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return entries, nil
}

func scanEntry(r pgx.CollectableRow) (entry, error) {
	var e entry
	var was, is []byte
	if err := r.Scan(&e.committed, &e.table, &e.op, &was, &is); err != nil {
		return e, err
	}
	for raw, into := range map[*[]byte]*row{&was: &e.was, &is: &e.is} {
		if len(*raw) == 0 {
			continue
		}
		if err := json.Unmarshal(*raw, into); err != nil {
			return e, fmt.Errorf("decode row: %w", err)
		}
	}
	return e, nil
}
