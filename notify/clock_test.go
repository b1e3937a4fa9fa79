package notify

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/store"
)

// A slow answer says little, and takes nothing away from what a quick one has said.
func TestClock(t *testing.T) {
	t.Parallel()
	var c clock
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	for i, tt := range []struct{ moment, asked, answered, latest int }{
		{1010, 0, 40, 1050},          // 1010 to 1050
		{1100, 100, 101, 1101},       // quicker
		{3100, 1101, 5101, 6106},     // two seconds each way: 5 ms of drift in 5 s, and not the 4 s of the answer
		{7000, 6101, 6102, 7001},     // quick again
		{9000, 6200, 6300, 9100},     // it was set forward, or is another server's
		{7500, 7000, 7100, 7600},     // and back
		{7800, 7200, 7201, 7801},     // forward by a little
		{15801, 11201, 15202, 15810}, // the slow answer excludes less than the drift allows
	} {
		if got := c.learn(at(tt.moment), at(tt.asked), at(tt.answered)).Sub(at(0)).Milliseconds(); got != int64(tt.latest) {
			t.Errorf("answer %d: latest %d ms, want %d", i, got, tt.latest)
		}
	}
}

// The way of the question is no part of a claim's age.
func TestClaimed(t *testing.T) {
	t.Parallel()
	s := pureSender(t)
	now := time.Now()
	database := func(t time.Time) time.Time { return t.Add(time.Hour) }
	row := store.ClaimRemindersRow{Lease: database(now.Add(5 * time.Second)).Add(s.cfg.Lease)}
	if got := s.claimed(row, now, now.Add(7*time.Second)).Sub(now); got != 0 {
		t.Errorf("nothing known of the clock: claimed %s after the question", got)
	}
	now = now.Add(time.Minute)
	s.clock.learn(database(now), now, now)
	row.Lease = database(now.Add(5 * time.Second)).Add(s.cfg.Lease)
	if got := s.claimed(row, now, now.Add(7*time.Second)).Sub(now); got < 4990*time.Millisecond || got > 5*time.Second {
		t.Errorf("claimed %s after the question, of which 5 s were its way", got)
	}
}

// detour is a network on which claims take a long way to the database.
type detour struct{ time.Duration }

func (d detour) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if q.SQL == store.ClaimReminders {
		sleep(ctx, d.Duration)
	}
	return ctx
}

func (detour) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A claim that took longer to reach the database than a request may be begun under it is used all the same: it was made when it got there.
func TestLongWayToTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = 4 * time.Second
	s := w.sender()
	pc := w.pool.Config()
	pc.ConnConfig.Tracer = detour{3 * time.Second}
	pool, err := pgxpool.NewWithConfig(t.Context(), pc)
	w.must(err)
	t.Cleanup(pool.Close)
	s.db = store.New(pool)
	user, _ := w.user(1)
	id := w.own(user, -time.Second)
	_, err = s.readClock(t.Context()) // from quick answers
	w.must(err)
	w.must(s.Drain(t.Context(), t.Context()))
	if got := w.reminder(id); got != "sent, 0 tries, -" || w.metric("push_requests_total") != 1 {
		t.Errorf("reminder is %s after %v requests", got, w.metric("push_requests_total"))
	}
}
