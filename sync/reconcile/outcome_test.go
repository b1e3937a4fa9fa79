package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sync/gcal"
)

func pureReconciler(t *testing.T, change ...func(*Config)) *Reconciler {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Jitter = func(d time.Duration) time.Duration { return d }
	for _, f := range change {
		f(&cfg)
	}
	r, err := New(nil, nil, cfg, zerolog.Nop(), NewMetrics(nil), func([]Armed) {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// short is an outcome in one line.
func short(o outcome) string {
	s := fmt.Sprintf("%s retry %s", o.status, o.retry)
	for flag, on := range map[string]bool{" counts": o.counts, " gone": o.gone, " parks": o.reconnect != ""} {
		if on {
			s += flag
		}
	}
	if o.pause > 0 {
		s += " pauses " + o.pause.String()
	}
	if o.copy != nil {
		s += " copy " + o.copy.GoogleID
	}
	return s
}

// TestJudge goes through every kind of error, for an event and for a removal.
func TestJudge(t *testing.T) {
	t.Parallel()
	fail := func(k gcal.Kind, reason string, after time.Duration) error {
		return &gcal.Error{Kind: k, Op: gcal.OpInsert, Reason: reason, RetryAfter: after}
	}
	for _, tt := range []struct {
		name            string
		err             error
		event, removal  string
		everybodyPaused time.Duration // about
	}{
		{"success", nil, "synced retry -1ns copy x", "synced retry -1ns gone copy x", 0},
		{"no answer", context.DeadlineExceeded, "pending retry 8s counts", "pending retry 8s counts", 0},
		{"retry", fail(gcal.Retry, "backendError", 0), "pending retry 8s counts", "pending retry 8s counts", 0},
		{"permanent", fail(gcal.Permanent, "invalid", 0), "failed retry -1ns", "pending retry 15m0s counts", 0},
		{"calendar gone", fail(gcal.CalendarGone, "notFound", 0), "failed retry -1ns", "pending retry 15m0s counts", 0},
		{"throttled", fail(gcal.Throttled, "quotaExceeded", time.Hour), "pending retry 1h0m0s pauses 1h0m0s", "pending retry 1h0m0s pauses 1h0m0s", 0},
		{"throttled project", fail(gcal.Throttled, "dailyLimitExceeded", time.Hour), "pending retry 1h0m0s", "pending retry 1h0m0s", time.Hour},
		{"reconnect", fail(gcal.Reconnect, "invalid_grant", 0), "scheduled retry -1ns parks", "scheduled retry -1ns parks", 0},
		{"project", fail(gcal.Project, "invalid_client", 0), "pending retry 1m0s", "pending retry 1m0s", time.Minute},
	} {
		for _, removal := range []bool{false, true} {
			r := pureReconciler(t)
			j := &job{attempts: 2, removal: removal}
			c := gcal.Copy{}
			if tt.err == nil {
				c.GoogleID = "x"
			}
			want := tt.event
			if removal {
				want = tt.removal
			}
			o := r.judge(j, c, tt.err)
			if got := short(o); got != want {
				t.Errorf("%s, removal %v: %s, want %s", tt.name, removal, got, want)
			}
			if tt.err != nil && !strings.Contains(o.message, tt.err.Error()) {
				t.Errorf("%s: message %q does not say %q", tt.name, o.message, tt.err)
			}
			if left, _ := r.Paused(); left > tt.everybodyPaused || tt.everybodyPaused > 0 && left < tt.everybodyPaused/2 {
				t.Errorf("%s: everybody is paused for %s, want %s", tt.name, left, tt.everybodyPaused)
			}
		}
	}
}

// TestJudgeLastAttempt: an event is given up, a removal never.
func TestJudgeLastAttempt(t *testing.T) {
	t.Parallel()
	r := pureReconciler(t, func(c *Config) { c.MaxAttempts = 3 })
	err := errors.New("the network is down")
	o := r.judge(&job{attempts: 2}, gcal.Copy{}, err)
	if o.status != eventFailed || o.retry != never || o.message != "gave up after 3 attempts: the network is down" {
		t.Errorf("third attempt of an event: %+v", o)
	}
	if o := r.judge(&job{attempts: 99, removal: true}, gcal.Copy{}, err); o.retry != r.cfg.RetryMax {
		t.Errorf("hundredth attempt of a removal: %+v", o)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	r := pureReconciler(t)
	for attempts, want := range map[int]time.Duration{
		0: 2 * time.Second, 1: 4 * time.Second, 5: 64 * time.Second, 9: 15 * time.Minute, 1 << 30: 15 * time.Minute,
	} {
		if got := r.backoff(attempts); got != want {
			t.Errorf("after %d attempts: %s, want %s", attempts, got, want)
		}
	}
	for range 1000 {
		if d := equalJitter(10 * time.Second); d < 5*time.Second || d > 10*time.Second {
			t.Fatalf("jitter of 10s is %s", d)
		}
	}
	if d := equalJitter(1); d > 1 {
		t.Errorf("jitter of 1ns is %s", d)
	}
}

func TestMillis(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int64{never: -1, -time.Hour: -1, 0: 0, 1: 1, time.Millisecond: 1, time.Second: 1000} {
		if got := millis(d); got != want {
			t.Errorf("%s: %d, want %d", d, got, want)
		}
	}
}

func TestStorable(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"": "", "a\x00b": "ab", "a\xffb": "ab", strings.Repeat("ä", 600): strings.Repeat("ä", 500)} {
		if got := storable(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// TestPatience follows what is learned about one account and about all.
func TestPatience(t *testing.T) {
	t.Parallel()
	p := &patience{base: time.Minute, limit: time.Hour}
	account := func(token string) gcal.Account { return gcal.Account{UserID: uuid.New(), RefreshToken: token} }
	anna, ben, cleo := account("a"), account("b"), account("c")

	p.pause(anna, time.Hour, "quota")
	if left, why := p.left(anna); left < 50*time.Minute || why != "quota" {
		t.Errorf("paused for %s because of %q", left, why)
	}
	again := anna
	again.RefreshToken = "new"
	if left, _ := p.left(again); left > 0 {
		t.Error("a new consent inherits the pause of the old one")
	}
	if left, _ := p.left(ben); left > 0 {
		t.Error("one user's pause holds another")
	}
	p.answered(anna)
	if left, _ := p.left(anna); left > 0 {
		t.Error("paused after an answer")
	}

	for _, a := range []gcal.Account{anna, ben, anna} {
		if all := p.failed(a, true); all > 0 {
			t.Error("two users pause everybody")
		}
	}
	if left, _ := p.left(anna); left < 110*time.Second || left > 2*time.Minute {
		t.Errorf("stuck for the second time: paused for %s, want 2m", left)
	}
	if left, _ := p.left(cleo); left > 0 {
		t.Error("a user is paused for nothing")
	}
	for _, a := range []gcal.Account{cleo, anna, ben} {
		if all := p.failed(a, false); all < p.base-time.Second || all > p.base {
			t.Errorf("three users' failures pause everybody for %s, want %s", all, p.base)
		}
	}
	if left, _ := p.left(cleo); left > 0 {
		t.Error("a user is paused whose calls fail at once")
	}
	p.answered(ben)
	if all := p.failed(cleo, true); all > 0 {
		t.Error("everybody is paused although somebody was answered")
	}

	p.refuse(anna)
	if !p.refused(anna) || p.refused(again) || p.refused(ben) {
		t.Error("a refusal is of one token")
	}
	p.parked([]uuid.UUID{anna.UserID, ben.UserID}, time.Hour)
	if !p.refused(anna) {
		t.Error("forgotten while claims from before may be on their way")
	}
	p.parked([]uuid.UUID{anna.UserID}, -1)
	if p.refused(anna) {
		t.Error("remembered for ever")
	}
	p.refuse(ben)
	if len(p.refusals) != 1 {
		t.Errorf("%d refusals are kept, want 1", len(p.refusals))
	}
}
