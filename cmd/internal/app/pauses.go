package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/audit"
	"github.com/parentpal/reminder-worker/sync/reconcile"
)

// The parts that can be paused by hand, as the table names them.
const (
	PartCalendar = "calendar" // every request to Google
	PartPush     = "push"     // every message to Expo
)

// pauseParts are all of them.
var pauseParts = []string{PartCalendar, PartPush}

// maxPauseReason bounds the words in which a pause is explained, in bytes.
const maxPauseReason = 300

// UnknownPartError says that a part is none.
type UnknownPartError struct{ Part string }

// Error implements error.
func (e *UnknownPartError) Error() string {
	return fmt.Sprintf("there is no part %q: it is %s", e.Part, strings.Join(pauseParts, " or "))
}

func checkPart(part string) error {
	if slices.Contains(pauseParts, part) {
		return nil
	}
	return &UnknownPartError{part}
}

// Pause pauses a part for all workers, until Resume: it stands in the database. Nothing of that part is claimed once this has returned, and what is on
// the wire finishes. The reason is shown wherever the pause is; at most 300 bytes of it. A part that is paused stays so, with the new reason. The
// error is an *UnknownPartError, or the database's.
func (a *App) Pause(ctx context.Context, part, reason string) error {
	if err := checkPart(part); err != nil {
		return err
	}
	if _, err := a.store().PausePart(ctx, store.PausePartParams{Part: part, Reason: shorten(oneLine(errors.New(reason)), maxPauseReason)}); err != nil {
		return fmt.Errorf("pause %s: %w", part, err)
	}
	a.pauses.look()
	return a.tellWorkers(ctx)
}

// Resume ends the pause of a part, for all workers. One that is not paused is left as it is. The error is an *UnknownPartError, or the database's.
func (a *App) Resume(ctx context.Context, part string) error {
	if err := checkPart(part); err != nil {
		return err
	}
	if _, err := a.store().ResumePart(ctx, part); err != nil {
		return fmt.Errorf("resume %s: %w", part, err)
	}
	a.pauses.look()
	return a.tellWorkers(ctx)
}

// Pauses tells which parts are paused, by the database.
func (a *App) Pauses(ctx context.Context) ([]Pause, error) { return readPauses(ctx, a.store()) }

// shorten cuts text to so many bytes, between characters.
func shorten(text string, most int) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// Pause is a part that is paused by hand.
type Pause struct {
	Part   string    `json:"part"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// text says it in words.
func (p Pause) text() string {
	text := fmt.Sprintf("paused by hand since %s", p.Since.UTC().Format(time.RFC3339))
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

// fix says how it is ended.
func (p Pause) fix() string { return "When it is over: reminder-worker resume " + p.Part + "." }

// finding is how a check that is paused stands: as it should.
func (p Pause) finding() ops.Finding {
	return ops.Finding{OK: true, Degraded: true, Reason: p.text(), Fix: p.fix()}
}

// pausable is a part of the worker that can be paused. Both return at once, and may be called again.
type pausable interface {
	Pause()
	Resume()
}

// pauses keeps this worker's parts in line with what is paused in the database. It reads that when a change is heard which may be word of it; what goes
// unheard is found with the ages of work, by the same statement. While the database is away, what was last known stands.
type pauses struct {
	db    *store.Queries
	log   zerolog.Logger
	parts map[string]pausable
	gauge *prometheus.GaugeVec
	looks chan struct{} // capacity 1

	turn sync.Mutex // held by whoever reads, so that an older answer does not come after a newer one

	mu  sync.Mutex
	now map[string]Pause // guarded by mu
}

// pauseRest is the shortest time from one look to the next: most changes are no word of a pause.
const pauseRest = 250 * time.Millisecond

func newPauses(db *store.Queries, calendar, push pausable, log zerolog.Logger, reg prometheus.Registerer) *pauses {
	p := &pauses{
		db: db, log: log, parts: map[string]pausable{PartCalendar: calendar, PartPush: push}, looks: make(chan struct{}, 1), now: map[string]Pause{},
		gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "reminder_worker_paused", Help: "Whether a part is paused by hand, in the database: 1, else 0.",
		}, []string{"part"}),
	}
	for _, part := range pauseParts {
		p.gauge.WithLabelValues(part)
	}
	reg.MustRegister(p.gauge)
	return p
}

// of tells whether a part is paused, and how.
func (p *pauses) of(part string) (found Pause, paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, paused = p.now[part]
	return found, paused
}

// look never blocks.
func (p *pauses) look() {
	select {
	case p.looks <- struct{}{}:
	default:
	}
}

// run reads what is paused whenever it is asked to, until ctx ends.
func (p *pauses) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.looks:
		}
		if err := p.learn(func() ([]Pause, error) { return readPauses(ctx, p.db) }); err != nil && ctx.Err() == nil {
			p.log.Warn().Err(err).Msg("pauses not read: what was last known stands")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pauseRest):
		}
	}
}

// learn reads what is paused, and has it so.
func (p *pauses) learn(read func() ([]Pause, error)) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	stand, err := read()
	if err == nil {
		p.set(stand)
	}
	return err
}

// readPauses reads what is paused.
func readPauses(ctx context.Context, db *store.Queries) ([]Pause, error) {
	rows, err := db.Pauses(ctx)
	if err != nil {
		return nil, fmt.Errorf("read pauses: %w", err)
	}
	stand := make([]Pause, len(rows))
	for i, row := range rows {
		stand[i] = Pause(row)
	}
	return stand, nil
}

// set makes the parts stand as the database has it, and tells what is new.
func (p *pauses) set(stand []Pause) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := make(map[string]Pause, len(stand))
	for _, s := range stand {
		now[s.Part] = s
	}
	for _, part := range pauseParts {
		was, before := p.now[part]
		is, paused := now[part]
		switch {
		case paused && (!before || was.Reason != is.Reason):
			p.parts[part].Pause()
			p.gauge.WithLabelValues(part).Set(1)
			p.log.Warn().Str("part", part).Time("since", is.Since).Str("reason", is.Reason).Msg("paused by hand")
		case before && !paused:
			p.gauge.WithLabelValues(part).Set(0)
			p.log.Warn().Str("part", part).Dur("paused_ms", time.Since(was.Since)).Msg("resumed")
			p.parts[part].Resume()
		}
	}
	p.now = now
}

// learnPauses reads what is paused before there is any work.
func (a *App) learnPauses(ctx context.Context) error {
	return a.pauses.learn(func() ([]Pause, error) { return readPauses(ctx, a.store()) })
}

// pausedCalendar is all that makes requests to Google.
type pausedCalendar struct {
	events  *reconcile.Reconciler
	auditor *audit.Auditor
}

// Pause implements pausable.
func (c pausedCalendar) Pause() {
	c.events.Pause()
	c.auditor.Pause()
}

// Resume implements pausable.
func (c pausedCalendar) Resume() {
	c.auditor.Resume()
	c.events.Resume()
}

// pausedError says that no request is made to Google, to what is in the middle of several.
type pausedError struct{ Pause }

// Error implements error.
func (e *pausedError) Error() string { return "calendars are " + e.text() }

// RetryAfter is when to ask again, for callers that do not know this type.
func (e *pausedError) RetryAfter() time.Duration { return time.Minute }
