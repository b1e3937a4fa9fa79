package listener

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/sql/pgtemp"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

const notify = `NOTIFY reminder_worker, ''`

func TestACommitIsHeard(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	r := run(t, direct(t, url), quick())
	r.next(t, Backlog)
	before := time.Now()
	execute(t, url, notify)
	if c := r.next(t, Committed); c.Count != 1 || c.At.Before(before) {
		t.Errorf("got %+v, want one commit heard after %v", c, before)
	}
	if s := r.Status(); s.LastChange.Before(before) || s.State != Listening || s.Err != nil {
		t.Errorf("status %+v, want listening with the change noted", s)
	}
}

func TestOrderIsListenProofBacklog(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	p := newProxy(t, url)
	r := run(t, p.source(t), quick())
	r.next(t, Backlog)
	if r.Status().LastProof.IsZero() || r.Status().RoundTrip <= 0 {
		t.Errorf("backlog came before the proof: %+v", r.Status())
	}
	if said := p.said(); !strings.Contains(said, `LISTEN "reminder_worker"`) || strings.Contains(said, "proof:") {
		t.Error("want LISTEN on the connection that hears, and the proof on another")
	}
}

func TestProofsOfOthersAreNoChanges(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	r := run(t, direct(t, url), quick())
	r.next(t, Backlog)
	execute(t, url, `NOTIFY reminder_worker, 'proof:OTHERWORKER:1'`, `NOTIFY elsewhere`, notify)
	if c := r.next(t, Committed); c.Count != 1 {
		t.Errorf("got %+v, want the one commit only", c)
	}
}

func TestUnknownPayloadsAreChanges(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	r := run(t, direct(t, url), quick())
	r.next(t, Backlog)
	execute(t, url, `SELECT pg_notify('reminder_worker', NULL)`)
	r.next(t, Committed)
	execute(t, url, `SELECT pg_notify('reminder_worker', '{"id": 7}')`)
	r.next(t, Committed)
}

func TestOneTransactionIsOneChange(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	r := run(t, direct(t, url), quick())
	r.next(t, Backlog)
	execute(t, url, `SELECT pg_notify('reminder_worker', '') FROM generate_series(1, 1000)`)
	if c := r.next(t, Committed); c.Count != 1 {
		t.Errorf("heard %d changes of one transaction, want 1", c.Count)
	}
}

func TestBurstFoldsAndLosesNothing(t *testing.T) {
	t.Parallel()
	const commits = 10_000
	url := pgtest.New(t).URL()
	r := run(t, direct(t, url), quick())
	r.next(t, Backlog)
	execute(t, url, `DO $$ BEGIN FOR i IN 1..10000 LOOP PERFORM pg_notify('reminder_worker', ''); COMMIT; END LOOP; END $$`)
	heard, calls := 0, 0
	for heard < commits {
		heard += r.next(t, Committed).Count
		calls++
	}
	if heard != commits || calls > commits/2 {
		t.Errorf("heard %d of %d commits in %d calls", heard, commits, calls)
	}
	t.Logf("%d commits in %d calls", heard, calls)
}

func TestASlowHandlerNeitherBlocksReadsNorLosesChanges(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	calls, release := make(chan Change, 8), make(chan struct{})
	cfg := quick()
	cfg.ProofInterval = 10 * time.Millisecond
	r := start(t, direct(t, url), cfg, func(c Change) {
		if c.Cause != Sweep {
			calls <- c
			<-release
		}
	})
	defer close(release)
	<-calls // the backlog's call is now stuck
	execute(t, url, slices.Repeat([]string{notify}, 300)...)
	// Proofs arrive in order: one younger than the last commit shows that all were
	// read while the handler was stuck.
	awaitProof(t, r, time.Now())
	release <- struct{}{}
	if c := <-calls; c.Count != 300 {
		t.Errorf("handed on %+v, want 300 commits in one change", c)
	}
}

// awaitProof returns when the path has been proven by a proof sent after a moment.
func awaitProof(t *testing.T, r *running, after time.Time) {
	t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); runtime.Gosched() {
		if s := r.Status(); s.LastProof.Add(-s.RoundTrip).After(after) {
			return
		}
	}
	t.Fatalf("no proof came; status %+v", r.Status())
}

func TestAChangeBetweenDropAndReconnectIsBacklog(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	p := newProxy(t, url)
	r := run(t, p.source(t), quick())
	r.next(t, Backlog)
	p.refuse(true)
	p.cut()
	r.next(t, Sweep) // deaf
	committed := time.Now()
	execute(t, url, notify)
	p.refuse(false)
	if c := r.next(t, Backlog); c.At.Before(committed) {
		t.Errorf("backlog of %v is older than the commit of %v", c.At, committed)
	}
	if n := r.Status().Reconnects; n != 1 {
		t.Errorf("%d reconnects, want 1", n)
	}
}

