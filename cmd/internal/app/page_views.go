package app

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/cmd/internal/page"
	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/store"
)

const (
	// storyReminders and storyPushes bound what is told of one event.
	storyReminders = 200
	storyPushes    = 1000
	storyCopies    = 20
	// failureRows is how many failures of a kind are looked at: to find the reason of one takes the server some tenths of a millisecond.
	failureRows = 2000
	// groupExamples bounds the examples of all groups of failures together: the most frequent hundred have theirs.
	groupExamples = 500
	// accountRows bounds how many accounts of one state are counted, and deviceRows how many devices.
	accountRows = 10_000
	deviceRows  = 10_000
	// listedAccounts and listedDevices are how many are named.
	listedAccounts = 100
	listedDevices  = 50
	// retiredRows is how many of the latest retired devices the reasons are counted of.
	retiredRows = 1000
)

// Story implements page.Source.
func (s *pageSource) Story(ctx context.Context, id uuid.UUID) (told page.Story, err error) {
	err = s.read(ctx, func(ctx context.Context, db *store.Queries) error {
		told, err = readStory(ctx, db, id)
		return err
	})
	return told, err
}

// readStory finds the event by its own id, and if there is none by that of a reminder.
func readStory(ctx context.Context, db *store.Queries, id uuid.UUID) (page.Story, error) {
	told, err := storyOf(ctx, db, id)
	if err != nil || told.Event != nil || len(told.Copies) > 0 {
		return told, err
	}
	events, err := db.EventOfReminder(ctx, id)
	if err != nil {
		return told, fmt.Errorf("read the event of a reminder: %w", err)
	}
	if len(events) == 0 {
		return told, page.ErrUnknown
	}
	told, err = storyOf(ctx, db, events[0])
	told.Asked = id
	return told, err
}

func storyOf(ctx context.Context, db *store.Queries, id uuid.UUID) (page.Story, error) {
	told := page.Story{ID: id, At: time.Now(), Copies: []page.Copy{}, Reminders: []page.Reminder{}}
	events, err := db.StoryEvent(ctx, id)
	if err != nil {
		return told, fmt.Errorf("read event: %w", err)
	}
	for _, e := range events {
		told.At = e.NowTs
		told.Event = &page.Event{
			UserID: e.UserID, Title: e.Title, Location: e.Location, StartsAt: known(e.StartTs), EndsAt: known(e.EndTs), CreatedAt: known(e.CreatedAt),
			Status: e.Status, Error: e.ErrorMessage, Revision: e.SyncRevision, ChangedAt: known(e.ChangedAt), Planned: e.Planned, Attempts: int(e.SyncAttempts),
			DueAt: known(e.DueAt), HeldTill: known(e.LeaseUntil), Dismissed: known(e.DismissedAt),
		}
	}
	copies, err := db.StoryCopies(ctx, store.StoryCopiesParams{EventID: id, MaxRows: storyCopies})
	if err != nil {
		return told, fmt.Errorf("read copies: %w", err)
	}
	for _, k := range copies {
		told.At = k.NowTs
		told.Copies = append(told.Copies, page.Copy{
			UserID: k.UserID, CalendarID: k.CalendarID, GoogleEventID: k.GoogleEventID, Generation: int(k.Generation), NotedAt: k.CreatedAt,
			WrittenAt: known(k.WrittenAt), TombstonedAt: known(k.TombstonedAt), GoneAt: known(k.GoneAt), DueAt: known(k.DueAt), Attempts: int(k.Attempts), Error: k.ErrorMessage,
		})
	}
	return told, readReminders(ctx, db, &told)
}

