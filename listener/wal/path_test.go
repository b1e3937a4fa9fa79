package wal

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/listener"
)

func TestATransactionIsOneMessageAtItsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.open("")
	r.exec(`do $$ begin for i in 1..1000 loop perform pg_logical_emit_message(true, 'reminder_worker', ''); end loop; end $$`)
	first := r.next(p)
	r.say("told:A:1")
	second := r.next(p)
	if first.Payload != "" || second.Payload != "told:A:1" || first.Position >= second.Position {
		t.Errorf("got %+v, then %+v", first, second)
	}
}

func TestWhatIsRolledBackIsNotHeard(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.open("")
	r.exec(`do $$ begin
		perform pg_logical_emit_message(true, 'reminder_worker', 'rolled back');
		raise exception 'no' using errcode = 'P0001';
	exception when raise_exception then null; end $$`)
	r.say("committed")
	if m := r.next(p); m.Payload != "committed" {
		t.Errorf("heard %+v", m)
	}
}

func TestAPingIsAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.SenderTimeout, r.cfg.StatusInterval = 30*time.Second, 10*time.Second // nothing else wakes the reader
	p := r.open("")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range 100 {
		sent := make(chan error, 1)
		go func() { sent <- p.Ping() }()
		m, err := p.Receive(ctx)
		if err != nil || !m.Pong {
			t.Fatalf("received %+v, %v", m, err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
}

func TestReceiveEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.open("")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := p.Receive(ctx); done <- err }()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("still waiting")
	}
	// The connection is none the worse for it.
	r.say("later")
	if m := r.next(p); m.Payload != "later" {
		t.Errorf("got %+v", m)
	}
}

func TestOnlyWhatIsAcknowledgedIsForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t).permanent()
	p := r.open("")
	r.say("one")
	one := r.next(p)
	stop := r.serve(p)
	r.say("two")
	r.until("what was there before is confirmed", func() bool { return r.confirmed() > 0 })
	reports := ask[time.Time](r, `select reply_time from pg_stat_replication where pid = (select active_pid from pg_replication_slots where slot_name = $1)`, r.cfg.Slot)
	r.until("several reports are in", func() bool {
		return ask[time.Time](r, `select reply_time from pg_stat_replication where pid = (select active_pid from pg_replication_slots where slot_name = $1)`, r.cfg.Slot).
			After(reports.Add(100 * time.Millisecond))
	})
	if got := r.confirmed(); got >= one.Position {
		t.Errorf("%x is confirmed, and nothing has been acknowledged up to %x", got, one.Position)
	}
	p.Acknowledge(one.Position)
	r.until("the first is confirmed", func() bool { return r.confirmed() == one.Position })
	stop()
	p.Close()
	again := r.open("")
	if m := r.next(again); m.Payload != "" || m.Position <= one.Position {
		t.Errorf("got %+v, want a commit that stands for what was not acknowledged", m)
	}
}

func TestAQuietDatabaseHoldsBackNoLog(t *testing.T) {
	t.Parallel()
	r := newRig(t).permanent()
	p := r.open("")
	r.serve(p)
	other := newRig(t) // another database of the same server
	other.exec(`create table noise (x text)`)
	other.exec(`insert into noise select repeat('x', 1000) from generate_series(1, 2000)`)
	at := uint64(ask[int64](r, `select pg_current_wal_flush_lsn() - '0/0'`))
	r.until("the log of others is let go", func() bool { return r.confirmed() >= at })
	r.exec(`create table unrelated (x text)`)
	r.exec(`insert into unrelated values ('x')`)
	at = uint64(ask[int64](r, `select pg_current_wal_flush_lsn() - '0/0'`))
	r.until("the log of other tables is let go", func() bool { return r.confirmed() >= at })
}

// What was written while nobody read is one message, however much it is, and nothing
// is forgotten before that has been dealt with.
func TestWhatPiledUpIsOneMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t).permanent()
	r.open("").Close()
	r.exec(`do $$ begin for i in 1..5000 loop perform pg_logical_emit_message(true, 'reminder_worker', 'told:A:' || i); commit; end loop; end $$`)
	left, last := r.confirmed(), uint64(ask[int64](r, `select pg_current_wal_insert_lsn() - '0/0'`))
	p := r.reopen("")
	m := r.next(p)
	if m.Payload != "" || m.Position <= last {
		t.Errorf("got %+v, want one commit that ends behind %x", m, last)
	}
	r.say("next")
	if next := r.next(p); next.Payload != "next" {
		t.Errorf("then came %+v", next)
	}
	r.serve(p)
	reports := p.reported()
	r.until("several reports are in", func() bool { return p.reported() > reports+5 })
	if at := r.confirmed(); at != left {
		t.Errorf("%x is confirmed, before anything was acknowledged; it was left at %x", at, left)
	}
	p.Acknowledge(m.Position)
	r.until("it is confirmed", func() bool { return r.confirmed() == m.Position })
}

// Thousands of changes stream while the consumer is killed again and again. It reads
// the tables for nothing but what it is told through the slot.
func TestNothingIsLostWhenTheConsumerDies(t *testing.T) {
	t.Parallel()
	const total = 10_000
	r := newRig(t).permanent()
	r.exec(`create table work (id int)`)
	net := newProxy(t, r.url)
	p := r.reopen(net.url())
	written := make(chan error, 1)
	go func() {
		_, err := r.pool.Exec(context.Background(), fmt.Sprintf(`do $$ begin for i in 1..%d loop
			insert into work values (i); perform pg_logical_emit_message(true, 'reminder_worker', ''); commit; end loop; end $$`, total))
		written <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for done, kills := 0, 0; done < total; {
		m, err := p.Receive(ctx)
		if err != nil {
			t.Fatalf("%d of %d rows were taken, %d kills: %v", done, total, kills, err)
		}
		if m.Pong {
			continue
		}
		if done > 2000*(kills+1) && kills < 4 {
			kills++ // with this message in its hands
			net.cut()
			p = r.reopen(net.url())
			continue
		}
		done += ask[int](r, `with taken as (delete from work returning 1) select count(*) from taken`)
		p.Acknowledge(m.Position)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}

// reopen opens a path as soon as the slot is free.
func (r *rig) reopen(url string) (p *path) {
	r.t.Helper()
	r.until("the slot is free", func() bool {
		got, err := r.source(url).Open(r.t.Context())
		if err == nil {
			p = got.(*path)
			r.t.Cleanup(p.Close)
			return true
		}
		if !errors.Is(err, listener.ErrBusy) {
			r.t.Fatal(err)
		}
		return false
	})
	return p
}
