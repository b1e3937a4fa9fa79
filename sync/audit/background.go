package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

const (
	// turnName is the row by which workers take turns.
	turnName = "background"
	// turnLease is after how long a step is another worker's that its own has not ended.
	turnLease = 5 * time.Minute
	// stepLimit is for how long a worker makes one step, so that it can say within the lease what came of it.
	stepLimit = turnLease * 4 / 5
	// longestNap is the longest time between two looks at whose turn it is.
	longestNap = time.Minute
	// stopLimit bounds what is written when the worker has been stopped.
	stopLimit = 5 * time.Second
)

// part is one of the walks of a round. Empty: the round is over.
type part string

const (
	partSchema    part = "schema"
	partPauses    part = "pauses"
	partEvents    part = "events"
	partCopies    part = "copies"
	partReminders part = "reminders"
	partAccounts  part = "accounts"
)

// position is how far a round has come: within a part, behind which row.
type position struct {
	part  part
	after string
}

// Run makes one round in every Config.Interval, step by step, with the other workers, until ctx ends. Without an interval it does nothing.
func (a *Auditor) Run(ctx context.Context) {
	if a.cfg.Interval == 0 {
		return
	}
	for ctx.Err() == nil {
		nap, err := a.turn(ctx)
		if err != nil && ctx.Err() == nil {
			a.m.failed.Inc()
			a.log.Warn().Err(err).Msg("step of the audit failed")
			nap = longestNap
		}
		_ = pause(ctx, nap) // ended: so is the loop
	}
}

// turn makes the next step if it is due, and returns when to look again. While calendars are paused by hand none is made.
func (a *Auditor) turn(ctx context.Context) (nap time.Duration, err error) {
	if a.paused.Load() {
		return longestNap, nil
	}
	due, err := a.db.TurnDue(ctx, turnName)
	if err != nil {
		return 0, fmt.Errorf("ask whose turn it is: %w", err)
	}
	if due.InMs > 0 {
		return min(time.Duration(min(due.InMs, 1e9))*time.Millisecond+time.Millisecond, longestNap), nil
	}
	rows, err := a.db.TakeTurn(ctx, store.TakeTurnParams{Name: turnName, LeaseMs: turnLease.Milliseconds()})
	if err != nil || len(rows) == 0 {
		return a.cfg.MinPause, err
	}
	return 0, a.step(ctx, rows[0], a.pace(due))
}

// pace is the time between two steps that spreads a round over the interval.
func (a *Auditor) pace(about store.TurnDueRow) time.Duration {
	steps := 4 + about.Accounts + (about.Events+about.Copies+about.Reminders)/float64(a.cfg.Page)
	return max(a.cfg.MinPause, time.Duration(float64(a.cfg.Interval)/steps))
}

// step makes one step and writes how far the round has come. An account that takes longer than a step may is passed over, with a word: the round
// would never get beyond it.
func (a *Auditor) step(ctx context.Context, t store.TakeTurnRow, rest time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, a.stepLimit)
	defer cancel()
	r := &run{Auditor: a, scope: Scope{Repair: a.cfg.Repair, Google: true}}
	here := position{part(t.Part), t.After}
	next, err := r.one(limited, here)
	if err == nil {
		err = r.flush(limited)
	}
	if err != nil && here.part == partAccounts && next.part == partAccounts && limited.Err() != nil && ctx.Err() == nil {
		user, _ := uuid.Parse(next.after)
		r.note([]Finding{{Kind: AccountNotRead, UserID: user, Detail: fmt.Sprintf(
			"not within %s, and the rest of the account was not looked at: reminder-worker audit --user takes its time", a.stepLimit)}})
		err = nil
	}
	r.report.finish()
	if err != nil {
		next, rest = position{part(t.Part), t.After}, longestNap // made again
	}
	found := sums(t.Found, r.report)
	a.tell(r.report)
	if err == nil && next.part == "" {
		rest = max(rest, a.cfg.Interval-time.Since(t.BeganAt))
		a.ended(found, time.Since(t.BeganAt))
		found = map[Kind]int{}
	}
	text, _ := json.Marshal(found) // words and numbers
	// Also when the worker is stopped, so that another goes on at once.
	writing, done := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer done()
	_, recorded := a.db.EndTurn(writing, store.EndTurnParams{
		Name: turnName, Lease: t.Lease, Part: string(next.part), After: next.after, Found: text, PauseMs: rest.Milliseconds(),
	})
	if err == nil && recorded != nil {
		err = fmt.Errorf("write how far the audit has come: %w", recorded)
	}
	return err
}

