package wal

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/listener"
)

func TestATemporaryConsumerLeavesNoSlot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	slots := func() int {
		return ask[int](r, `select count(*) from pg_replication_slots where database = current_database() and slot_name like 'reminder\_worker\_%'`)
	}
	p := r.open("")
	if n := slots(); n != 1 {
		t.Errorf("%d slots while it hears, want 1", n)
	}
	p.Close()
	r.until("the slot is gone", func() bool { return slots() == 0 })
	net := newProxy(t, r.url)
	r.open(net.url())
	net.cut()
	r.until("the slot of a dead one is gone", func() bool { return slots() == 0 })
}

// Many that start at once all find the publication and a slot.
func TestManyOpenAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var opening sync.WaitGroup
	for range 8 {
		s := r.source("")
		opening.Go(func() {
			p, err := s.Open(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			r.say("for all")
			for {
				m, err := p.Receive(t.Context())
				if err != nil {
					t.Error(err)
				}
				if err != nil || m.Payload == "for all" {
					return
				}
			}
		})
	}
	opening.Wait()
	if n := ask[int](r, `select count(*) from pg_publication`); n != 1 {
		t.Errorf("%d publications, want 1", n)
	}
}

func TestManyOpenOnePermanentSlot(t *testing.T) {
	t.Parallel()
	r := newRig(t).permanent()
	var opening sync.WaitGroup
	var mu sync.Mutex
	var won []listener.Path
	for range 4 {
		s := r.source("")
		opening.Go(func() {
			p, err := s.Open(t.Context())
			if err != nil && !errors.Is(err, listener.ErrBusy) {
				t.Error(err)
			}
			if err == nil {
				mu.Lock()
				won = append(won, p)
				mu.Unlock()
			}
		})
	}
	opening.Wait()
	for _, p := range won {
		p.Close()
	}
	if len(won) != 1 {
		t.Errorf("%d have the slot, want 1", len(won))
	}
}

func TestAUsedSlotNamesItsUser(t *testing.T) {
	t.Parallel()
	r := newRig(t).permanent()
	p := r.open("")
	_, err := r.source("").Open(t.Context())
	busy, ok := errors.AsType[*BusyError](err)
	if !ok || !errors.Is(err, listener.ErrBusy) {
		t.Fatalf("got %v, want a BusyError", err)
	}
	if pid := ask[string](r, `select active_pid::text from pg_replication_slots where slot_name = $1`, r.cfg.Slot); busy.PID != pid {
		t.Errorf("names process %q, want %q", busy.PID, pid)
	}
	p.Close()
	r.reopen("")
}

// A consumer that has gone mute keeps its slot for as long as the server waits.
func TestAMuteConsumerIsReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t).permanent().impatient()
	net := newProxy(t, r.url)
	r.serve(r.open(net.url()))
	net.hold()
	began := time.Now()
	r.say("meanwhile")
	p := r.reopen("")
	t.Logf("replaced after %v, of which the server waited for %v", time.Since(began), r.cfg.SenderTimeout)
	if m := r.next(p); m.Payload != "" {
		t.Errorf("heard %+v, want a commit that stands for what was missed", m)
	}
}

func TestASlotOfSomebodyElseIsLeftAlone(t *testing.T) {
	t.Parallel()
	here, there := newRig(t).permanent(), newRig(t).permanent()
	here.exec(`select pg_create_physical_replication_slot($1)`, here.cfg.Slot)
	_, err := here.source("").Open(t.Context())
	wantMissing(t, err, NeedOwnSlot, "is a physical one")

	there.open("").Close()
	there.until("the slot is free", func() bool {
		return !ask[bool](there, `select active from pg_replication_slots where slot_name = $1`, there.cfg.Slot)
	})
	here.cfg.Slot = there.cfg.Slot
	_, err = here.source("").Open(t.Context())
	wantMissing(t, err, NeedOwnSlot, "belongs to database")
}

func wantMissing(t *testing.T, err error, need Need, text string) {
	t.Helper()
	m, ok := errors.AsType[*MissingError](err)
	if !ok || m.Need != need || !strings.Contains(m.Fault, text) || m.Fix == "" {
		t.Errorf("got %v (%+v), want need %d with %q", err, m, need, text)
	}
}

