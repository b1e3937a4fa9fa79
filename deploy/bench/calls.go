package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/cmd/bench"
)

// concurrency is how many calls every rival may have under way.
const concurrency = 50

// The jobs, as eventJSON and reminderJSON write them.
type (
	eventJob struct {
		ID    uuid.UUID `json:"id"`
		User  uuid.UUID `json:"user"`
		Title string    `json:"title"`
		Start time.Time `json:"start"`
	}
	reminderJob struct {
		ID    uuid.UUID `json:"id"`
		To    string    `json:"to"`
		Title string    `json:"title"`
		Body  string    `json:"body"`
	}
)

// handlers do what a job asks for: the work that is the same for every rival.
type handlers struct {
	db                 *pgxpool.Pool
	http               *http.Client
	eventsURL, pushURL string
}

// newHandlers connects to what the environment names, with so many connections to the database besides those for the calls.
func newHandlers(ctx context.Context, more int32) (*handlers, error) {
	cfg, err := pgxpool.ParseConfig(os.Getenv(envDatabase))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", envDatabase, err)
	}
	cfg.MaxConns = concurrency + more
	db, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := db.Ping(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("reach the database: %w", err)
	}
	return &handlers{
		db: db,
		http: &http.Client{
			Transport: &http.Transport{MaxIdleConns: 2 * concurrency, MaxIdleConnsPerHost: concurrency, IdleConnTimeout: time.Minute},
			Timeout:   time.Minute,
		},
		eventsURL: os.Getenv(envEvents), pushURL: os.Getenv(envPush),
	}, nil
}

func (h *handlers) close() {
	h.http.CloseIdleConnections()
	h.db.Close()
}

// event writes the copy, and then the rows.
func (h *handlers) event(ctx context.Context, e eventJob) error {
	type at struct {
		DateTime time.Time `json:"dateTime"`
	}
	id := hex.EncodeToString(e.ID[:])
	err := h.post(ctx, h.eventsURL, struct {
		ID      string `json:"id"`
		Summary string `json:"summary"`
		Start   at     `json:"start"`
		End     at     `json:"end"`
	}{id, e.Title, at{e.Start}, at{e.Start.Add(time.Hour)}})
	if err != nil {
		return fmt.Errorf("insert the copy: %w", err)
	}
	if _, err := h.db.Exec(ctx, syncedSQL, e.ID, e.User, e.Start, id); err != nil {
		return fmt.Errorf("write the event's rows: %w", err)
	}
	return nil
}

// remind sends the push, and then marks the reminder.
func (h *handlers) remind(ctx context.Context, r reminderJob) error {
	type message struct {
		To         string    `json:"to"`
		Title      string    `json:"title"`
		Body       string    `json:"body"`
		CollapseID uuid.UUID `json:"collapseId"`
	}
	if err := h.post(ctx, h.pushURL, []message{{r.To, r.Title, r.Body, r.ID}}); err != nil {
		return fmt.Errorf("send the push: %w", err)
	}
	if _, err := h.db.Exec(ctx, sentSQL, r.ID); err != nil {
		return fmt.Errorf("mark the reminder: %w", err)
	}
	return nil
}

func (h *handlers) post(ctx context.Context, url string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.http.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body) // to its end, so that the connection is kept
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", resp.Status)
	}
	return nil
}

// What a worker's process is told, by these names.
const (
	envDatabase = "DATABASE_URL"
	envEvents   = "EVENTS_URL"
	envPush     = "PUSH_URL"
	envSettings = "SETTINGS" // "installed" or "tuned"
	envEvery    = "POLL_EVERY"
)

// environment is that of a worker's process: what it is told, and nothing of whoever runs the bench.
func environment(s bench.Site, more ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "TZ=UTC",
		envDatabase + "=" + s.DatabaseURL, envEvents + "=" + s.EventsURL(), envPush + "=" + s.PushURL(),
	}, more...)
}

// serveCommand is the argument that makes this program a worker.
const serveCommand = "serve"

// serve is this program as a worker, until it is asked to end.
func serve(kind string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	switch kind {
	case "river":
		return serveRiver(ctx, os.Getenv(envSettings) == "tuned")
	case "polling":
		return servePolling(ctx)
	}
	return fmt.Errorf("serve %q: it is neither river nor polling", kind)
}