// readReminders reads those of an event, and what became of their pushes.
func readReminders(ctx context.Context, db *store.Queries, told *page.Story) error {
	rows, err := db.StoryReminders(ctx, store.StoryRemindersParams{EventID: told.ID, MaxRows: storyReminders + 1})
	if err != nil {
		return fmt.Errorf("read reminders: %w", err)
	}
	if told.More = len(rows) > storyReminders; told.More {
		rows = rows[:storyReminders]
	}
	var ids []uuid.UUID
	at := map[uuid.UUID]int{}
	for i, r := range rows {
		ids, at[r.ID] = append(ids, r.ID), i
		told.Reminders = append(told.Reminders, page.Reminder{
			ID: r.ID, DueAt: known(r.NotifyAtTs), LeadSeconds: int(r.LeadSeconds), Status: r.Status, CreatedAt: known(r.CreatedAt), AskedAt: known(r.AskedAt),
			NextAt: known(r.NextAttemptAt), SentAt: known(r.SentAtTs), Attempts: int(r.RetryCount), Snoozed: r.Snoozed, Message: r.Message, Error: r.ErrorMessage, Deliveries: []page.Delivery{},
		})
	}
	pushes, err := db.StoryDeliveries(ctx, store.StoryDeliveriesParams{ReminderIds: ids, MaxRows: storyPushes + 1})
	if err != nil {
		return fmt.Errorf("read deliveries: %w", err)
	}
	if len(pushes) > storyPushes {
		told.More, pushes = true, pushes[:storyPushes]
	}
	for _, d := range pushes {
		r := &told.Reminders[at[d.ReminderID]]
		r.Deliveries = append(r.Deliveries, page.Delivery{
			Token: expo.Mask(d.Token), State: d.State, Ticket: d.TicketID, SentAt: d.SentAt, LatenessMs: d.LatenessMs, Attempts: int(d.Attempts),
			ReceiptDueAt: known(d.ReceiptDueAt), SettledAt: known(d.SettledAt), Code: d.ErrorCode, Error: d.ErrorMessage,
		})
	}
	return nil
}

// Failures implements page.Source.
func (s *pageSource) Failures(ctx context.Context) (page.Failures, error) {
	told := page.Failures{At: time.Now(), Groups: []page.Group{}}
	err := s.read(ctx, func(ctx context.Context, db *store.Queries) error {
		rows, err := db.FailureGroups(ctx, store.FailureGroupsParams{Since: told.At.Add(-failureAge), MaxRows: failureRows, MaxExamples: groupExamples})
		if err != nil {
			return fmt.Errorf("read failures: %w", err)
		}
		told.More = len(rows) == groupExamples
		for _, row := range rows {
			last := len(told.Groups) - 1
			if last < 0 || told.Groups[last].Kind != row.Kind || told.Groups[last].Reason != row.Reason {
				told.Groups = append(told.Groups, page.Group{
					Kind: row.Kind, Reason: row.Reason, Count: page.Count{N: int(row.Failed), More: row.Looked >= failureRows},
					Oldest: known(row.Oldest), Newest: known(row.Newest),
				})
				last++
			}
			g := &told.Groups[last]
			g.Examples = append(g.Examples, page.Example{ID: row.ID, EventID: row.EventID, At: known(row.At), Title: row.Title})
		}
		return nil
	})
	return told, err
}

// Connections implements page.Source.
func (s *pageSource) Connections(ctx context.Context) (page.Connections, error) {
	told := page.Connections{At: time.Now(), States: []page.AccountState{}, Reconnect: []page.Account{}}
	err := s.read(ctx, func(ctx context.Context, db *store.Queries) error {
		states, err := db.AccountReasons(ctx, accountRows+1)
		if err != nil {
			return fmt.Errorf("read accounts: %w", err)
		}
		for _, row := range states {
			n := page.Count{N: int(min(row.Accounts, accountRows)), More: row.Accounts > accountRows}
			told.States = append(told.States, page.AccountState{State: row.State, Reason: row.Reason, Count: n})
		}
		accounts, err := db.ReconnectAccounts(ctx, listedAccounts+1)
		if err != nil {
			return fmt.Errorf("read who has to connect again: %w", err)
		}
		if told.More = len(accounts) > listedAccounts; told.More {
			accounts = accounts[:listedAccounts]
		}
		for _, row := range accounts {
			told.Reconnect = append(told.Reconnect, page.Account{UserID: row.UserID, State: row.State, Reason: row.Reason, Since: row.UpdatedAt, ToldAt: known(row.NoticedAt)})
		}
		return nil
	})
	return told, err
}

