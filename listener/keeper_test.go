package listener

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// wayTime is how long a word takes to come back from a belfry.
const wayTime = time.Millisecond

// belfry is a path and a bell in one, inside a synctest bubble: it notes what it is
// asked for and when, and brings back the words that it is given.
type belfry struct {
	*Listener
	t      *testing.T
	begin  time.Time
	heard  chan Message
	result chan error

	mu       sync.Mutex // guards what follows
	asked    []string
	mute     bool     // loses what it is given
	writers  []string // under way
	openings int64
}

// keep has a listener follow a belfry.
func keep(t *testing.T) *belfry {
	t.Helper()
	cfg := DefaultConfig()
	cfg.StormCommits, cfg.StormWithin = 3, 50*time.Millisecond
	cfg.Silence, cfg.LookInterval, cfg.LookSlowest = 100*time.Millisecond, 40*time.Millisecond, 200*time.Millisecond
	cfg.TellInterval = time.Second
	b := &belfry{t: t, begin: time.Now(), heard: make(chan Message, 64), result: make(chan error, 1)}
	b.Listener = New(b, cfg, zeroLog(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := b.follow(ctx, b)
		b.result <- err
	}()
	t.Cleanup(func() { cancel(); <-done })
	return b
}

// calmly returns a belfry whose first silence is over, and forgets what was until then.
func calmly(t *testing.T) *belfry {
	t.Helper()
	b := keep(t)
	b.at(time.Second)
	b.take()
	b.change()
	return b
}

func (b *belfry) Name() string                       { return "belfry" }
func (b *belfry) Open(context.Context) (Path, error) { return b, nil }
func (b *belfry) Bell() Bell                         { return bellOf{b} }
func (b *belfry) Acknowledge(uint64)                 {}
func (b *belfry) Close()                             {}

func (b *belfry) Receive(ctx context.Context) (Message, error) {
	select {
	case m := <-b.heard:
		return m, nil
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

func (b *belfry) Ping() error { b.bring(Message{Pong: true}); return nil }

// bring delivers a message after the time of the way.
func (b *belfry) bring(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.mute {
		time.AfterFunc(wayTime, func() { b.heard <- m })
	}
}

// note remembers what was asked for, with the time and what kind of word it carries.
func (b *belfry) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, time.Since(b.begin).String()+" "+fmt.Sprintf(format, args...))
}

// bellOf has the bell's Open and Close, which the path has, too.
type bellOf struct{ *belfry }

func (b bellOf) Open(_ context.Context, w string) (Opened, error) {
	b.note("open")
	b.bring(Message{Payload: w})
	b.mu.Lock()
	defer b.mu.Unlock()
	return Opened{Openings: b.openings}, nil
}

func (b bellOf) Send(_ context.Context, w string) (int64, error) {
	kind, _, _ := strings.Cut(w, ":")
	b.note("send %s", kind)
	b.bring(Message{Payload: w})
	return time.Now().UnixMilli(), nil
}

func (b bellOf) Close(_ context.Context, sentMs int64, within time.Duration) (bool, error) {
	b.note("close, sent %v ago, within %v", time.Since(time.UnixMilli(sentMs)), within)
	return true, nil
}

func (b bellOf) Writers(_ context.Context, among []string) ([]string, error) {
	b.note("writers %v", among)
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.writers), nil
}

// at moves to a moment after the beginning and lets everything due by then happen.
func (b *belfry) at(after time.Duration) {
	<-time.After(time.Until(b.begin.Add(after)))
	synctest.Wait()
}

// set changes what the server would answer.
func (b *belfry) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// take returns what was asked for since it was last called.
func (b *belfry) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := b.asked
	b.asked = nil
	return asked
}

// change takes the pending change, and returns its cause, or zero.
func (b *belfry) change() Cause {
	c, _ := b.box.take()
	return c.Cause
}

// asks compares what was asked for with what should have been.
func (b *belfry) asks(want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.take(), cmpopts.EquateEmpty()); diff != "" {
		b.t.Error(diff)
	}
}

// hands moves on, from one moment to the next, and compares the changes that are pending at each.
func (b *belfry) hands(want ...moment) {
	b.t.Helper()
	for _, m := range want {
		b.at(m.at)
		if got := b.change(); got != m.cause {
			b.t.Errorf("at %v a change of cause %v, want %v", m.at, got, m.cause)
		}
	}
}

type moment struct {
	at    time.Duration
	cause Cause
}

const nothing Cause = 0

// ms is a moment in milliseconds.
func ms(n int, c Cause) moment { return moment{time.Duration(n) * time.Millisecond, c} }

func TestAPathBeginsWithASilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := keep(t)
		b.hands(ms(0, nothing), ms(1, Backlog), ms(80, nothing), ms(81, Look), ms(100, nothing))
		b.asks("0s send proof", "1ms open", "1ms writers []", "1ms send told")
		b.hands(ms(101, Look), ms(5000, nothing)) // opened again, and a last look
		b.asks("101ms open", "101ms writers []")
		b.hands(ms(5101, nothing))
		b.asks("5.101s open")
	})
}

