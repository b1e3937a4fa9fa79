package bench

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"
)

// Ours is reminder-worker, whose executable is program.
func Ours(program string) Worker {
	return Worker{
		Name: "reminder-worker", Settings: "as installed",
		Prepare: func(ctx context.Context, db *pgx.Conn, s Site) error {
			migrate := exec.CommandContext(ctx, program, "migrate", "up")
			migrate.Dir, migrate.Env = os.TempDir(), environment(s)
			if out, err := migrate.CombinedOutput(); err != nil {
				return fmt.Errorf("migrate: %w: %s", err, out)
			}
			_, err := db.Exec(ctx, `with u as (insert into auth.users (id) select unnest($1::uuid[]) returning id)
				select reminder_worker.put_google_account(id, 'token'), reminder_worker.put_push_device(id, 'ExponentPushToken[' || left(id::text, 20) || ']', 'ios')
				from u`, s.Users)
			return err
		},
		Command: func(ctx context.Context, s Site) *exec.Cmd {
			run := exec.CommandContext(ctx, program, "run")
			run.Dir, run.Env = os.TempDir(), environment(s)
			return run
		},
		Ready: ready,
		SQL: Statements{
			Event: `insert into events (id, user_id, title, start_ts, location, prep_items) values ($1, $2, 'Practice', $3, 'Field 3', '{cleats,water}')`,
			Events: `insert into events (id, user_id, title, start_ts, location, prep_items)
				select e.id, e.owner, 'Practice', $3, 'Field 3', '{cleats,water}' from unnest($1::uuid[], $2::uuid[]) as e (id, owner)`,
			Reminders: `with r as (
					select gen_random_uuid() as event, * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[]) as x (id, owner, at, start)
				), e as (
					insert into events (id, user_id, title, start_ts, status) select r.event, r.owner, 'Practice', r.start, 'scheduled' from r
				)
				insert into reminders (id, event_id, user_id, notify_at_ts, message) select r.id, r.event, r.owner, r.at, 'Field 3' from r`,
			Done: `select count(*) from events where status = 'synced'`,
			Sent: `select count(*) from reminders where status = 'sent'`,
			History: `with e as (
					insert into events (user_id, title, start_ts, status)
					select u.ids[1 + n % cardinality(u.ids)], 'Practice', now() - n * interval '1 minute' - interval '1 day', 'synced'
					from (select array_agg(id) as ids from auth.users) u, generate_series(1, $1::integer) n
					returning id, user_id, start_ts
				)
				insert into reminders (event_id, user_id, notify_at_ts, message, status)
				select id, user_id, start_ts - interval '30 minutes', 'Field 3', 'sent' from e`,
		},
	}
}

func environment(s Site) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "LOG_FORMAT=json",
		"DATABASE_URL=" + s.DatabaseURL, "HTTP_ADDR=" + s.HTTPAddr,
		"GOOGLE_CALENDAR_URL=" + s.GoogleURL, "GOOGLE_TOKEN_URL=" + s.TokenURL, "GOOGLE_CLIENT_ID=bench", "GOOGLE_CLIENT_SECRET=bench",
		"EXPO_PUSH_URL=" + s.ExpoURL, "DEFAULT_TIME_ZONE=UTC", "AUDIT_INTERVAL=0",
	}
	if !s.Paced {
		env = append(env, "CALENDAR_RATE=0", "CALENDAR_USER_RATE=0", "PUSH_RATE=0")
	}
	return env
}

// asking is how /readyz is asked, which answers at once or is not there yet.
var asking = &http.Client{Timeout: time.Second}

func ready(ctx context.Context, s Site) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.HTTPAddr+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := asking.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close() // nothing of it is wanted
	return resp.StatusCode == http.StatusOK
}
