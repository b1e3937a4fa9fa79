package notify

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/wheel"
)

// muchLater is a moment at which everything is due.
var muchLater = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// TestQueue adds from many sides and takes on one: everything arrives, each side's in order.
func TestQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		var adding sync.WaitGroup
		for side := range byte(8) {
			adding.Go(func() {
				for i := range byte(100) {
					if i%2 == 0 {
						q.add([]wheel.Entry{{ID: wheel.ID{side, i}}})
					} else {
						q.addIDs([]uuid.UUID{{side, i}})
					}
				}
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		next := map[byte]byte{}
		for taken := 0; taken < 800; {
			q.wait(ctx)
			ids := q.cut(7, true, muchLater)
			if len(ids) == 0 || len(ids) > 7 {
				t.Fatalf("%d ids", len(ids))
			}
			for _, id := range ids {
				if id[1] != next[id[0]] {
					t.Fatalf("side %d: %d before %d", id[0], id[1], next[id[0]])
				}
				next[id[0]]++
			}
			taken += len(ids)
		}
		adding.Wait()
		if q.len() != 0 || len(q.cut(1, true, muchLater)) != 0 {
			t.Errorf("%d are left", q.len())
		}
		cancel()
		q.wait(ctx) // returns
	})
}

// TestQueueHoldsEachOnce adds the same again and again, as reading the window does.
func TestQueueHoldsEachOnce(t *testing.T) {
	t.Parallel()
	q := newQueue()
	a, b, c := uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}
	for range 1000 {
		q.add([]wheel.Entry{{ID: wheel.ID(a)}, {ID: wheel.ID(b)}})
		q.addIDs([]uuid.UUID{b, c})
	}
	if diff := cmp.Diff([]uuid.UUID{a, b}, q.cut(2, true, muchLater)); diff != "" || q.len() != 1 {
		t.Errorf("%d left (-want +got):\n%s", q.len(), diff)
	}
	q.addIDs([]uuid.UUID{c, a}) // what was taken may be due again
	if diff := cmp.Diff([]uuid.UUID{c, a}, q.cut(9, true, muchLater)); diff != "" || q.len() != 0 || len(q.queued) != 0 {
		t.Errorf("%d left (-want +got):\n%s", q.len(), diff)
	}
}

// TestQueueByDeadline ranks a backlog: nearest event first, then the one longer overdue; what has only just come is not held up by it.
func TestQueueByDeadline(t *testing.T) {
	t.Parallel()
	q := newQueue()
	at := func(minutes int) time.Time { return time.Unix(0, 0).Add(time.Duration(minutes) * time.Minute) }
	id := func(n byte) uuid.UUID { return uuid.UUID{n} }
	for n, due := range []int{1: 50, 2: 40, 3: 30, 4: 20, 5: 10} {
		if due > 0 {
			q.add([]wheel.Entry{{ID: wheel.ID(id(byte(n))), At: at(due)}})
		}
	}
	asked := q.unranked(4, 100)
	if len(asked) != 5 || len(q.unranked(5, 100)) != 0 || len(q.unranked(0, 2)) != 2 {
		t.Fatalf("%d are to be ranked", len(asked))
	}
	q.rank(asked, map[uuid.UUID]time.Time{id(1): at(60), id(2): at(90), id(3): at(60), id(4): at(120)}) // the fifth is gone
	q.addIDs([]uuid.UUID{id(6)})
	if diff := cmp.Diff([]uuid.UUID{id(6), id(5), id(3), id(1), id(2), id(4)}, q.cut(9, true, muchLater)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestQueueOfACrowd: of many that come together nobody leaves before all are ranked, as long as that does not take too long.
func TestQueueOfACrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const most = crowd + 1000
		now := time.Now()
		id := func(n int) uuid.UUID { return uuid.UUID{byte(n >> 16), byte(n >> 8), byte(n)} }
		q := newQueue()
		ids, deadlines := make([]uuid.UUID, most), map[uuid.UUID]time.Time{}
		for n := range ids {
			ids[n] = id(n)
			deadlines[ids[n]] = now.Add(time.Duration(most-n) * time.Minute)
		}
		q.addIDs(ids)
		waited := func() time.Duration {
			began := time.Now()
			q.wait(t.Context())
			return time.Since(began)
		}
		if d := waited(); d != rankPatience {
			t.Errorf("unranked for %s, want %s", d, rankPatience)
		}
		if d := waited(); d != 0 {
			t.Errorf("waited for %s once more", d)
		}
		time.AfterFunc(time.Second, func() { q.rank(ids, deadlines) })
		q.crowded = time.Now().Add(time.Minute) // far from the end of its patience
		if d := waited(); d != time.Second {
			t.Errorf("ranked after %s, want 1s", d)
		}
		q.addIDs([]uuid.UUID{id(most), id(most + 1)})
		got := q.cut(2, true, muchLater)
		if diff := cmp.Diff([]uuid.UUID{id(most - 1), id(most - 2)}, got); diff != "" {
			t.Errorf("what has just come leaves before a crowd (-want +got):\n%s", diff)
		}
		for q.len() > crowd {
			got = q.cut(1, true, muchLater)
		}
		if want := id(most - 1000 - 2); got[0] != want {
			t.Errorf("the last before it is no crowd: %s, want %s", got[0], want)
		}
		if diff := cmp.Diff([]uuid.UUID{id(most), id(most + 1), id(most - 1000 - 3)}, q.cut(3, true, muchLater)); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

// TestQueueOfSuspects: while requests fail others are tried before a suspect; later it goes in its turn, alone.
func TestQueueOfSuspects(t *testing.T) {
	t.Parallel()
	q := newQueue()
	a, b, c := uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}
	q.suspect(a)
	take := func(healthy bool, want ...uuid.UUID) {
		t.Helper()
		if diff := cmp.Diff(want, q.cut(9, healthy, muchLater)); diff != "" {
			t.Errorf("healthy %v (-want +got):\n%s", healthy, diff)
		}
	}
	q.addIDs([]uuid.UUID{a, b, c})
	take(false, b, c)
	take(false, a)
	q.addIDs([]uuid.UUID{a, b, c})
	take(true, a)
	take(true, b, c)
	if q.suspects[a].times != 1 || q.suspects[b].times != 0 {
		t.Error("suspects are forgotten, or made of others")
	}
	q.acquit(a)
	q.addIDs([]uuid.UUID{a, b, c})
	take(false, a, b, c)
	for n := range 2 * maxSuspects {
		q.suspect(uuid.UUID{byte(n), byte(n >> 8), 9})
	}
	if len(q.suspects) > maxSuspects {
		t.Errorf("%d suspects are remembered", len(q.suspects))
	}
}

// TestQueueAheadOfTime takes what is due together, and leaves what is due later for a batch of its own.
func TestQueueAheadOfTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	in := func(d time.Duration, n byte) wheel.Entry { return wheel.Entry{ID: wheel.ID{n}, At: now.Add(d)} }
	q := newQueue()
	q.add([]wheel.Entry{in(3*time.Millisecond, 3), in(4*time.Millisecond, 4), in(9*time.Millisecond, 5)})
	q.add([]wheel.Entry{in(-time.Second, 2)})
	q.addIDs([]uuid.UUID{{1}})
	for _, want := range [][]uuid.UUID{{{1}, {2}}, {{3}, {4}}, {{5}}} {
		if diff := cmp.Diff(want, q.cut(9, true, now)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
