package gcal_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

func TestOneTokenForManyCalls(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	var calls sync.WaitGroup
	for range 100 {
		calls.Go(func() {
			if _, err := f.client.Upsert(t.Context(), f.account, newEvent("Football"), gcal.Copy{}); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if n := f.google.Count(gcalfake.OpToken, -1); n != 1 {
		t.Errorf("%d token requests for 100 calls, want 1", n)
	}
}

// A call that gives up takes its exchange with it; those who waited for that go on with one of their own.
func TestCancelledExchangeSpoilsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	arrived := make(chan struct{})
	first := gcalfake.Next(1, gcalfake.OpToken, gcalfake.Fault{Hang: true})
	f.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		fault := first(r)
		if fault != nil {
			close(arrived)
		}
		return fault
	})
	ctx, cancel := context.WithCancel(t.Context())
	led := make(chan error, 1)
	go func() {
		_, err := f.client.Upsert(ctx, f.account, newEvent("Football"), gcal.Copy{})
		led <- err
	}()
	<-arrived
	var followers sync.WaitGroup
	for range 10 {
		followers.Go(func() {
			if _, err := f.client.Upsert(t.Context(), f.account, newEvent("Chess"), gcal.Copy{}); err != nil {
				t.Error(err)
			}
		})
	}
	cancel()
	followers.Wait()
	if err := <-led; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call ends with %v", err)
	}
	if n := f.google.Count(gcalfake.OpToken, http.StatusOK); n != 1 {
		t.Errorf("%d tokens were given, want 1", n)
	}
}

func TestHangingExchangeHoldsNobodyElse(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	arrived := make(chan struct{}, 1)
	hang := gcalfake.ForUser(anna, gcalfake.Always(gcalfake.OpToken, gcalfake.Fault{Hang: true}))
	f.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		fault := hang(r)
		if fault != nil {
			arrived <- struct{}{}
		}
		return fault
	})
	ctx, cancel := context.WithCancel(t.Context())
	stuck := make(chan error, 2)
	for range 2 { // one exchanges, the other waits for it
		go func() {
			_, err := f.client.Upsert(ctx, f.account, newEvent("Football"), gcal.Copy{})
			stuck <- err
		}()
	}
	<-arrived
	ben := gcal.Account{UserID: uuid.New(), RefreshToken: f.google.Grant("ben@example.com")}
	if _, err := f.client.Upsert(t.Context(), ben, newEvent("Chess"), gcal.Copy{}); err != nil {
		t.Errorf("another account's call: %v", err)
	}
	cancel()
	for range 2 {
		if err := <-stuck; !errors.Is(err, context.Canceled) {
			t.Errorf("the stuck call ends with %v", err)
		}
	}
}

func TestExchangeIsBoundedByTimeout(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{}, func(c *gcal.Config) { c.Timeout = time.Second })
	f.google.Fail(gcalfake.Always(gcalfake.OpToken, gcalfake.Fault{Hang: true}))
	_, err := f.client.Upsert(t.Context(), f.account, newEvent("Football"), gcal.Copy{})
	if e := ofKind(t, err, gcal.Retry); e.Op != gcal.OpToken || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the token's timeout", err)
	}
}

func TestTokenFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault gcalfake.Fault
		want  gcal.Kind
	}{
		{"revoked", gcalfake.InvalidGrant(), gcal.Reconnect},
		{"our client", gcalfake.Status(http.StatusUnauthorized, "invalid_client"), gcal.Project},
		{"outage", gcalfake.Page(http.StatusServiceUnavailable), gcal.Retry},
		{"too many", gcalfake.Status(http.StatusTooManyRequests, "rate_limit_exceeded"), gcal.Retry},
		{"not json", gcalfake.Page(http.StatusOK), gcal.Retry},
		{"redirect", gcalfake.Page(http.StatusTemporaryRedirect), gcal.Retry},
		{"dropped", gcalfake.Fault{Drop: true}, gcal.Retry},
	} {
		f := newFixture(t, gcalfake.Config{})
		f.google.Fail(gcalfake.Next(1, gcalfake.OpToken, tt.fault))
		e := newEvent("Football")
		_, err := f.client.Upsert(t.Context(), f.account, e, gcal.Copy{})
		if got := ofKind(t, err, tt.want); got.Op != gcal.OpToken {
			t.Errorf("%s: error %v does not blame the exchange", tt.name, got)
		}
		f.upsert(e, gcal.Copy{}) // a failure is not remembered
	}
}

func TestWithoutARefreshToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.account.RefreshToken = ""
	_, err := f.client.Upsert(t.Context(), f.account, newEvent("Football"), gcal.Copy{})
	wantKind(t, err, gcal.Reconnect)
	if n := f.google.Count("", -1); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

func TestRefusedAccessTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.upsert(newEvent("Football"), gcal.Copy{})
	f.google.ExpireAccessTokens()
	f.google.ResetLog()
	f.upsert(newEvent("Chess"), gcal.Copy{})
	if got, want := f.requests(), "insert 401, insert 200"; got != want {
		t.Errorf("requests %s, want %s", got, want)
	}

	f.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Status(http.StatusUnauthorized, "authError")))
	_, err := f.client.Upsert(t.Context(), f.account, newEvent("Swimming"), gcal.Copy{})
	wantKind(t, err, gcal.Retry) // the consent was good enough for another token a moment ago
	if got, want := f.requests(), "insert 401, insert 401"; got != want {
		t.Errorf("requests %s, want %s", got, want)
	}
}

func TestExpiredAccessTokenIsRenewedBeforeUse(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{TokenLifetime: 5 * time.Second}) // within the margin that makes a token count as expired
	f.upsert(newEvent("Football"), gcal.Copy{})
	f.upsert(newEvent("Chess"), gcal.Copy{})
	if n := f.google.Count(gcalfake.OpToken, http.StatusOK); n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
	if n := f.google.Count("", http.StatusUnauthorized); n != 0 {
		t.Errorf("%d requests with an expired token, want none", n)
	}
}

func TestRotatedRefreshTokenIsReported(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var rotated []string
	f := newFixture(t, gcalfake.Config{RotateTokens: true, TokenLifetime: 5 * time.Second}, func(c *gcal.Config) {
		c.OnRotate = func(_ gcal.Account, token string) {
			mu.Lock()
			defer mu.Unlock()
			rotated = append(rotated, token)
		}
	})
	f.upsert(newEvent("Football"), gcal.Copy{})
	f.upsert(newEvent("Chess"), gcal.Copy{}) // still with the token that was replaced
	f.account.RefreshToken = rotated[len(rotated)-1]
	f.upsert(newEvent("Swimming"), gcal.Copy{})
	if len(rotated) != 3 || len(slices.Compact(slices.Sorted(slices.Values(rotated)))) != 3 {
		t.Errorf("reported %d new tokens, want 3 different ones", len(rotated))
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.upsert(newEvent("Football"), gcal.Copy{})
	f.client.Forget(f.account.UserID)
	f.client.Forget(uuid.New())
	f.upsert(newEvent("Chess"), gcal.Copy{})
	if n := f.google.Count(gcalfake.OpToken, http.StatusOK); n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
}

// A user who has connected again must not be served by what is remembered of the old consent.
func TestNewRefreshTokenReplacesTheOld(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.upsert(newEvent("Football"), gcal.Copy{})
	f.google.RevokeUser(anna)
	_, err := f.client.Upsert(t.Context(), f.account, newEvent("Chess"), gcal.Copy{})
	wantKind(t, err, gcal.Reconnect)
	f.account.RefreshToken = f.google.Grant(anna)
	f.upsert(newEvent("Chess"), gcal.Copy{})
}

func TestLeastRecentlyUsedAccountIsForgotten(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{}, func(c *gcal.Config) { c.MaxAccounts = 2 })
	account := func(name string) gcal.Account {
		return gcal.Account{UserID: uuid.New(), RefreshToken: f.google.Grant(name)}
	}
	a, b, c := account("a@example.com"), account("b@example.com"), account("c@example.com")
	for _, step := range []struct {
		account gcal.Account
		tokens  int
	}{{a, 1}, {b, 2}, {a, 2}, {c, 3}, {a, 3}, {b, 4}, {c, 5}} {
		f.account = step.account
		f.upsert(newEvent("Football"), gcal.Copy{})
		if n := f.google.Count(gcalfake.OpToken, http.StatusOK); n != step.tokens {
			t.Fatalf("%d token requests, want %d", n, step.tokens)
		}
	}
}
