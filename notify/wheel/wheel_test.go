package wheel

import (
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// numbered makes an id of a number.
func numbered(n int) ID {
	var id ID
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func number(id ID) int { return int(binary.BigEndian.Uint64(id[8:])) }

// fired is one id and the time at which fire was called with it.
type fired struct {
	ID    int
	After time.Duration
}

// recorder collects what a running wheel fires.
type recorder struct {
	start time.Time
	got   []fired
}

func (r *recorder) fire(due []Entry) {
	for _, e := range due {
		r.got = append(r.got, fired{number(e.ID), time.Since(r.start)})
	}
}

// run starts a wheel in a bubble of fake time. Read what was recorded after
// synctest.Wait only.
func run(t *testing.T) (*Wheel, *recorder) {
	t.Helper()
	w, r := New(), &recorder{start: time.Now()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx, r.fire) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w, r
}

func TestFiresInOrderAndOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, r := run(t)
		var want []fired
		for i, d := range []time.Duration{
			0, time.Millisecond, 30 * time.Minute, 3 * time.Hour, 24 * time.Hour,
			40 * time.Hour,
		} {
			w.Arm(numbered(i), r.start.Add(d))
			want = append(want, fired{i, d})
		}
		time.Sleep(41 * time.Hour)
		synctest.Wait()
		if diff := cmp.Diff(want, r.got); diff != "" {
			t.Errorf("fired (-want +got):\n%s", diff)
		}
		if n := w.Len(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}
