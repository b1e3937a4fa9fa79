package gcal_test

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// Many users share one pool of connections and a bounded memory of access tokens. With REMINDER_WORKER_TEST_FULL=1 there are 50,000.
func TestManyAccounts(t *testing.T) {
	users, remembered := 3_000, 500
	if os.Getenv("REMINDER_WORKER_TEST_FULL") == "1" {
		users, remembered = 50_000, 10_000
	}
	google, err := gcalfake.Start(gcalfake.Config{OpenGrants: true, LogSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Close)
	c := gcal.DefaultConfig()
	c.CalendarURL, c.TokenURL, c.RevokeURL = google.CalendarURL(), google.TokenURL(), google.RevokeURL()
	c.ClientID, c.ClientSecret, c.MaxAccounts, c.MaxConnsPerHost = "client", "secret", remembered, 16
	client, err := gcal.New(c)
	if err != nil {
		t.Fatal(err)
	}
	accounts := make([]gcal.Account, users)
	for i := range accounts {
		accounts[i] = gcal.Account{UserID: uuid.New(), RefreshToken: "token of user " + strconv.Itoa(i)}
	}
	before := runtime.NumGoroutine()
	most := writeOnceEach(t, client, accounts)
	if most -= before; most > 300 { // a few for each connection at either end, and who calls: none for a user
		t.Errorf("%d goroutines for %d users", most, users)
	}
	if n := google.Count(gcalfake.OpInsert, 200); n != users {
		t.Errorf("%d copies written, want %d", n, users)
	}
	held := client.Remembered()
	if held != remembered {
		t.Errorf("%d access tokens are remembered, want %d", held, remembered)
	}
	client.Close()
	google.Close()
	size := heapOf(func() { client = nil })
	t.Logf("%d users: at most %d goroutines, %d access tokens remembered in %d KiB", users, most, held, size>>10)
	if perToken := size / int64(remembered); perToken > 4096 {
		t.Errorf("%d bytes for each", perToken)
	}
}

// writeOnceEach writes one event of each account, 32 at a time, and returns the most goroutines there were.
func writeOnceEach(t *testing.T, client *gcal.Client, accounts []gcal.Account) (most int) {
	t.Helper()
	next := make(chan gcal.Account)
	var mu sync.Mutex
	var writers sync.WaitGroup
	for range 32 {
		writers.Go(func() {
			for a := range next {
				if _, err := client.Upsert(t.Context(), a, newEvent("Violin"), gcal.Copy{}); err != nil {
					t.Errorf("upsert: %v", err)
				}
				n := runtime.NumGoroutine()
				mu.Lock()
				most = max(most, n)
				mu.Unlock()
			}
		})
	}
	for _, a := range accounts {
		next <- a
	}
	close(next)
	writers.Wait()
	return most
}

// heapOf is how much the heap shrinks when something is let go.
func heapOf(release func()) int64 {
	var with, without runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&with)
	release()
	runtime.GC()
	runtime.ReadMemStats(&without)
	return int64(with.HeapAlloc) - int64(without.HeapAlloc)
}
