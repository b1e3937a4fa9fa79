package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/listener/wal"
)

// hearsByLog has the world's workers hear through the log; a slot that is named is dropped at the end.
func (w *world) hearsByLog(slot string) {
	w.t.Helper()
	w.runsAs(walRunner)
	w.cfg.ChangeSource, w.cfg.WALSlot = sourceWAL, slot
	w.cfg.SweepInterval = 30 * time.Second // what is found sooner has been heard
	w.t.Cleanup(func() {
		w.until("no slot is left", func() bool {
			_, _ = w.db.Exec(context.Background(), `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active`, slot)
			return one[int](w, `select count(*)::int from pg_replication_slots where database = current_database()`) == 0
		})
	})
}

// readiness is what one check says of a program.
func readiness(a *App, name string) (c ops.Check, f ops.Finding) {
	for _, c := range a.checks() {
		if c.Name == name {
			return c, c.Probe()
		}
	}
	return c, f
}

func TestTheWholeWayByLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hearsByLog("")
	a, stop := w.start()
	w.until("listening", func() bool { return a.listener.Status().State == listener.Listening })
	if s := a.listener.Status(); s.Source != "wal" {
		t.Errorf("hears through %s", s.Source)
	}
	user, _ := w.user()
	event := w.event(user, "Swimming", 48*time.Hour)
	w.untilStatus(event, "synced")
	w.exec(`update reminders set notify_at_ts = now() where event_id = $1 and lead_seconds = 1800`, event)
	w.until("push", func() bool { return len(w.expo.Pushes()) == 1 })
	w.exec(`delete from events where id = $1`, event)
	w.until("removed copy", func() bool { return len(w.live(user)) == 0 })
	if c, f := readiness(a, "listener"); !c.Required || !f.OK || f.Degraded {
		t.Errorf("%+v, %+v", c.Required, f)
	}
	stop()
}

// Two workers and one slot: one hears, the other is ready all the same and takes over.
func TestOneSlotForTwoWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hearsByLog(fmt.Sprintf("reminder_worker_%d", time.Now().UnixNano()))
	first, stopFirst := w.start()
	w.until("listening", func() bool { return first.listener.Status().State == listener.Listening })
	second, stopSecond := w.start()
	w.until("standing by", func() bool { return second.listener.Status().State == listener.Polling })
	c, f := readiness(second, "listener")
	if !c.Required || !f.OK || !f.Degraded || !strings.Contains(f.Reason, "is in use by server process") {
		t.Errorf("stands by: %+v", f)
	}
	judged(t, diagnosis(t, w.cfg, nil)["replication"], Pass, "is read by a worker")
	stopFirst()
	w.until("taken over", func() bool { return second.listener.Status().State == listener.Listening })
	user, _ := w.user()
	w.untilStatus(w.event(user, "Swimming", 48*time.Hour), "synced")
	stopSecond()
	judged(t, diagnosis(t, w.cfg, nil)["replication"], Warn, "until the disk is full")
	w.cfg.ChangeSource, w.cfg.WALSlot = sourceAuto, ""
	others := fmt.Sprintf("another_program_%d", time.Now().UnixNano())
	w.exec(`select pg_create_logical_replication_slot($1, 'pgoutput')`, others)
	left := diagnosis(t, w.cfg, nil)["replication"]
	w.exec(`select pg_drop_replication_slot($1)`, others)
	judged(t, left, Warn, "1 permanent slot that nobody reads")
	if len(left.Details) != 1 || strings.Contains(left.Fix, others) {
		t.Errorf("%+v, and the slot of another program is none of ours", left)
	}
}

// What was asked for and cannot be had makes a worker unready, though it serves.
func TestAWorkerThatMayNotReadTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hearsByLog("")
	w.narrow("plain_worker", "bypassrls")
	a, stop := w.start()
	defer stop()
	w.until("deaf", func() bool { return a.listener.Status().Err != nil })
	c, f := readiness(a, "listener")
	if !c.Required || f.OK || !strings.Contains(f.Reason, `role "plain_worker" may not replicate`) || !strings.Contains(f.Fix, `alter role "plain_worker" replication;`) {
		t.Errorf("%+v", f)
	}
	user, _ := w.user()
	w.untilStatus(w.event(user, "Swimming", 48*time.Hour), "synced") // by a sweep
	f2 := diagnosis(t, w.cfg, nil)["replication"]
	judged(t, f2, Fail, "1 thing is missing")
	if len(f2.Details) != 1 || f2.Fix != f.Fix {
		t.Errorf("%+v", f2)
	}
}

func TestWhatIsJudgedOfTheLog(t *testing.T) {
	t.Parallel()
	missing := func(n wal.Need) error {
		return &wal.MissingError{Need: n, Fault: fmt.Sprintf("fault %d", n), Fix: fmt.Sprintf("mend %d", n)}
	}
	busy := &wal.BusyError{Slot: "s", PID: "7"}
	for _, c := range []struct {
		name    string
		got     Finding
		verdict Verdict
		text    string
	}{
		{"one", judgeReplication(missing(1)), Fail, "1 thing is missing"},
		{"several", judgeReplication(errors.Join(missing(1), missing(2))), Fail, "2 things are missing"},
		{"busy", judgeReplication(busy), Pass, "server process 7"},
		{"busy, joined", judgeReplication(errors.Join(busy)), Pass, "server process 7"},
		{"busy, and more", judgeReplication(errors.Join(missing(1), busy)), Fail, "1 thing is missing"},
		{"something else", judgeReplication(errors.Join(errors.New("out of order"))), Fail, "out of order"},
		{"bounded", judgeKeepSize("s", "4GB"), Pass, "4GB of it at most"},
		{"unbounded", judgeKeepSize("s", "-1"), Warn, "until the disk is full"},
		{"nothing left", judgeLeftSlots(nil), Pass, "not used"},
		{"left", judgeLeftSlots([]leftSlot{{"reminder_worker_old", "3 GB"}}), Warn, "that nobody reads"},
		{"no room", judgeReplication(&wal.CrowdedError{Most: 3, Heard: 1}), Warn, "all 3 replication slots are in use, 1 by workers"},
		{"no room, and more", judgeReplication(errors.Join(missing(1), &wal.CrowdedError{Most: 3, Heard: 1})), Fail, "1 thing is missing"},
		{"deaf, wal", judgeDeafness(sourceWAL), Pass, "does without"},
	} {
		t.Run(c.name, func(t *testing.T) { judged(t, c.got, c.verdict, c.text) })
	}
	if got := judgeReplication(errors.Join(missing(1), missing(2), missing(1))).Fix; got != "Mend 1. Mend 2." {
		t.Errorf("fix %q", got)
	}
}
