package gcal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const anna = "anna@example.com"

// fixture is a client, a Google of its own, and an account there.
type fixture struct {
	*testing.T
	google  *gcalfake.Server
	client  *gcal.Client
	account gcal.Account
}

func newFixture(t *testing.T, c gcalfake.Config, change ...func(*gcal.Config)) *fixture {
	t.Helper()
	c.ClientID, c.ClientSecret = "client", "secret"
	google, err := gcalfake.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Close)
	config := configFor(google)
	for _, f := range change {
		f(&config)
	}
	client, err := gcal.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	t.Cleanup(func() {
		for _, v := range google.Violations() {
			t.Errorf("request violates Google's description: %s: %s", v.Op, v.Problem)
		}
	})
	return &fixture{t, google, client, gcal.Account{UserID: uuid.New(), RefreshToken: google.Grant(anna)}}
}

func configFor(google *gcalfake.Server) gcal.Config {
	config := gcal.DefaultConfig()
	config.CalendarURL, config.TokenURL, config.RevokeURL = google.CalendarURL(), google.TokenURL(), google.RevokeURL()
	config.ClientID, config.ClientSecret = "client", "secret"
	return config
}

func newEvent(title string) gcal.Event {
	start := time.Date(2027, 3, 28, 0, 30, 0, 0, time.UTC) // the night the clocks change in Berlin
	return gcal.Event{
		ID: uuid.New(), Title: title, Location: "Field 3", Description: "Bring: cleats, water",
		Start: start, End: start.Add(2 * time.Hour), TimeZone: "Europe/Berlin",
	}
}

func (f *fixture) upsert(e gcal.Event, known gcal.Copy) gcal.Copy {
	f.Helper()
	made, err := f.client.Upsert(f.Context(), f.account, e, known)
	if err != nil {
		f.Fatalf("upsert %q: %v", e.Title, err)
	}
	return made
}

// requests is what Google has been asked since the last call, tokens aside, as "insert 409, get 200".
func (f *fixture) requests() string {
	var asked []string
	for _, r := range f.google.Log() {
		if r.Op != gcalfake.OpToken {
			asked = append(asked, fmt.Sprintf("%s %d", r.Op, r.Status))
		}
	}
	f.google.ResetLog()
	return strings.Join(asked, ", ")
}

// live are the events that Anna sees.
func (f *fixture) live() []gcalfake.Event {
	var live []gcalfake.Event
	for _, e := range f.google.Events(anna) {
		if e.Status != "cancelled" {
			live = append(live, e)
		}
	}
	return live
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}
