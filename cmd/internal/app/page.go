package app

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/cmd/internal/page"
	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/sql/store"
)

const (
	// pageRows is up to how many rows of one kind are counted for the overview, which is read every two seconds while somebody looks.
	pageRows = 1000
	// pageNext is how many reminders are named there.
	pageNext = 10
	// pageLooked is among how many rows of each queue the oldest and its latest error are looked for.
	pageLooked = 200
)

// openPage makes the live page.
func (a *App) openPage(build ops.Build) (err error) {
	c := page.DefaultConfig()
	c.Addr, c.Password, c.Zone = a.cfg.HTTPAddr, a.cfg.PagePassword, a.cfg.Zone()
	s := &pageSource{app: a, build: build, started: time.Now(), turn: make(chan struct{}, 1)}
	a.rates = newRates(a.reg, a.log)
	a.page, err = page.New(c, s, pageActions{a}, a.reg, a.log)
	if err != nil {
		return fmt.Errorf("configure live page: %w", err)
	}
	return nil
}

// pageSource reads for the live page. It takes one of the pool's connections at most, and each statement has a few seconds, so that the page never
// keeps the program from its work.
type pageSource struct {
	app     *App
	build   ops.Build
	started time.Time
	turn    chan struct{} // capacity 1: whoever has put something in may read
}

var _ page.Source = (*pageSource)(nil)

// showStatement begins a transaction that changes nothing, and bounds what is read in it. A statement that takes longer is ended by the server, which
// leaves the connection to others.
const showStatement = "begin read only; set local statement_timeout = '3s'"

// read runs statements that are only to be shown.
func (s *pageSource) read(ctx context.Context, do func(context.Context, *store.Queries) error) error {
	if !s.app.start.done() {
		return fmt.Errorf("the database has not been reached: %s", s.app.start.reason())
	}
	ctx = context.WithValue(ctx, asideKey{}, true)
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for another reading: %w", ctx.Err())
	}
	defer func() { <-s.turn }()
	tx, err := s.app.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: showStatement})
	if err != nil {
		return fmt.Errorf("begin to read: %w", err)
	}
	err = do(ctx, store.New(tx))
	if end := tx.Rollback(ctx); err == nil && end != nil { // there is nothing to keep
		err = fmt.Errorf("end reading: %w", end)
	}
	return err
}

// Readiness implements page.Source.
func (s *pageSource) Readiness() page.Readiness {
	r := ops.Examine(s.app.checks())
	told := page.Readiness{Status: string(r.Status)}
	for _, c := range r.Checks {
		told.Checks = append(told.Checks, page.Check{Name: c.Name, Status: string(c.Status), Required: c.Required, Reason: c.Reason, Fix: c.Fix})
	}
	return told
}

// Overview implements page.Source. What the program knows by itself comes with an error, too.
func (s *pageSource) Overview(ctx context.Context) (page.Overview, error) {
	o := page.Overview{At: time.Now(), Stages: s.stages(), Next: []page.Due{}}
	err := s.read(ctx, func(ctx context.Context, db *store.Queries) error {
		clock, err := db.DatabaseNow(ctx)
		if err != nil {
			return fmt.Errorf("read the database's clock: %w", err)
		}
		o.At = clock.NowTs
		if err := readAhead(ctx, db, &o); err != nil {
			return err
		}
		return readWork(ctx, db, &o)
	})
	return o, err
}

// stages are what this worker knows of each by itself.
func (s *pageSource) stages() []page.Stage {
	a := s.app
	all := []page.Stage{
		{Name: page.StageChanges, State: s.hears()}, {Name: page.StageQueue},
		{Name: page.StageGoogle, Part: PartCalendar}, {Name: page.StageReminders, State: fmt.Sprintf("%d in memory", a.sender.Waiting())},
		{Name: page.StagePush, Part: PartPush}, {Name: page.StageReceipts},
	}
	for i := range all {
		all[i].PerMinute = a.rates.perMinute(all[i].Name)
		if p, paused := a.pauses.of(all[i].Part); paused {
			all[i].Pause = &page.Pause{Since: p.Since, Reason: p.Reason}
		}
	}
	google, push := &all[2], &all[4]
	switch left, why := a.events.Paused(); {
	case a.cal == nil:
		google.State, google.Part = "no calendars are written: GOOGLE_CLIENT_ID is not set", ""
	case google.Pause != nil:
		google.Rest = paused(*google.Pause)
	case left > 0:
		google.Rest = fmt.Sprintf("For %s: %s", left.Round(time.Second), why)
	}
	switch left, why := a.sender.Paused(); {
	case push.Pause != nil:
		push.Rest = paused(*push.Pause)
	case left > 0:
		push.Rest = fmt.Sprintf("For %s: %s", left.Round(time.Second), why)
	}
	return all
}

