package demo

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// recorder keeps what is shown.
type recorder struct {
	face
	shown []happening
}

func (r *recorder) show(h happening) { r.shown = append(r.shown, h) }

var mira = uuid.MustParse("00000000-0000-4000-8000-00000000000a")

func newRecorded() (*tracker, *recorder) {
	r := &recorder{}
	t := newTracker(r)
	t.people[mira] = "Mira"
	return t, r
}

func after(d time.Duration) time.Time { return noon.Add(d) }

// eventRow is an event's row at a revision.
func eventRow(revision int64, status string, start time.Time) row {
	return row{ID: soccer, UserID: mira, Title: "Soccer", Start: stamp{start}, Status: status, SyncRevision: revision}
}

func reminderRow(id uuid.UUID, status string, due time.Time, lead int) row {
	revision := int64(1)
	return row{ID: id, EventID: soccer, UserID: mira, Status: status, NotifyAt: stamp{due}, LeadSeconds: lead, PlanRevision: &revision}
}

func request(op string, status int, at time.Time) gcalfake.Record {
	return gcalfake.Record{Op: op, Status: status, At: at, User: "mira@example.org", ID: "00000000000040008000000000000001"}
}

// An event is inserted, planned, written, moved before it is written again, and reminded of.
func TestTrackerFollowsAnEvent(t *testing.T) {
	t.Parallel()
	tr, seen := newRecorded()
	begins, moved := noon.Add(3*time.Hour), noon.Add(4*time.Hour)
	due := moved.Add(-3 * time.Hour)
	tr.handleRows([]entry{
		{committed: noon, table: "events", op: insertOp, is: eventRow(1, statusPending, begins)},
		{committed: after(2 * time.Millisecond), table: "reminders", op: insertOp, is: reminderRow(alarm, statusPending, begins.Add(-30*time.Minute), 1800)},
		{committed: after(2 * time.Millisecond), table: "reminders", op: insertOp, is: reminderRow(piano, statusSkipped, begins.Add(-24*time.Hour), 86400)},
	})
	tr.handleRequest(request(gcalfake.OpInsert, 200, after(3*time.Millisecond)))
	tr.handleRows([]entry{
		{committed: after(4 * time.Millisecond), table: "events", op: updateOp, was: eventRow(1, statusPending, begins), is: eventRow(1, statusSynced, begins)},
		{committed: after(10 * time.Millisecond), table: "events", op: updateOp, was: eventRow(1, statusSynced, begins), is: eventRow(2, statusPending, moved)},
		{committed: after(12 * time.Millisecond), table: "reminders", op: updateOp, was: reminderRow(alarm, statusPending, begins.Add(-30*time.Minute), 1800), is: reminderRow(alarm, statusCancelled, begins.Add(-30*time.Minute), 1800)},
		{committed: after(12 * time.Millisecond), table: "reminders", op: updateOp, was: reminderRow(piano, statusSkipped, due, 10800), is: reminderRow(piano, statusPending, due, 10800)},
	})
	tr.handleRequest(request(gcalfake.OpGet, 200, after(13*time.Millisecond)))
	tr.handleRequest(request(gcalfake.OpUpdate, 503, after(14*time.Millisecond)))
	tr.handleRequest(request(gcalfake.OpUpdate, 200, after(15*time.Millisecond)))
	tr.handlePush(expofake.Push{Token: phone("a"), Title: "Soccer", CollapseID: piano.String(), FirstByte: due.Add(7 * time.Millisecond)})

	type line struct {
		Kind kind
		Took time.Duration
		Note string
	}
	var got []line
	for _, h := range seen.shown {
		got = append(got, line{h.Kind, h.Took, h.Note})
	}
	want := []line{
		{kindRow, 0, "inserted, begins 15:00:00"},
		{kindPlanned, 2 * time.Millisecond, "30 min at 14:30:00; already past: 24 h"},
		{kindWritten, 3 * time.Millisecond, "Google Calendar of mira@example.org"},
		{kindRow, 0, "moved from 15:00:00 to 16:00:00"},
		{kindWithdrawn, 2 * time.Millisecond, "14:30:00: "},
		{kindPlanned, 2 * time.Millisecond, "3 h at 13:00:00"},
		{kindAnswer, 0, "503 Service Unavailable to update"},
		{kindUpdated, 5 * time.Millisecond, "Google Calendar of mira@example.org"},
		{kindPushed, 7 * time.Millisecond, ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	push := pushFact{reminder: piano, event: soccer, token: phone("a"), title: "Soccer", due: due, owed: due, at: due.Add(7 * time.Millisecond)}
	if diff := cmp.Diff([]pushFact{push}, tr.pushes, cmp.AllowUnexported(pushFact{})); diff != "" {
		t.Errorf("pushes (-want +got):\n%s", diff)
	}
	if !tr.kept(promise{event: soccer, due: due, tokens: []string{phone("a")}}) || tr.kept(promise{event: soccer, due: due, tokens: []string{phone("a"), phone("b")}}) {
		t.Error("promises are told wrongly")
	}
}

// A reminder that the app writes when it is already past is owed from that moment on.
func TestTrackerOwesFromTheCommit(t *testing.T) {
	t.Parallel()
	tr, _ := newRecorded()
	own := reminderRow(alarm, statusPending, noon.Add(-time.Minute), 0)
	own.PlanRevision = nil
	tr.handleRows([]entry{{committed: noon, table: "reminders", op: insertOp, is: own}})
	tr.handlePush(expofake.Push{Token: phone("a"), CollapseID: alarm.String(), FirstByte: after(time.Millisecond)})
	if got := tr.pushes[0]; !got.owed.Equal(noon) || !got.due.Equal(noon.Add(-time.Minute)) {
		t.Errorf("due %v, owed %v", got.due, got.owed)
	}
}

func TestTrackerAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr, _ := newRecorded()
		if err := tr.await(t.Context(), time.Minute, func() bool { return true }); err != nil {
			t.Error(err)
		}
		began := time.Now()
		if err := tr.await(t.Context(), time.Minute, func() bool { return false }); !errors.Is(err, errInVain) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := tr.await(ctx, time.Minute, func() bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