func TestAPathThatBringsNoProofEnds(t *testing.T) {
	t.Parallel()
	for name, mute := range map[string]func(*belfry){
		"at the beginning": func(*belfry) {},
		"later":            func(b *belfry) { b.set(func() { b.mute = false }); b.at(time.Second); b.set(func() { b.mute = true }) },
		"after a hush": func(b *belfry) {
			b.set(func() { b.mute = false })
			b.at(time.Second)
			b.storm()
			b.set(func() { b.mute = true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := keep(t)
				b.set(func() { b.mute = true })
				mute(b)
				if err := <-b.result; !errors.Is(err, ErrNoProof) {
					t.Errorf("ended with %v, want no proof", err)
				}
				b.result <- nil
			})
		})
	}
}

// storm has commits heard, as many as make one.
func (b *belfry) storm() {
	for range b.cfg.StormCommits + 1 {
		b.heard <- Message{}
	}
}

func TestAStormIsHushedThenSilenced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := calmly(t)
		b.storm()
		b.hands(ms(1000, Committed), ms(1001, Look), ms(1041, Look), ms(1081, Look))
		b.asks("1s send hush", "1.001s close, sent 1ms ago, within 50ms")
		b.storm() // by those who found the bell open still
		b.hands(ms(1100, Committed))
		b.asks()
		b.hands(ms(1101, Look), ms(1200, nothing))
		b.asks("1.101s open", "1.101s writers []")
		if n := testutil.ToFloat64(b.metrics.silences); n != 1 {
			t.Errorf("%v silences counted, want 1", n)
		}
	})
}

func TestTheHushOfAnotherIsASilenceToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := calmly(t)
		b.heard <- Message{Payload: "hush:another:1"}
		b.hands(ms(1000, Look), ms(1040, Look), ms(1099, Look), ms(1100, Look), ms(2000, nothing))
		b.asks("1.1s open", "1.1s writers []")
	})
}

func TestWritersAreLookedAfterUntilTheyEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := keep(t)
		b.set(func() { b.writers = []string{"3/7"} })
		b.hands(ms(101, Backlog), ms(180, nothing), ms(181, Look), ms(341, Look), ms(541, Look))
		b.set(func() { b.writers = nil })
		b.hands(ms(740, nothing), ms(741, Look), ms(2000, nothing))
		asked := b.take()
		want := []string{
			"101ms open", "101ms writers []", "101ms writers [3/7]", "181ms writers [3/7]",
			"341ms writers [3/7]", "541ms writers [3/7]", "741ms writers [3/7]",
		}
		if diff := cmp.Diff(want, asked[len(asked)-len(want):]); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnOpeningThatIsNotOursIsAGap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := calmly(t)
		b.set(func() { b.openings, b.writers = 1, []string{"3/7"} })
		b.hands(ms(5101, Backlog), ms(5181, Look))
		b.set(func() { b.writers = nil })
		b.hands(ms(5341, Look), ms(10000, nothing))
		b.asks("5.101s open", "5.101s writers []", "5.101s writers [3/7]", "5.181s writers [3/7]", "5.341s writers [3/7]")
		b.hands(ms(10101, nothing))
		b.asks("10.101s open")
		if n := testutil.ToFloat64(b.metrics.gaps); n != 1 {
			t.Errorf("%v gaps counted, want 1", n)
		}
	})
}

func TestACommitHeardEarlyIsLookedAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := calmly(t)
		b.set(func() { b.writers = []string{"3/7"} })
		b.heard <- Message{Early: true}
		b.hands(ms(1000, Committed))
		b.set(func() { b.writers = nil })
		b.hands(ms(1079, nothing), ms(1080, Look), ms(5000, nothing))
		b.asks("1s writers []", "1s writers [3/7]", "1.08s writers [3/7]")
	})
}

func TestOthersAreToldInMeasure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := calmly(t)
		b.at(2 * time.Second)
		for range 5 {
			b.Tell()
			synctest.Wait()
		}
		b.hands(ms(2999, nothing), ms(4000, nothing)) // it does not look itself
		b.asks("2s send told", "3s send told")
		b.heard <- Message{Payload: "told:another:1"}
		b.hands(ms(4001, Look))
		b.asks()
	})
}

func TestATransactionThatNeverEndsCostsLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := calmly(t)
		b.set(func() { b.writers = []string{"-1/771"} }) // prepared, and nobody commits it
		b.heard <- Message{Early: true}
		b.at(30 * time.Second)
		b.take()
		b.heard <- Message{Early: true} // more commits make it no dearer
		b.at(40 * time.Second)
		asked := 0
		for _, a := range b.take() {
			if strings.Contains(a, "writers") {
				asked++
			}
		}
		if asked > 13 {
			t.Errorf("asked %d times in 10 s", asked)
		}
	})
}

func TestOwnWordsAreNoCommits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := calmly(t)
		b.heard <- Message{Payload: "proof:another:1", Early: true}
		b.hands(ms(2000, nothing))
		b.asks()
	})
}

func TestAPathThatSwallowsHasNobodyRing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := keep(t)
		b.set(func() { b.mute = true })
		b.at(2 * time.Second)
		b.asks("0s send proof")
	})
}
