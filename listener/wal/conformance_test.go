package wal

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/sql/pgtemp"
)

// The suite: what every way must do, be it NOTIFY, replication or polling.

func TestConformsACommitIsHeard(t *testing.T) {
	eachWay(t, func(_ *testing.T, w way, r *rig) {
		r.exec(newEvent, "before")
		h := w.hear(r, r.url).listening()
		h.sees("before")
		r.exec(newEvent, "after")
		h.sees("after")
		r.exec(`update events set title = 'changed' where title = 'after'`)
		h.sees("changed")
	})
}

func TestConformsATransactionIsOneChange(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, r *rig) {
		h := w.hear(r, r.url).listening()
		r.exec(`insert into events (user_id, title, start_ts)
			select '00000000-0000-0000-0000-000000000001', 'import ' || n, now() + interval '2 days' from generate_series(1, 500) n`)
		h.sees("import 1", "import 500")
		r.exec(`update events set title = title || ' moved'`)
		h.sees("import 1 moved", "import 500 moved")
		want := 2
		if w.name == "poll" {
			want = 0
		}
		r.until("both are counted", func() bool { n, _ := h.heard(0); return n >= want })
		if n, _ := h.heard(0); n != want {
			t.Errorf("heard %d commits, want %d", n, want)
		}
	})
}

// What is written to events alone is announced as that, so that nobody looks for reminders, and what is written to reminders never is. (Into
// one call a look of the listener's own may be folded, and then it is for everything: so the first is asked for until it comes.)
func TestConformsTheTableIsSaid(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, r *rig) {
		if w.name == "poll" {
			return // which hears nothing
		}
		h := w.hear(r, r.url).listening()
		h.rests()
		calls := func() (narrow, wide int) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.narrow, h.wide
		}
		const event = `insert into events (user_id, title, start_ts)
			select '00000000-0000-0000-0000-000000000001', 'a ' || n, now() + interval '2 days' from generate_series(1, 3) n`
		for _, sql := range []string{event, `update events set title = title || '.'`} {
			before, _ := calls()
			r.until(sql+" is announced as events alone", func() bool {
				narrow, wide := calls()
				if narrow > before {
					return true
				}
				r.exec(sql)
				r.until("it is heard", func() bool { n, w := calls(); return n+w > narrow+wide })
				return false
			})
		}
		for _, sql := range []string{
			`insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now() + interval '1 day', 'Field 3' from events`,
			`with e as (update events set title = title || '.' returning id) update reminders set message = 'Field 4' where event_id in (select id from e)`,
		} {
			_, before := calls()
			r.exec(sql)
			r.until(sql+" is announced as more than events", func() bool { _, wide := calls(); return wide > before })
		}
	})
}

func TestConformsWhatIsRolledBackIsNoChange(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, r *rig) {
		h := w.hear(r, r.url).listening()
		tx, err := r.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), newEvent, "never"); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.exec(newEvent, "kept")
		h.sees("kept")
		if n, _ := h.heard(0); n > 1 || h.has("never") {
			t.Errorf("heard %d commits", n)
		}
	})
}

func TestConformsNothingIsLostBetweenTwoConnections(t *testing.T) {
	eachWay(t, func(_ *testing.T, w way, r *rig) {
		net := newProxy(t, r.url)
		h := w.hear(r, net.url()).listening()
		for i := range 5 {
			net.refuse(true)
			net.cut()
			title := fmt.Sprintf("meanwhile %d", i)
			r.exec(newEvent, title)
			net.refuse(false)
			h.sees(title)
		}
	})
}

func TestConformsASlowHandlerLosesNothing(t *testing.T) {
	eachWay(t, func(_ *testing.T, w way, r *rig) {
		h := w.hear(r, r.url).listening()
		release := h.block()
		r.exec(newEvent, "first")
		for i := range 300 {
			r.exec(newEvent, fmt.Sprintf("event %d", i))
		}
		if w.name != "poll" { // what proves the path shows that the reader does not wait for the handler
			proven := h.Status().LastProof
			r.until("the path is proven meanwhile", func() bool { return h.Status().LastProof.After(proven) })
		}
		release()
		h.sees("first", "event 0", "event 299")
	})
}

