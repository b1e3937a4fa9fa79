package reconcile

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// lanesUnderTest records what is served when.
type lanesUnderTest struct {
	*lanes
	mu       sync.Mutex
	order    map[uuid.UUID][]int64
	serving  map[uuid.UUID]bool
	most     int
	overlaps int
}

func newLanesUnderTest(concurrency int, took func(*job) time.Duration) *lanesUnderTest {
	l := &lanesUnderTest{order: map[uuid.UUID][]int64{}, serving: map[uuid.UUID]bool{}}
	l.lanes = newLanes(concurrency, func(j *job) {
		l.mu.Lock()
		if l.serving[j.user] {
			l.overlaps++
		}
		l.serving[j.user] = true
		l.most = max(l.most, len(l.serving))
		l.mu.Unlock()
		<-time.After(took(j))
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.serving, j.user)
		l.order[j.user] = append(l.order[j.user], j.revision)
	})
	return l
}

// TestLanes draws loads: one job per user at a time, in order, at most so many users at once, none lost, no goroutine left.
func TestLanes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		concurrency := rapid.IntRange(1, 4).Draw(rt, "concurrency")
		owners := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 60).Draw(rt, "owners")
		synctest.Test(t, func(*testing.T) {
			l := newLanesUnderTest(concurrency, func(j *job) time.Duration { return time.Duration(j.revision%7) * time.Millisecond })
			want := map[uuid.UUID]int{}
			for i, owner := range owners {
				user := uuid.UUID{byte(owner)}
				want[user]++
				l.add(&job{user: user, revision: int64(i)})
				if i%10 == 9 {
					<-time.After(5 * time.Millisecond)
				}
			}
			l.wait()
			l.check(rt, concurrency, want)
		})
	})
}

func (l *lanesUnderTest) check(t *rapid.T, concurrency int, want map[uuid.UUID]int) {
	if l.overlaps > 0 || l.most > concurrency || len(l.queues) > 0 {
		t.Fatalf("%d overlaps, %d users at once of %d allowed, %d lanes left", l.overlaps, l.most, concurrency, len(l.queues))
	}
	for user, n := range want {
		served := l.order[user]
		if len(served) != n {
			t.Fatalf("%d of %d jobs served", len(served), n)
		}
		for i := 1; i < n; i++ {
			if served[i] < served[i-1] {
				t.Fatalf("served out of order: %v", served)
			}
		}
	}
}

// TestLanesShare: a user with one job does not wait behind another's hundred.
func TestLanesShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLanesUnderTest(1, func(*job) time.Duration { return time.Second })
		busy, modest := uuid.UUID{1}, uuid.UUID{2}
		for i := range 100 {
			l.add(&job{user: busy, revision: int64(i)})
		}
		<-time.After(1500 * time.Millisecond)
		began := time.Now()
		l.add(&job{user: modest})
		for {
			<-time.After(100 * time.Millisecond)
			l.mu.Lock()
			served := len(l.order[modest])
			l.mu.Unlock()
			if served == 1 {
				break
			}
		}
		if waited := time.Since(began); waited > 3*time.Second {
			t.Errorf("served after %s", waited)
		}
		l.wait()
	})
}

// TestTurn: who finds a lane full comes back when its turn is to be expected, each one later than the last.
func TestTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		l := newLanes(1, func(*job) { <-block })
		user := uuid.UUID{1}
		for range 11 {
			if wait := l.turn(user, 10, 50*time.Millisecond); wait != 0 {
				t.Fatalf("turned away for %s from a lane with room", wait)
			}
			l.add(&job{user: user})
			synctest.Wait() // the first is being served
		}
		for i := range 3 {
			if wait, want := l.turn(user, 10, 50*time.Millisecond), time.Duration(11+i)*50*time.Millisecond; wait != want {
				t.Errorf("turn %d in %s, want %s", i, wait, want)
			}
		}
		if wait := l.turn(user, 10, time.Minute); wait != 11*turnLimit {
			t.Errorf("after a slow spell turned away for %s, want %s", wait, 11*turnLimit)
		}
		if wait := l.turn(uuid.UUID{2}, 10, time.Second); wait != 0 {
			t.Errorf("another user is turned away for %s", wait)
		}
		close(block)
		l.wait()
	})
}

func newTestJob(removal bool) *job {
	return &job{removal: removal, holdsUntil: time.Now().Add(time.Hour)}
}

func TestFlight(t *testing.T) {
	t.Parallel()
	f := newFlight(3)
	a, b, removal := newTestJob(false), newTestJob(false), newTestJob(true)
	for _, j := range []*job{a, b, removal} {
		f.add(j)
	}
	if f.room() != 0 || f.empty() || len(f.events()) != 2 {
		t.Errorf("room %d, events %d", f.room(), len(f.events()))
	}
	f.lose([]*job{a, {}})
	if f.held(a) || !f.held(b) || len(f.events()) != 1 || f.room() != 0 {
		t.Error("a lost claim is no claim, and still takes room")
	}
	f.extend([]*job{b}, time.Now())
	if f.held(b) || f.jobs[b] == false {
		t.Error("a claim that has ended still holds")
	}
	f.remove(a)
	f.remove(b, removal)
	f.remove() // nobody listens: never blocks
	select {
	case <-f.freed:
	default:
		t.Error("nobody was told of the room")
	}
	if !f.empty() || f.held(b) {
		t.Errorf("room %d", f.room())
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p pause
		if left, _ := p.left(); left != 0 {
			t.Errorf("paused for %s from the start", left)
		}
		p.set(time.Now().Add(time.Minute), "long")
		p.set(time.Now().Add(time.Second), "short")
		if left, why := p.left(); left != time.Minute || why != "long" {
			t.Errorf("paused for %s because of %q", left, why)
		}
		<-time.After(time.Minute)
		if left, _ := p.left(); left != 0 {
			t.Errorf("paused for %s more", left)
		}
	})
}
