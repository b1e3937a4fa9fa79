package wal

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/listener"
)

// opens opens a path as a role, and returns why it could not.
func (r *rig) opens(role string) error {
	r.t.Helper()
	url := r.url
	if role != "" {
		url = strings.Replace(url, "postgres@", role+"@", 1)
	}
	p, err := r.source(url).Open(r.t.Context())
	if err == nil {
		p.Close()
	}
	return err
}

// lacks checks that both Open and Examine say what is missing.
func (r *rig) lacks(role string, need Need, text string) {
	r.t.Helper()
	wantMissing(r.t, r.opens(role), need, text)
	url := r.url
	if role != "" {
		url = strings.Replace(url, "postgres@", role+"@", 1)
	}
	wantMissing(r.t, Examine(r.t.Context(), r.connect(url), r.cfg), need, text)
}

func TestNothingIsMissing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := errors.Join(Examine(t.Context(), r.connect(r.url), r.cfg), r.opens("")); err != nil {
		t.Error(err)
	}
	r.permanent()
	if err := errors.Join(r.opens(""), Examine(t.Context(), r.connect(r.url), r.cfg)); err != nil && !errors.Is(err, listener.ErrBusy) {
		t.Error(err)
	}
}

func TestExamineChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Slot = "never_made"
	if err := Examine(t.Context(), r.connect(r.url), r.cfg); err != nil {
		t.Error(err)
	}
	if n := ask[int](r, `select (select count(*) from pg_publication) + (select count(*) from pg_replication_slots where slot_name = 'never_made')`); n != 0 {
		t.Errorf("%d things were made", n)
	}
}

func TestTheLogSaysTooLittle(t *testing.T) {
	t.Parallel()
	_, pool, url := ownServer(t, map[string]string{"wal_level": "replica"})
	rigOn(t, pool, url).lacks("", NeedLevel, "wal_level is replica")
}

func TestARoleThatMayNotReplicate(t *testing.T) {
	t.Parallel()
	_, pool, url := ownServer(t, nil)
	r := rigOn(t, pool, url)
	r.exec(`create role plain login`)
	r.lacks("plain", NeedRole, `role "plain" may not replicate`)
	r.exec(`alter role plain replication`)
	r.lacks("plain", NeedPublication, `publication "reminder_worker" is missing`)
	r.exec(`create publication reminder_worker`)
	if err := r.opens("plain"); err != nil {
		t.Errorf("with all it needs: %v", err)
	}
	r.exec(`drop publication reminder_worker`)
	r.exec(`grant create on database postgres to plain`)
	if err := r.opens("plain"); err != nil {
		t.Errorf("with all it needs, another way: %v", err)
	}
}

func TestNoSlotIsLeft(t *testing.T) {
	t.Parallel()
	_, pool, url := ownServer(t, map[string]string{"max_replication_slots": "1"})
	r := rigOn(t, pool, url)
	r.exec(`select pg_create_physical_replication_slot('taken')`)
	r.lacks("", NeedSlot, "all 1 replication slots are in use")
	r.exec(`select pg_drop_replication_slot('taken')`)
}

// The slot that a worker has for itself is no reason to drop one.
func TestNoSlotIsLeftForAnother(t *testing.T) {
	t.Parallel()
	_, pool, url := ownServer(t, map[string]string{"max_replication_slots": "1"})
	r := rigOn(t, pool, url)
	p := r.open("")
	err := Examine(t.Context(), r.connect(url), r.cfg)
	if full, ok := errors.AsType[*CrowdedError](err); !ok || full.Most != 1 || full.Heard != 1 {
		t.Errorf("got %v, want a CrowdedError", err)
	}
	p.Close()
}

func TestNoSenderIsLeft(t *testing.T) {
	t.Parallel()
	_, pool, url := ownServer(t, map[string]string{"max_wal_senders": "1"})
	r := rigOn(t, pool, url)
	taken := r.open("")
	r.lacks("", NeedSender, "max_wal_senders")
	taken.Close()
	r.until("the connection is free", func() bool { return ask[int](r, `select count(*) from pg_stat_replication`) == 0 })
}

func TestAStandbyIsNoPrimary(t *testing.T) {
	t.Parallel()
	server, _, _ := ownServer(t, nil)
	standby, err := server.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	url := standby.URL("postgres")
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	rigOn(t, pool, url).lacks("", NeedPrimary, "standby")
}

// What a pooler makes of the wish to replicate: it is refused, or forgotten.
func TestAPoolerIsRecognised(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	forgets := func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, r.url) }
	refuses := func(context.Context) (*pgx.Conn, error) {
		return nil, &pgconn.PgError{Severity: "FATAL", Code: "08P01", Message: "unsupported startup parameter: replication"}
	}
	for what, connect := range map[string]Connect{"forgets": forgets, "refuses": refuses} {
		s, err := New(connect, nil, r.cfg, zerolog.Nop(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Open(t.Context())
		wantMissing(t, err, NeedDirect, map[string]string{"forgets": "ordinary connection", "refuses": "unsupported startup parameter"}[what])
	}
}

func TestAServerThatIsGoneIsNotMissingAnything(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.source("postgres://postgres@127.0.0.1:1/x?sslmode=disable").Open(t.Context())
	if _, ok := errors.AsType[*MissingError](err); ok || err == nil {
		t.Errorf("got %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	bad := Config{Slot: "Family; drop", Publication: "1st", SenderTimeout: 1, StatusInterval: -1}
	err := bad.Validate()
	for _, want := range []string{"slot", "publication", "sender timeout", "status interval", "slot timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %s", err, want)
		}
	}
	if _, err := New(nil, nil, bad, zerolog.Nop(), nil); err == nil {
		t.Error("a source was made with bad settings")
	}
	for name, ok := range map[string]bool{"": false, "a": true, "9_a": true, "A": false, "a-b": false, strings.Repeat("a", 63): true, strings.Repeat("a", 64): false, "a'": false} {
		if got := CheckSlot(name) == nil; got != ok {
			t.Errorf("slot %q: %v, want %v", name, got, ok)
		}
	}
}
