package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/store"
)

// Count is a number of rows, of which no more than 10,000 are counted.
type Count int

// String shows where there may be more.
func (c Count) String() string {
	if c >= countLimit {
		return "10,000+"
	}
	return thousands(int(c))
}

// MarshalJSON is an object, for one number cannot say that there may be more.
func (c Count) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Count int  `json:"count"`
		More  bool `json:"or_more,omitempty"`
	}{int(c), c >= countLimit})
}

// thousands writes a number with commas.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// Waiting is work of one kind that is due.
type Waiting struct {
	// Kind is event (to plan), copy (to write), removal, reminder or receipt.
	Kind string `json:"kind"`
	Due  Count  `json:"due"`
	// OldestSeconds is for how long the first has been due.
	OldestSeconds float64 `json:"oldest_seconds"`
}

// QuotaUse is how much of a quota all workers together hold at the moment.
type QuotaUse struct {
	Name    string `json:"name"`
	Held    int    `json:"held"`
	Allowed int    `json:"allowed"` // 0: without limit
	Seconds int    `json:"seconds"` // the span that Allowed is for
}

// SchemaStatus is which migrations the database has.
type SchemaStatus struct {
	Applied int `json:"applied"`
	// Known is how many this program has.
	Known int `json:"known"`
	// Fault says what is wrong; empty: the database is up to date.
	Fault string `json:"fault,omitempty"`
}

// WorkersStatus is what the database tells of workers. Whether one lives it tells only where that one hears, or has connected as the same role.
type WorkersStatus struct {
	// Hears says that a worker has asked to be told of commits: notify, wal, both with a comma, or empty. In a storm of commits none does, for a while.
	Hears string `json:"hears"`
	// Sessions are those of workers that are shown to this role.
	Sessions int `json:"sessions"`
}

// AccountsStatus counts accounts by state.
type AccountsStatus struct {
	Connected      Count `json:"connected"`
	NeedsReconnect Count `json:"needs_reconnect"`
	Leaving        Count `json:"leaving"`
	Off            Count `json:"off"`
}

// Status is how everything stands, as the database tells it.
type Status struct {
	At            time.Time     `json:"at"`
	ServerVersion string        `json:"server_version"`
	Standby       bool          `json:"standby"`
	Schema        SchemaStatus  `json:"schema"`
	Workers       WorkersStatus `json:"workers"`
	Pauses        []Pause       `json:"pauses"`
	Waiting       []Waiting     `json:"waiting"`
	// NextReminder is when the next one is due that is not yet; zero: there is none.
	NextReminder   time.Time      `json:"next_reminder_at,omitzero"`
	RemindersToday Count          `json:"reminders_within_a_day"`
	Accounts       AccountsStatus `json:"accounts"`
	Devices        Count          `json:"devices"`
	Quotas         []QuotaUse     `json:"quotas"`
	Failures       Failures       `json:"failures"`
	// Attention is what needs a person, in words; empty: nothing does.
	Attention []string `json:"attention"`
}

// statusLimit bounds all questions of one status together.
const statusLimit = 30 * time.Second

// ReadStatus tells how everything stands, by reading the database alone: in one transaction that may write nothing, by index, counting up to 10,000 rows
// of a kind. Of a schema that is not up to date it tells no more than that. A standby is told from as well.
func ReadStatus(ctx context.Context, c Config, conn *pgx.Conn) (s Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	m, err := migrations.New(migrations.Options{})
	if err != nil {
		return s, err
	}
	states, err := m.Status(ctx, conn)
	if err != nil {
		return s, fmt.Errorf("read schema: %w", err)
	}
	s = Status{Schema: schemaStatus(states), Pauses: []Pause{}, Waiting: []Waiting{}, Quotas: []QuotaUse{}, Attention: []string{}}
	if s.Schema.Fault != "" {
		s.At = time.Now().UTC()
		s.Attention = append(s.Attention, "schema: "+s.Schema.Fault)
		return s, nil
	}
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return s.read(ctx, c, store.New(tx))
	})
	if err != nil {
		return s, err
	}
	s.judge()
	return s, nil
}

func schemaStatus(states []migrations.State) (s SchemaStatus) {
	count := map[migrations.Verdict]int{}
	for _, state := range states {
		count[state.Verdict]++
	}
	s.Applied, s.Known = count[migrations.Applied], len(states)-count[migrations.Unknown]
	switch {
	case count[migrations.Unknown] > 0:
		s.Fault = "the database is of a newer program: use that, or a copy of the database"
	case count[migrations.Changed] > 0:
		s.Fault = "migrations were changed after they were applied: reminder-worker doctor"
	case count[migrations.Pending] > 0:
		s.Fault = fmt.Sprintf("%d of %d migrations are pending: reminder-worker migrate up", count[migrations.Pending], s.Known)
	}
	return s
}

