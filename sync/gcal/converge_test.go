package gcal_test

import (
	"cmp"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// converger is one event with all that may happen to it: the app changes it, workers crash and forget, answers are lost, and
// the user deletes and edits. The next upsert that comes through must leave exactly the right event.
type converger struct {
	google  *gcalfake.Server
	client  *gcal.Client
	user    string
	account gcal.Account
	event   gcal.Event
	known   gcal.Copy
	others  []string // calendars beside the primary one
	chosen  int      // how often another was chosen
}

func (c *converger) upsert(t *rapid.T) error {
	var err error
	c.known, err = c.client.Upsert(t.Context(), c.account, c.event, c.known)
	return err
}

// choose has the copy stand in another calendar from now on. A move under way is finished first.
func (c *converger) choose(t *rapid.T) {
	if c.known.Calendar != "" {
		c.settle(t)
	}
	if c.known.GoogleID == "" || c.chosen == 20 {
		return // a worker notes the copy before it writes
	}
	c.chosen++
	c.known.Calendar = cmp.Or(c.account.CalendarID, "primary")
	c.account.CalendarID = rapid.SampledFrom(append(c.others, "primary", c.user)).Draw(t, "calendar")
}

// calendar is the id of the calendar that the copy is to stand in.
func (c *converger) calendar() string {
	if c.account.CalendarID == "" || c.account.CalendarID == "primary" {
		return c.user
	}
	return c.account.CalendarID
}

// remove takes the copy out of all calendars where it may stand.
func (c *converger) remove(t *rapid.T) {
	there := c.account
	there.CalendarID = cmp.Or(c.known.Calendar, c.account.CalendarID)
	if err := c.client.Delete(t.Context(), there, c.known); err != nil {
		t.Fatal(err)
	}
	here := gcal.Copy{GoogleID: gcal.NewGoogleID(c.event.ID, 0)}
	if err := c.client.Delete(t.Context(), c.account, here); err != nil {
		t.Fatal(err)
	}
	c.known.ETag, c.known.Hash = "", ""
}

// settle upserts without a fault. One call may have too many ids to give up; it goes on from where it stopped.
func (c *converger) settle(t *rapid.T) {
	var err error
	for range 8 {
		if err = c.upsert(t); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// faulty is an upsert during which one exchange goes wrong.
func (c *converger) faulty(t *rapid.T) {
	op := rapid.SampledFrom([]string{gcalfake.OpInsert, gcalfake.OpGet, gcalfake.OpUpdate}).Draw(t, "op")
	fault := rapid.SampledFrom([]gcalfake.Fault{
		{Lose: true}, {Drop: true}, gcalfake.Page(502), gcalfake.Status(503, "backendError"), gcalfake.Status(401, "authError"),
		gcalfake.Status(412, "conditionNotMet"), gcalfake.Status(403, "rateLimitExceeded"),
	}).Draw(t, "fault")
	defer c.google.Fail(gcalfake.ForUser(c.user, gcalfake.Next(1, op, fault)))()
	_ = c.upsert(t) // may fail or not; only what follows counts
}

func (c *converger) live() []gcalfake.Event {
	var live []gcalfake.Event
	for _, e := range c.google.Events(c.user) {
		if e.Status != "cancelled" {
			live = append(live, e)
		}
	}
	return live
}

// onLive does something to the event that the user sees, if there is one.
func (c *converger) onLive(t *rapid.T, do func(id string) error) {
	for _, e := range c.live() {
		if err := do(e.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *converger) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"upsert":        c.settle,
		"faulty upsert": c.faulty,
		"change":        func(t *rapid.T) { c.event.Title = rapid.StringN(0, 20, -1).Draw(t, "title") },
		"forget": func(*rapid.T) {
			if c.known.Calendar == "" {
				c.known = gcal.Copy{}
			}
		},
		"choose": c.choose,
		"user deletes": func(t *rapid.T) {
			c.onLive(t, func(id string) error { return c.google.UserDelete(c.user, id) })
			c.known.Hash = "changed since" // deleted is deleted until the app changes something
		},
		"user edits": func(t *rapid.T) {
			c.onLive(t, func(id string) error {
				return c.google.UserEdit(c.user, id, map[string]any{"description": "Ask Ben!"})
			})
		},
		"app deletes": c.remove,
		"": func(t *rapid.T) {
			if live := c.live(); len(live) > 1 && c.known.Calendar == "" || len(live) > 2 {
				t.Fatalf("there are %d copies of one event", len(live))
			}
		},
	}
}

func TestUpsertConverges(t *testing.T) {
	t.Parallel()
	lenient, strict := newFixture(t, gcalfake.Config{}), newFixture(t, gcalfake.Config{RefuseUndelete: true})
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom([]*fixture{lenient, strict}).Draw(t, "google")
		user := uuid.NewString() + "@example.com"
		c := &converger{
			google: f.google, client: f.client, user: user, event: newEvent("Football"),
			account: gcal.Account{UserID: uuid.New(), RefreshToken: f.google.Grant(user)},
			others:  []string{f.google.AddCalendar(user, "Family"), f.google.AddCalendar(user, "School")},
		}
		t.Repeat(c.actions())
		c.settle(t)
		live := c.live()
		if len(live) != 1 || live[0].ID != c.known.GoogleID || live[0].Summary != c.event.Title || live[0].Calendar != c.calendar() {
			t.Fatalf("known is %+v in %s, the calendar shows %+v, want title %q", c.known, c.account.CalendarID, live, c.event.Title)
		}
	})
}
