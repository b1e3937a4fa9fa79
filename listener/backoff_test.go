package listener

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	t.Parallel()
	b := backoff{min: 100 * time.Millisecond, max: time.Second, jitter: func(d time.Duration) time.Duration { return d }}
	var got []time.Duration
	for range 6 {
		got = append(got, b.pause()/time.Millisecond)
	}
	b.reset()
	got = append(got, b.pause()/time.Millisecond)
	if diff := cmp.Diff([]time.Duration{100, 200, 400, 800, 1000, 1000, 100}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEqualJitterStaysBetweenHalfAndWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "d"))
		if got := EqualJitter(d); got < d/2 || got > d {
			t.Errorf("jitter of %v is %v", d, got)
		}
	})
}

func TestComplaintsAboutTheSameFailureGetRarer(t *testing.T) {
	t.Parallel()
	refused := func(port int) error {
		return fmt.Errorf("connect: %w", &net.OpError{
			Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED,
			Source: &net.TCPAddr{Port: port},
		})
	}
	var c complaints
	var logged []uint
	for i := range 20 {
		// Each attempt has another local port; it is the same failure.
		if log, times := c.worth(refused(40000 + i)); log {
			logged = append(logged, times)
		}
	}
	if diff := cmp.Diff([]uint{1, 2, 4, 8, 16}, logged); diff != "" {
		t.Error(diff)
	}
	if log, times := c.worth(fmt.Errorf("listen: %w", syscall.ECONNREFUSED)); !log || times != 1 {
		t.Errorf("the same cause at another step: logged %v, times %d", log, times)
	}
	if log, times := c.worth(errors.Join(ErrNoProof)); !log || times != 1 {
		t.Errorf("a new failure: logged %v, times %d", log, times)
	}
	if log, times := c.worth(refused(1)); !log || times != 1 {
		t.Errorf("an old failure after another one: logged %v, times %d", log, times)
	}
}