// read asks everything.
func (s *Status) read(ctx context.Context, c Config, db *store.Queries) error {
	w, err := db.Workers(ctx)
	if err != nil {
		return fmt.Errorf("read workers: %w", err)
	}
	s.At, s.ServerVersion, s.Standby = w.NowTs.UTC(), w.ServerVersion, w.Standby
	s.Workers = WorkersStatus{Hears: waysHeard(w), Sessions: int(w.Sessions)}
	if s.Pauses, err = readPauses(ctx, db); err != nil {
		return err
	}
	if err := s.readWork(ctx, db); err != nil {
		return err
	}
	p, err := db.People(ctx, countLimit)
	if err != nil {
		return fmt.Errorf("count accounts and devices: %w", err)
	}
	s.Accounts = AccountsStatus{Count(p.Connected), Count(p.NeedsReconnect), Count(p.Leaving), Count(p.Off)}
	s.Devices = Count(p.Devices)
	if !s.Standby { // which has no unlogged tables
		if err := s.readQuotas(ctx, c, db); err != nil {
			return err
		}
	}
	s.Failures, err = readFailures(ctx, db, s.At)
	return err
}

func waysHeard(w store.WorkersRow) string {
	var ways []string
	if w.HearsNotify {
		ways = append(ways, sourceNotify)
	}
	if w.HearsWal {
		ways = append(ways, sourceWAL)
	}
	return strings.Join(ways, ",")
}

// readWork asks what is due, and since when.
func (s *Status) readWork(ctx context.Context, db *store.Queries) error {
	n, err := db.WorkWaiting(ctx, countLimit)
	if err != nil {
		return fmt.Errorf("count what is due: %w", err)
	}
	oldest, err := db.OldestDue(ctx)
	if err != nil {
		return fmt.Errorf("read since when work is due: %w", err)
	}
	ages := []float64{oldest.Event, oldest.Copy, oldest.Removal, oldest.Reminder, oldest.Receipt}
	for i, due := range []int64{n.Events, n.Copies, n.Removals, n.Reminders, n.Receipts} {
		s.Waiting = append(s.Waiting, Waiting{Kind: kindsOfWork[i], Due: Count(due), OldestSeconds: ages[i]})
	}
	s.NextReminder, s.RemindersToday = known(n.NextReminderAt), Count(n.RemindersToday)
	return nil
}

func (s *Status) readQuotas(ctx context.Context, c Config, db *store.Queries) error {
	push, calendar := c.pushQuota(), c.calendarQuota()
	rows, err := db.QuotasUsed(ctx, []string{push.Quota, calendar.Quota})
	if err != nil {
		return fmt.Errorf("read quotas: %w", err)
	}
	held := map[string]int{}
	for _, row := range rows {
		held[row.Name] = int(row.Held)
	}
	s.Quotas = []QuotaUse{
		{push.Quota, held[push.Quota], push.Allowed, int(push.Window.Seconds())},
		{calendar.Quota, held[calendar.Quota], calendar.Allowed, int(calendar.Window.Seconds())},
	}
	return nil
}

// overdue is after how many seconds work of a kind should have been taken, as the alerts have it, the part without which it waits, and its name.
var overdue = map[string]struct {
	seconds    float64
	part, name string
}{
	"event": {300, "", "events to plan"}, "copy": {300, PartCalendar, "copies to write"}, "removal": {300, PartCalendar, "removals of copies"},
	"reminder": {60, PartPush, "reminders"}, "receipt": {3600, "", "receipts"},
}

// judge says what needs a person.
func (s *Status) judge() {
	paused := map[string]bool{}
	for _, p := range s.Pauses {
		paused[p.Part] = true
		s.Attention = append(s.Attention, p.Part+" is "+p.text()+". "+p.fix())
	}
	for _, w := range s.Waiting {
		if limit := overdue[w.Kind]; w.OldestSeconds > limit.seconds && !paused[limit.part] {
			s.Attention = append(s.Attention, fmt.Sprintf("%s have been due for %s, and nobody takes them: does a worker run? Its /readyz and its log say more",
				limit.name, time.Duration(w.OldestSeconds)*time.Second))
		}
	}
	for _, f := range []struct {
		one, many string
		all       []Failure
	}{{"event has", "events have", s.Failures.Events}, {"reminder has", "reminders have", s.Failures.Reminders}} {
		n := 0
		for _, one := range f.all {
			if !ofUser(one.Reason) {
				n += one.Count
			}
		}
		if n > 0 {
			s.Attention = append(s.Attention, soMany(Count(n), f.one, f.many)+" failed: mend what the reasons name, then reminder-worker retry")
		}
	}
}

// soMany says how many there are.
func soMany(n Count, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return n.String() + " " + many
}

// ofUser reports whether a reminder failed because its user has no device: that is theirs to change.
func ofUser(reason string) bool {
	return strings.HasPrefix(reason, "no device: ") || strings.HasPrefix(reason, "no device took it: ") && strings.Contains(reason, "DeviceNotRegistered")
}