func TestATerminatedBackendIsReplaced(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	r := run(t, direct(t, url), quick())
	r.next(t, Backlog)
	execute(t, url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'reminder-worker listener'`)
	r.next(t, Backlog)
	execute(t, url, notify)
	r.next(t, Committed)
	if !strings.Contains(r.log.String(), "57P01") {
		t.Error("the log does not say that the server ended the connection")
	}
}

func TestServerRestart(t *testing.T) {
	t.Parallel()
	s, err := pgtemp.Start(t.Context(), pgtemp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	url := s.URL("postgres")
	migrate(t, url)
	r := run(t, direct(t, url), quick())
	r.next(t, Backlog)
	for _, mode := range []pgtemp.Mode{pgtemp.Fast, pgtemp.Immediate, pgtemp.Crash} {
		if err := s.Restart(t.Context(), mode); err != nil {
			t.Fatal(err)
		}
		r.next(t, Sweep)
		r.next(t, Backlog)
		execute(t, url, notify)
		r.next(t, Committed)
	}
	if n := r.Status().Reconnects; n != 3 {
		t.Errorf("%d reconnects, want 3", n)
	}
}

func TestADeafWorkerStillTellsTheOthers(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	p := newProxy(t, url)
	p.refuse(true)
	cfg := quick()
	cfg.BackoffMin, cfg.BackoffMax = time.Hour, time.Hour
	open := quick()
	open.Silence = 100 * time.Millisecond
	deaf, hearing := run(t, p.source(t), cfg), run(t, direct(t, url), open)
	hearing.next(t, Backlog)
	deaf.next(t, Sweep)
	looks := func() bool { // nothing comes by itself any more
		select {
		case <-hearing.changes:
			return false
		case <-time.After(5 * open.Silence):
			return true
		}
	}
	for !looks() {
	}
	deaf.Tell()
	hearing.next(t, Look)
}

func TestAServerThatIsNotThereYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	p := newProxy(t, url)
	p.refuse(true)
	r := run(t, p.source(t), quick())
	r.next(t, Sweep)
	r.next(t, Sweep)
	p.refuse(false)
	r.next(t, Backlog)
	if s := r.Status(); s.Reconnects != 0 || s.Err != nil {
		t.Errorf("status %+v, want no reconnect counted for a first connection", s)
	}
}

func TestABlackHoleIsNoticed(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	p := newProxy(t, url)
	cfg := quick()
	cfg.ProofInterval, cfg.ProofTimeout = 100*time.Millisecond, 500*time.Millisecond
	r := run(t, p.source(t), cfg)
	r.next(t, Backlog)
	p.hold()
	r.next(t, Sweep)
	p.flow()
	p.cut()
	r.next(t, Backlog)
	execute(t, url, notify)
	r.next(t, Committed)
}

func TestAPoolerThatSwallowsIsRecognised(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	p := newProxy(t, url)
	// What a pooler in transaction mode amounts to: the LISTEN happened elsewhere.
	p.replace(`LISTEN "reminder_worker"`, `SELECT 'another session'`)
	cfg := quick()
	cfg.ProofTimeout = 50 * time.Millisecond
	r := run(t, p.source(t), cfg)
	for r.Status().State != Polling {
		if c := r.next(t, Sweep); c.Count != 0 {
			t.Errorf("got %+v", c)
		}
	}
	if err := r.Status().Err; !errors.Is(err, ErrNoProof) {
		t.Errorf("polling because of %v, want for want of a proof", err)
	}
	p.replace("", "")
	r.next(t, Backlog) // it has come back by itself
}

func TestStopIsPromptInEveryState(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	p := newProxy(t, url)
	deaf := quick()
	deaf.BackoffMin, deaf.BackoffMax = time.Hour, time.Hour
	for what, prepare := range map[string]func(t *testing.T) *running{
		"listening": func(t *testing.T) *running {
			r := run(t, direct(t, url), quick())
			r.next(t, Backlog)
			return r
		},
		"connecting": func(t *testing.T) *running {
			p.hold()
			t.Cleanup(p.flow)
			r := run(t, p.source(t), quick())
			r.next(t, Sweep)
			return r
		},
		"deaf": func(t *testing.T) *running {
			r := run(t, over(t, "postgres://127.0.0.1:1/x", url), deaf)
			r.next(t, Sweep)
			return r
		},
		"polling": func(t *testing.T) *running {
			r := run(t, nil, quick())
			r.next(t, Sweep)
			return r
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := prepare(t)
			done := make(chan error, 1)
			go func() { done <- r.stop() }()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(closeGrace + 5*time.Second):
				t.Errorf("still running: %+v", r.Status())
			}
		})
	}
}

func TestRunRefusesBadSettings(t *testing.T) {
	t.Parallel()
	err := New(nil, Config{}, zeroLog(), nil).Run(t.Context(), func(Change) {})
	for _, want := range []string{"look interval", "proof timeout", "jitter", "sweep interval"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not mention %s", err, want)
		}
	}
}

func TestTheTriggersAreHeard(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	r := run(t, direct(t, url), quick())
	r.next(t, Backlog)
	execute(t, url, `WITH u AS (INSERT INTO auth.users (id) VALUES (gen_random_uuid()) RETURNING id)
		INSERT INTO events (user_id, title, start_ts) SELECT id, 'Swimming', now() + interval '2 days' FROM u, generate_series(1, 500)`)
	if c := r.next(t, Committed); c.Count < 1 {
		t.Errorf("got %+v", c)
	}
	execute(t, url, `UPDATE events SET title = 'Football'`)
	r.next(t, Committed)
}
