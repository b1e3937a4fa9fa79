package gcal_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// front puts a server of the test's own before the fake, to see what the fake cannot.
func front(t *testing.T, google *gcalfake.Server, h http.HandlerFunc, state func(net.Conn, http.ConnState)) *gcal.Client {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = state
	s.Start()
	t.Cleanup(s.Close)
	c := configFor(google)
	c.MaxConnsPerHost = 4
	for _, address := range []*string{&c.CalendarURL, &c.TokenURL, &c.RevokeURL} {
		*address = strings.Replace(*address, google.URL(), s.URL, 1)
	}
	client, err := gcal.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestAccountsShareFewConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	var opened atomic.Int64
	client := front(t, f.google, f.google.ServeHTTP, func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	})
	var calls sync.WaitGroup
	for range 50 {
		a := gcal.Account{UserID: uuid.New(), RefreshToken: f.google.Grant(uuid.NewString() + "@example.com")}
		calls.Go(func() {
			if _, err := client.Upsert(t.Context(), a, newEvent("Football"), gcal.Copy{}); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	// At most 4 at a time; one that a busy machine was slow to hand back may have been replaced.
	if n := opened.Load(); n > 12 {
		t.Errorf("50 accounts opened %d connections, at most 4 at a time are allowed", n)
	}
}

// An address that redirects must not lead tokens elsewhere.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, f.google.URL()+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}
	client := front(t, f.google, redirect, nil)
	_, err := client.Upsert(t.Context(), f.account, newEvent("Football"), gcal.Copy{})
	wantKind(t, err, gcal.Retry)
	wantKind(t, client.Revoke(t.Context(), f.account.RefreshToken), gcal.Retry)

	client = front(t, f.google, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			f.google.ServeHTTP(w, r)
			return
		}
		redirect(w, r)
	}, nil)
	_, err = client.Upsert(t.Context(), f.account, newEvent("Football"), gcal.Copy{})
	wantKind(t, err, gcal.Retry)
	if n := f.google.Count(gcalfake.OpInsert, -1); n != 0 {
		t.Errorf("%d inserts arrived at the address that was redirected to", n)
	}
}

func TestEndlessAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	client := front(t, f.google, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			f.google.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		block := []byte(strings.Repeat(" ", 1<<16))
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}, nil)
	_, err := client.Upsert(t.Context(), f.account, newEvent("Football"), gcal.Copy{})
	wantKind(t, err, gcal.Retry)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the answer was read until the time was over: %v", err)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.upsert(newEvent("Football"), gcal.Copy{})
	f.must(f.client.Revoke(t.Context(), ""))
	for range 2 { // the second time Google knows of no such token
		f.must(f.client.Revoke(t.Context(), f.account.RefreshToken))
	}
	f.client.Forget(f.account.UserID)
	_, err := f.client.Upsert(t.Context(), f.account, newEvent("Chess"), gcal.Copy{})
	wantKind(t, err, gcal.Reconnect)

	f.google.Fail(gcalfake.Next(1, gcalfake.OpRevoke, gcalfake.Page(http.StatusServiceUnavailable)))
	wantKind(t, f.client.Revoke(t.Context(), f.account.RefreshToken), gcal.Retry)
	f.google.Fail(gcalfake.Next(1, gcalfake.OpRevoke, gcalfake.Fault{Drop: true}))
	wantKind(t, f.client.Revoke(t.Context(), f.account.RefreshToken), gcal.Retry)
}

// Whatever goes wrong, no secret is in what is said about it, at any depth.
func TestErrorsKeepSecrets(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	for _, fault := range []gcalfake.Fault{
		gcalfake.Page(502), {Drop: true}, gcalfake.InvalidGrant(),
		{Status: 400, Reason: f.account.RefreshToken, Message: f.account.RefreshToken},
		{Status: 503, Reason: "ya29.secret", Message: f.account.RefreshToken},
	} {
		stop := f.google.Fail(gcalfake.Always(gcalfake.OpToken, fault))
		_, err := f.client.Upsert(t.Context(), f.account, newEvent("Football"), gcal.Copy{})
		stop()
		for ; err != nil; err = errors.Unwrap(err) {
			if s := err.Error(); strings.Contains(s, "1//fake") || strings.Contains(s, "ya29") || strings.Contains(s, "secret") {
				t.Errorf("an error tells a secret: %s", s)
			}
		}
	}
}

func BenchmarkUpsertInsert(b *testing.B) {
	google, err := gcalfake.Start(gcalfake.Config{LogSize: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer google.Close()
	client, err := gcal.New(configFor(google))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		a := gcal.Account{UserID: uuid.New(), RefreshToken: google.Grant(uuid.NewString() + "@example.com")}
		for pb.Next() {
			if _, err := client.Upsert(b.Context(), a, newEvent("Football"), gcal.Copy{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkUpsertNothingToDo(b *testing.B) {
	c := gcal.DefaultConfig()
	c.ClientID, c.ClientSecret = "client", "secret"
	client, err := gcal.New(c)
	if err != nil {
		b.Fatal(err)
	}
	e := newEvent("Football")
	known := gcal.Copy{GoogleID: gcal.NewGoogleID(e.ID, 0), ETag: `"1"`, Hash: e.Hash()}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Upsert(b.Context(), gcal.Account{}, e, known); err != nil {
			b.Fatal(err)
		}
	}
}