func TestConformsAStormLosesNothing(t *testing.T) {
	eachWay(t, func(_ *testing.T, w way, r *rig) {
		h := w.hear(r, r.url, func(c *listener.Config) { c.Silence = 50 * time.Millisecond }).listening()
		for round := range 3 {
			r.exec(fmt.Sprintf(`do $$ begin for i in 1..400 loop insert into events (user_id, title, start_ts)
				values ('00000000-0000-0000-0000-000000000001', '%d storm ' || i, now() + interval '2 days'); commit; end loop; end $$`, round))
			h.sees(fmt.Sprintf("%d storm 1", round), fmt.Sprintf("%d storm 400", round))
			single := fmt.Sprintf("after storm %d", round)
			r.exec(newEvent, single)
			h.sees(single)
		}
	})
}

func TestConformsWords(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, r *rig) {
		if w.name == "poll" {
			return // hears no words
		}
		h := w.hear(r, r.url).listening()
		bell := w.source(r, r.url).Bell()
		send := func(word string) {
			if _, err := bell.Send(t.Context(), word); err != nil {
				t.Error(err)
			}
		}
		send("proof:OTHER:1")
		send("hush:OTHER:2")
		_, before := h.heard(listener.Look)
		send("told:OTHER:3")
		r.until("told is looked after", func() bool { _, n := h.heard(listener.Look); return n > before })
		r.exec(newEvent, "fence")
		h.sees("fence")
		if n, _ := h.heard(0); n > 1 {
			t.Errorf("words count as commits: %d, want 1 at most", n)
		}
	})
}

