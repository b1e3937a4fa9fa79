package notify

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/wheel"
)

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
			ids := q.cut(7)
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
		if q.len() != 0 || len(q.cut(1)) != 0 {
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
	if diff := cmp.Diff([]uuid.UUID{a, b}, q.cut(2)); diff != "" || q.len() != 1 {
		t.Errorf("%d left (-want +got):\n%s", q.len(), diff)
	}
	q.addIDs([]uuid.UUID{c, a}) // what was taken may be due again
	if diff := cmp.Diff([]uuid.UUID{c, a}, q.cut(9)); diff != "" || q.len() != 0 || len(q.queued) != 0 {
		t.Errorf("%d left (-want +got):\n%s", q.len(), diff)
	}
}