// one looks at one page or account from a position on, and returns where the next step begins.
func (r *run) one(ctx context.Context, at position) (position, error) {
	id, _ := uuid.Parse(at.after)
	switch at.part {
	case "", partSchema:
		return position{part: partPauses}, r.lookAtSchema(ctx)
	case partPauses:
		return position{part: partEvents}, r.walkPauses(ctx, uuid.Nil)
	case partEvents:
		next, err := r.pageOfEvents(ctx, id)
		return behind(partEvents, next, partCopies), err
	case partCopies:
		from := copyKey{}
		if event, user, ok := strings.Cut(at.after, " "); ok {
			from.event, _ = uuid.Parse(event)
			from.user, _ = uuid.Parse(user)
		}
		next, err := r.pageOfCopies(ctx, from)
		if next == (copyKey{}) {
			return position{part: partReminders}, err
		}
		return position{partCopies, next.event.String() + " " + next.user.String()}, err
	case partReminders:
		next, err := r.pageOfReminders(ctx, readPlace(at.after))
		if next == (place{}) {
			return position{part: partAccounts}, err
		}
		return position{partReminders, next.String()}, err
	default:
		next, err := r.oneAccount(ctx, id)
		return behind(partAccounts, next, ""), err
	}
}

// behind is the position behind a row, or where the next part begins if there is none.
func behind(here part, last uuid.UUID, then part) position {
	if last == uuid.Nil {
		return position{part: then}
	}
	return position{here, last.String()}
}

// oneAccount reads the next account that is connected, and returns it; nil: there is none.
func (r *run) oneAccount(ctx context.Context, after uuid.UUID) (uuid.UUID, error) {
	if r.cal == nil {
		return uuid.Nil, nil
	}
	for {
		rows, err := r.accounts(ctx, after, 1)
		if err != nil || len(rows) == 0 {
			return uuid.Nil, err
		}
		if after = rows[0].UserID; rows[0].State == "connected" && !rows[0].Paused {
			return after, r.readAccount(ctx, rows[0])
		}
	}
}

// flush judges what waits for its second look.
func (r *run) flush(ctx context.Context) error {
	for _, j := range []*judge{r.events, r.copies, r.reminders} {
		if j == nil {
			continue
		}
		if err := j.flush(ctx); err != nil {
			return err
		}
	}
	return r.confirm(ctx)
}

// String writes a place in the queue, for readPlace.
func (p place) String() string { return strconv.FormatInt(p.at.UnixMicro(), 10) + " " + p.id.String() }

func readPlace(text string) place {
	micros, id, _ := strings.Cut(text, " ")
	at, err := strconv.ParseInt(micros, 10, 64)
	if err != nil {
		return place{at: beginning}
	}
	p := place{at: time.UnixMicro(at)}
	p.id, _ = uuid.Parse(id)
	return p
}

// sums adds what a step has found to what the round had.
func sums(before []byte, r Report) map[Kind]int {
	all := map[Kind]int{}
	_ = json.Unmarshal(before, &all) // what cannot be read is forgotten
	for _, s := range r.Sums {
		all[s.Kind] += s.Found
	}
	return all
}

// tell logs what a step has found, but for what is only worth a word.
func (a *Auditor) tell(r Report) {
	for _, s := range r.Sums {
		if !s.Info {
			a.log.Warn().Str("kind", string(s.Kind)).Int("found", s.Found).Int("repaired", s.Repaired).
				Stringer("event", s.Examples[0].EventID).Stringer("user", s.Examples[0].UserID).Str("example", s.Examples[0].Detail).Msg("out of step")
		}
	}
}

func (a *Auditor) ended(found map[Kind]int, took time.Duration) {
	a.m.rounds.Inc()
	a.m.lastRound.SetToCurrentTime()
	total := 0
	for k := range maps.Keys(found) {
		if !k.Info() {
			total += found[k]
		}
	}
	a.log.Info().Int("found", total).Interface("kinds", found).Dur("took_ms", took.Round(time.Millisecond)).Msg("round of the audit ended")
}