// Devices implements page.Source.
func (s *pageSource) Devices(ctx context.Context) (page.Devices, error) {
	told := page.Devices{At: time.Now(), Platforms: []page.Platform{}, Reasons: []page.RetiredReason{}, Retired: []page.Device{}}
	err := s.read(ctx, func(ctx context.Context, db *store.Queries) error {
		platforms, err := db.DevicePlatforms(ctx, deviceRows)
		if err != nil {
			return fmt.Errorf("read devices: %w", err)
		}
		seen := 0
		for _, row := range platforms {
			seen += int(row.Devices)
			told.Platforms = append(told.Platforms, page.Platform{Name: row.Platform, Count: page.Count{N: int(row.Devices)}})
		}
		told.Sampled = seen == deviceRows
		retired, err := db.RetiredDevices(ctx, retiredRows)
		if err != nil {
			return fmt.Errorf("read retired devices: %w", err)
		}
		reasons := map[string]int{}
		for i, row := range retired {
			reasons[row.Reason]++
			if i < listedDevices {
				told.Retired = append(told.Retired, page.Device{
					UserID: row.UserID, Token: expo.Mask(row.Token), Platform: row.Platform, RegisteredAt: row.RegisteredAt, RetiredAt: row.RetiredAt, Reason: row.Reason,
				})
			}
		}
		for _, reason := range slices.Sorted(maps.Keys(reasons)) {
			told.Reasons = append(told.Reasons, page.RetiredReason{Reason: reason, Count: page.Count{N: reasons[reason], More: len(retired) == retiredRows}})
		}
		slices.SortStableFunc(told.Reasons, func(a, b page.RetiredReason) int { return b.Count.N - a.Count.N })
		return nil
	})
	return told, err
}

// System implements page.Source. All but the server's version is known without it.
func (s *pageSource) System(ctx context.Context) (page.System, error) {
	a := s.app
	st, pool := a.listener.Status(), a.pool.Stat()
	told := page.System{
		At: time.Now(), Version: s.build.Version, Revision: s.build.Revision, GoVersion: runtime.Version(), StartedAt: s.started,
		Listener: page.Listener{
			Source: st.Source, State: st.State.String(), Since: st.Since, LastChange: st.LastChange, LastProof: st.LastProof,
			RoundTripSeconds: st.RoundTrip.Seconds(), Reconnects: st.Reconnects, RemindersInMemory: a.sender.Waiting(),
		},
		Pool: page.Pool{
			Total: int(pool.TotalConns()), InUse: int(pool.AcquiredConns()), Idle: int(pool.IdleConns()), Max: int(pool.MaxConns()), Waits: pool.EmptyAcquireCount(),
		},
		Database: page.Database{Address: place(&a.pool.Config().ConnConfig.Config), Pooled: a.route.pooled.Load()},
		Settings: s.settings(),
	}
	if st.Err != nil {
		told.Listener.Error = a.whyDeaf(st.Err)
	}
	if all, err := migrations.List(); err == nil && a.start.done() { // it serves no other schema
		told.Database.Schema = len(all)
	}
	err := s.read(ctx, func(ctx context.Context, db *store.Queries) error {
		row, err := db.Workers(ctx)
		told.Database.Version, _, _ = strings.Cut(row.ServerVersion, " ") // what follows is the packager's
		return err
	})
	if err != nil && ctx.Err() == nil {
		a.log.Debug().Err(err).Msg("version of the server not read")
	}
	return told, nil
}

// settings are the variables as they may be seen.
func (s *pageSource) settings() (all []page.Setting) {
	for _, v := range s.app.cfg.settings() {
		all = append(all, page.Setting{Name: v.Name, Value: v.Value, Source: string(v.Source)})
	}
	return all
}

// pageActions are what may be changed on the page.
type pageActions struct{ app *App }

var _ page.Actions = pageActions{}

// Retry implements page.Actions.
func (p pageActions) Retry(ctx context.Context, r page.RetryRequest) (told page.RetryResult, err error) {
	report, err := p.app.Retry(ctx, RetryOptions{Events: r.Events, Reminders: r.Reminders, Reason: r.Reason, All: r.All})
	for _, sum := range report.Reasons {
		switch sum.Kind {
		case kindEvent:
			told.Events += sum.Outcomes[Retried]
		case kindReminder:
			told.Reminders += sum.Outcomes[Retried]
		}
	}
	told.TooLate = report.Count(TooLate) + report.Count(Withdrawn)
	told.Unchanged = report.Count(NotFailed) + report.Count(Busy) + report.Count(Refused)
	told.Unknown = report.Count(UnknownRow)
	return told, err
}

// Pause implements page.Actions.
func (p pageActions) Pause(ctx context.Context, part, reason string) error {
	return p.app.Pause(ctx, part, reason)
}

// Resume implements page.Actions.
func (p pageActions) Resume(ctx context.Context, part string) error { return p.app.Resume(ctx, part) }