func TestConformsATerminatedBackendIsReplaced(t *testing.T) {
	eachWay(t, func(_ *testing.T, w way, r *rig) {
		h := w.hear(r, r.url).listening()
		for i := range 3 {
			r.exec(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'reminder-worker listener'`)
			title := fmt.Sprintf("event %d", i)
			r.exec(newEvent, title)
			h.sees(title)
		}
	})
}

// The writer finds the bell closed, and commits when somebody listens.
func TestConformsAWriterThatBeganBefore(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, r *rig) {
		if w.name == "wal" { // its slot is made when writers under way have ended; another test shows that
			r.permanent()
			r.open("").Close()
		}
		tx, err := r.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), newEvent, "begun before"); err != nil {
			t.Fatal(err)
		}
		if w.name == "permanent wal" {
			end := make(chan struct{})
			go func() {
				defer close(end)
				r.logs("the server makes the slot when")
				_ = tx.Commit(context.Background())
			}()
			h := w.hear(r, r.url).listening()
			<-end
			h.sees("begun before")
			return
		}
		h := w.hear(r, r.url).listening()
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.sees("begun before")
	})
}

func TestConformsAServerThatRestarts(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			server, pool, url := ownServer(t, nil)
			r := rigOn(t, pool, url)
			w.set(r)
			h := w.hear(r.withUser(), url).listening()
			for _, mode := range []pgtemp.Mode{pgtemp.Fast, pgtemp.Immediate, pgtemp.Crash} {
				if err := server.Restart(t.Context(), mode); err != nil {
					t.Fatal(err)
				}
				title := "after " + mode.String()
				r.until("it is written", func() bool { _, err := pool.Exec(t.Context(), newEvent, title); return err == nil })
				h.sees(title)
			}
		})
	}
}

// A commit waits for a standby that does not answer: it is announced, by the log,
// before anybody can see it.
func TestConformsACommitThatIsVisibleLate(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			server, pool, url := ownServer(t, nil)
			r := rigOn(t, pool, url)
			w.set(r)
			h := w.hear(r.withUser(), url, func(c *listener.Config) { c.Silence = 20 * time.Millisecond }).listening()
			h.rests()
			r.exec(`alter system set synchronous_standby_names = 'nobody'`)
			r.exec(`select pg_reload_conf()`)
			// It holds for commits when the checkpointer has read it, which no session's own setting says. In a database that nobody hears one is tried.
			r.until("commits wait", func() bool { return r.commitWaits(server.URL("template1")) })
			writer, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			written := make(chan error, 1)
			go func() {
				_, err := writer.Exec(context.Background(), newEvent, "late")
				written <- err
			}()
			r.until("the commit waits", func() bool {
				return ask[bool](r, `select exists (select from pg_stat_activity where pid = $1 and wait_event = 'SyncRep')`, writer.PgConn().PID())
			})
			if w.name == "wal" || w.name == "permanent wal" {
				r.until("it has been heard", func() bool { n, _ := h.heard(0); return n > 0 })
			}
			r.exec(`alter system reset synchronous_standby_names`)
			r.exec(`select pg_reload_conf()`)
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			h.sees("late")
			_ = writer.Close(context.Background())
		})
	}
}

// commitWaits reports whether a commit waits for a standby, and ends its wait.
func (r *rig) commitWaits(url string) bool {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), url)
	if err != nil {
		r.t.Fatal(err)
	}
	committed := make(chan struct{})
	go func() {
		defer close(committed)
		_, _ = conn.Exec(context.Background(), `select pg_logical_emit_message(true, 'test', 'a commit')`) // its wait ends with a warning
	}()
	waits := false
	r.until("a commit, or its wait", func() bool {
		select {
		case <-committed:
			return true
		default:
		}
		waits = ask[bool](r, `select exists (select from pg_stat_activity where pid = $1 and wait_event = 'SyncRep')`, conn.PgConn().PID())
		return waits
	})
	if waits {
		r.exec(`select pg_cancel_backend($1)`, conn.PgConn().PID())
	}
	<-committed
	_ = conn.Close(context.Background())
	return waits
}

func TestConformsStopIsPrompt(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, r *rig) {
		held := newProxy(t, r.url)
		held.hold()
		for what, h := range map[string]*hearing{
			"listening":  w.hear(r, r.url).listening(),
			"connecting": w.hear(r, held.url()),
			"refused":    w.hear(r, "postgres://postgres@127.0.0.1:1/x?sslmode=disable"),
		} {
			stopped := make(chan struct{})
			go func() { defer close(stopped); h.stop() }()
			select {
			case <-stopped:
			case <-time.After(openTimeout):
				t.Errorf("%s: still running: %+v", what, h.Status())
			}
		}
	})
}

// Everything that can go wrong with a network, while rows are written.
func TestConformsChaos(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, r *rig) {
		net := newProxy(t, r.url)
		h := w.hear(r, net.url(), func(c *listener.Config) {
			c.ProofInterval, c.ProofTimeout = 50*time.Millisecond, 500*time.Millisecond
		})
		faults := []func(){
			func() {}, net.cut, func() { net.refuse(true); net.cut() }, net.hold,
			func() {
				r.exec(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'reminder-worker listener'`)
			},
		}
		var all []string
		var written atomic.Int64
		for round := range 15 {
			faults[round%len(faults)]()
			for range 20 {
				title := fmt.Sprintf("event %d", written.Add(1))
				r.exec(newEvent, title)
				all = append(all, title)
			}
			net.refuse(false)
			net.flow()
		}
		h.sees(all...)
	})
}

// Two workers and one permanent slot: the one that hears goes mute, and the other
// takes over when the server has given it up.
func TestTheSlotOfAMuteWorkerIsTakenOver(t *testing.T) {
	t.Parallel()
	r := newRig(t).permanent().impatient().withUser()
	net := newProxy(t, r.url)
	w := ways[2]
	w.hear(r, net.url()).listening()
	second := w.hear(r, r.url)
	r.until("it stands by", func() bool {
		s := second.Status()
		return s.State == listener.Polling && errors.Is(s.Err, listener.ErrBusy)
	})
	net.hold()
	began := time.Now()
	r.exec(newEvent, "meanwhile")
	second.sees("meanwhile")
	t.Logf("taken over after %v, of which the server waited for %v", time.Since(began), r.cfg.SenderTimeout)
	r.until("it listens", func() bool { return second.Status().State == listener.Listening })
}