// fillLog writes so much that a slot may not keep it.
func fillLog(t *testing.T, pool *pgxpool.Pool, slot string) {
	t.Helper()
	for range 20 {
		if _, err := pool.Exec(t.Context(), `create table if not exists noise (x int)`); err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{`insert into noise values (1)`, `select pg_switch_wal()`, `checkpoint`} {
			if _, err := pool.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		var lost bool
		if err := pool.QueryRow(t.Context(), `select wal_status = 'lost' from pg_replication_slots where slot_name = $1`, slot).Scan(&lost); err != nil {
			t.Fatal(err)
		}
		if lost {
			return
		}
	}
	t.Fatal("the slot is not lost")
}

func TestALostSlotIsMadeAnew(t *testing.T) {
	t.Parallel()
	_, pool, url := ownServer(t, map[string]string{"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"})
	r := rigOn(t, pool, url).permanent()
	r.open("").Close()
	fillLog(t, pool, r.cfg.Slot) // while nobody reads
	m := NewMetrics(prometheus.NewRegistry())
	s, err := New(r.connect(url), nil, r.cfg, zerolog.New(r.log), m)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	r.say("after")
	if m := r.next(p); m.Payload != "after" {
		t.Errorf("heard %+v", m)
	}
	if n := testutil.ToFloat64(m.lost); n != 1 || !strings.Contains(r.log.String(), `"level":"error"`) {
		t.Errorf("counted %v lost slots; log: %s", n, r.log)
	}
}

// A reader that acknowledges nothing is cut off by the server when it keeps too much.
func TestASlotLostWhileItIsReadIsMadeAnew(t *testing.T) {
	t.Parallel()
	_, pool, url := ownServer(t, map[string]string{"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"})
	r := rigOn(t, pool, url).permanent()
	p := r.open("")
	r.say("never acknowledged")
	r.next(p)
	stop := r.serve(p)
	fillLog(t, pool, r.cfg.Slot)
	stop()
	p.Close()
	p = r.reopen("")
	r.say("after")
	if m := r.next(p); m.Payload != "after" {
		t.Errorf("heard %+v", m)
	}
	r.logs("made anew")
}

// What the server decodes refers to a publication that was not there at the time.
// Before PostgreSQL 18 that ends the stream, for good.
func TestASlotThatCannotBeDecodedIsMadeAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t).permanent()
	r.exec(`create table notes (x int)`)
	p := r.open("")
	r.exec(`drop publication reminder_worker`)
	r.exec(`insert into notes values (1)`)
	r.say("still heard")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s := p.source
	var m listener.Message
	var err error
	for err == nil && m.Payload != "still heard" {
		m, err = p.Receive(ctx)
	}
	p.Close()
	var again listener.Path
	r.until("it can be opened again", func() bool {
		again, err = s.Open(ctx)
		return err == nil
	})
	t.Cleanup(again.Close)
	for r.say("after"); r.next(again).Payload != "after"; {
	}
}

// hold begins a transaction that has written, and returns how to end it.
func hold(t *testing.T, r *rig) (pid string, end func()) {
	t.Helper()
	tx, err := r.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.QueryRow(t.Context(), `select pg_backend_pid()::text from pg_current_xact_id()`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid, func() {
		if err := tx.Commit(context.Background()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	}
}

func TestASlotWaitsForWritersUnderWay(t *testing.T) {
	t.Parallel()
	_, pool, url := ownServer(t, nil)
	r := rigOn(t, pool, url)
	pid, commit := hold(t, r)
	opened := make(chan error, 1)
	s := r.source("")
	go func() {
		p, err := s.Open(context.Background())
		if err == nil {
			p.Close()
		}
		opened <- err
	}()
	r.logs(`"server_processes":"` + pid + `"`)
	commit()
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestASlotDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	_, pool, url := ownServer(t, nil)
	r := rigOn(t, pool, url)
	pid, commit := hold(t, r)
	defer commit()
	r.cfg.SlotTimeout = time.Second
	_, err := r.source("").Open(t.Context())
	wait, ok := errors.AsType[*SlotWaitError](err)
	if !ok || wait.PIDs != pid {
		t.Fatalf("got %v, want a SlotWaitError that names %s", err, pid)
	}
	// Nobody waits on in the server, with a slot that is missing elsewhere.
	r.until("the server has given up, too", func() bool {
		return ask[int](r, `select count(*) from pg_replication_slots`) == 0
	})
}