func paused(p page.Pause) string {
	return cmp.Or(p.Reason, "Paused by hand")
}

// hears says how changes are noticed.
func (s *pageSource) hears() string {
	st := s.app.listener.Status()
	if st.State == listener.Listening {
		return fmt.Sprintf("listening, %s there and back", st.RoundTrip.Round(10*time.Microsecond))
	}
	return st.State.String() + ": found by a sweep"
}

// readAhead reads what is coming.
func readAhead(ctx context.Context, db *store.Queries, o *page.Overview) error {
	rows, err := db.RemindersAhead(ctx, pageRows+1)
	if err != nil {
		return fmt.Errorf("read what is coming: %w", err)
	}
	o.Hour.Step, o.Day.Step = 60, 3600
	for _, row := range rows {
		into := &o.Hour
		if row.Nr >= 60 {
			into = &o.Day
		}
		into.From, into.Counts = row.Begins, append(into.Counts, upTo(row.Due))
	}
	next, err := db.NextReminders(ctx, pageNext)
	if err != nil {
		return fmt.Errorf("read the next reminders: %w", err)
	}
	for _, r := range next {
		o.Next = append(o.Next, page.Due{ReminderID: r.ID, EventID: r.EventID, At: r.DueAt, StartsAt: known(r.StartTs), Status: r.Status, Title: r.Title})
	}
	return nil
}

// upTo is a count of up to pageRows, of which one more was asked for.
func upTo(n int64) page.Count { return page.Count{N: int(min(n, pageRows)), More: n > pageRows} }

func sum(counts []page.Count) (all page.Count) {
	for _, c := range counts {
		all.N, all.More = all.N+c.N, all.More || c.More
	}
	return all
}

// readWork reads what waits where.
func readWork(ctx context.Context, db *store.Queries, o *page.Overview) error {
	oldest, err := db.OldestDue(ctx)
	if err != nil {
		return fmt.Errorf("read what waits for longest: %w", err)
	}
	stands, err := db.WorkStanding(ctx, store.WorkStandingParams{MaxLooked: pageLooked, MaxRows: pageRows + 1, Since: o.At.Add(-failureAge)})
	if err != nil {
		return fmt.Errorf("read what waits: %w", err)
	}
	o.FailedEvents, o.FailedReminders = upTo(stands.FailedEvents), upTo(stands.FailedReminders)
	for i := range o.Stages {
		s := &o.Stages[i]
		var n page.Count
		switch s.Name {
		case page.StageQueue:
			n, s.OldestSeconds, s.Error = upTo(stands.Events), max(oldest.Event, stands.EventWaits), stands.EventError
		case page.StageGoogle:
			n = upTo(stands.Copies + stands.Removals)
			s.OldestSeconds, s.Error = max(oldest.Copy, oldest.Removal, stands.CopyWaits), cmp.Or(stands.CopyError, stands.RemovalError)
		case page.StageReminders:
			n = sum(o.Day.Counts)
		case page.StagePush:
			n, s.OldestSeconds, s.Error = upTo(stands.Reminders), oldest.Reminder, stands.ReminderError
		case page.StageReceipts:
			n, s.OldestSeconds = upTo(stands.Receipts), oldest.Receipt
		default:
			continue
		}
		s.Waiting = &n
		if strings.Contains(s.Rest, s.Error) { // it is told already
			s.Error = ""
		}
	}
	return nil
}
