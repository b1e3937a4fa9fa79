package notify

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sql/store"
)

func pureSender(t *testing.T, change ...func(*Config)) *Sender {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Jitter = func(d time.Duration) time.Duration { return d }
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(nil, nil, everything{}, cfg, zerolog.Nop(), NewMetrics(nil))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// TestDay names starts from many places and times.
func TestDay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, start, now, want string }{
		{"Europe/Berlin", "2026-11-24T15:00:00Z", "2026-11-24T12:00:00Z", "Today 16:00"},
		{"Europe/Berlin", "2026-11-24T15:00:00Z", "2026-11-24T15:00:00Z", "Today 16:00"},
		{"Europe/Berlin", "2026-11-24T15:00:00Z", "2026-11-23T15:00:00Z", "Tomorrow 16:00"},
		{"Europe/Berlin", "2026-11-24T15:00:00Z", "2026-11-22T15:00:00Z", "Tue 24 Nov 16:00"},
		{"Europe/Berlin", "2026-11-23T23:30:00Z", "2026-11-23T22:45:00Z", "Tomorrow 00:30"},
		{"UTC", "2026-11-23T23:30:00Z", "2026-11-23T22:45:00Z", "Today 23:30"},
		{"America/Los_Angeles", "2026-11-24T06:30:00Z", "2026-11-24T04:00:00Z", "Today 22:30"},
		{"Pacific/Auckland", "2026-11-23T11:30:00Z", "2026-11-23T10:00:00Z", "Tomorrow 00:30"},
		{"UTC", "2027-01-01T08:00:00Z", "2026-12-31T08:00:00Z", "Tomorrow 08:00"},
		{"UTC", "2027-01-02T08:00:00Z", "2026-12-31T08:00:00Z", "Sat 2 Jan 2027 08:00"},
		{"Europe/Berlin", "2027-03-28T10:00:00Z", "2027-03-27T22:30:00Z", "Tomorrow 12:00"},     // the night is an hour short
		{"Europe/Berlin", "2026-10-25T22:30:00Z", "2026-10-24T22:30:00Z", "Today 23:30"},        // a day of 25 hours
		{"America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-03T12:00:00Z", "Tomorrow 10:00"}, // a day that begins at one
		{"UTC", "2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z", "Mon 23 Nov 08:00"},
	} {
		start, err1 := time.Parse(time.RFC3339, tt.start)
		now, err2 := time.Parse(time.RFC3339, tt.now)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		z := zone(t, tt.zone)
		if got := day(start.In(z), now.In(z)); got != tt.want {
			t.Errorf("%s seen at %s in %s: %q, want %q", tt.start, tt.now, tt.zone, got, tt.want)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		row         store.ClaimRemindersRow
		title, body string
	}{
		"planned":         {store.ClaimRemindersRow{Title: "Soccer", Planned: true, Message: "Field 3", HasStart: true, StartTs: now.Add(time.Hour)}, "Soccer", "Today 13:00 · Field 3"},
		"planned, bare":   {store.ClaimRemindersRow{Title: "Soccer", Planned: true, HasStart: true, StartTs: now.Add(time.Hour)}, "Soccer", "Today 13:00"},
		"the app's words": {store.ClaimRemindersRow{Title: "Soccer", Message: "Pack the bag", HasStart: true, StartTs: now}, "Soccer", "Pack the bag"},
		"the app's, mute": {store.ClaimRemindersRow{Title: "Soccer", HasStart: true, StartTs: now}, "Soccer", "Today 12:00"},
		"no event":        {store.ClaimRemindersRow{Message: "Call"}, "Reminder", "Call"},
		"nothing":         {store.ClaimRemindersRow{}, "Reminder", ""},
	} {
		title, body := text(tt.row, now, time.UTC)
		if title != tt.title || body != tt.body {
			t.Errorf("%s: %q, %q, want %q, %q", name, title, body, tt.title, tt.body)
		}
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	s := pureSender(t)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	row := store.ClaimRemindersRow{
		ID: uuid.UUID{1}, EventID: uuid.UUID{2}, Title: "Soccer", Planned: true, Message: "Field 3",
		HasStart: true, StartTs: now.Add(30 * time.Minute), Tokens: []string{"ExponentPushToken[a]", "ExponentPushToken[b]"},
	}
	want := expo.Message{
		Title: "Soccer", Body: "Today 12:30 · Field 3", Sound: expo.DefaultSound, Priority: expo.PriorityHigh,
		Data:       []byte(`{"eventId":"02000000-0000-0000-0000-000000000000","reminderId":"01000000-0000-0000-0000-000000000000"}`),
		Expiration: row.StartTs.Unix(), CollapseID: row.ID.String(), Tag: row.ID.String(),
	}
	if diff := cmp.Diff(want, s.message(row, now)); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if got := expires(store.ClaimRemindersRow{HasStart: true, StartTs: now}, now); !got.Equal(now.Add(24 * time.Hour)) {
		t.Errorf("a reminder after the start expires at %s", got)
	}
	pushes := s.compose([]store.ClaimRemindersRow{{}, row})
	if len(pushes) != 2 || pushes[0].reminder != 1 || pushes[0].message.To != row.Tokens[0] || pushes[1].message.To != row.Tokens[1] {
		t.Errorf("pushes %+v", pushes)
	}
}

// TestVerdict goes through every mix of what may become of two phones' pushes, at every attempt.
func TestVerdict(t *testing.T) {
	t.Parallel()
	names := map[pushState]string{unsent: "unsent", accepted: "accepted", refused: "refused", again: "again"}
	for tried := range int32(6) {
		for first, a := range names {
			for second, b := range names {
				s := pureSender(t)
				pushes := []*push{{state: first, token: "ExponentPushToken[abcdef]", sentAt: time.Unix(1, 0)}, {state: second, token: "x", sentAt: time.Unix(2, 0)}}
				for _, p := range pushes {
					if p.state != accepted {
						p.ticket.Err = &expo.Error{Code: names[p.state]}
					}
				}
				v := s.verdict(store.ClaimRemindersRow{RetryCount: tried}, pushes)
				has := func(name string) bool { return a == name || b == name }
				want := reminderFailed
				switch {
				case has("unsent"), has("again") && tried < 4:
					want = reminderPending
				case has("accepted"):
					want = reminderSent
				}
				if v.status != want || v.counts != (has("again") && !has("unsent") && v.status != reminderSent) {
					t.Errorf("%s and %s after %d tries: %+v, want %s", a, b, tried, v, want)
				}
				if (v.retry > 0) != (want == reminderPending) || strings.Contains(v.message, "abcdef") {
					t.Errorf("%s and %s after %d tries: %+v", a, b, tried, v)
				}
				if has("refused") && !strings.Contains(v.message, "refused") || has("accepted") && v.sentAt.IsZero() {
					t.Errorf("%s and %s after %d tries: %+v", a, b, tried, v)
				}
				if gaveUp := strings.HasPrefix(v.message, fmt.Sprintf("gave up after %d attempts", tried+1)); gaveUp != (want == reminderFailed && has("again")) {
					t.Errorf("%s and %s after %d tries: %q", a, b, tried, v.message)
				}
			}
		}
	}
}

func TestRetryPauses(t *testing.T) {
	t.Parallel()
	s := pureSender(t)
	for tried, want := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second} {
		v := s.verdict(store.ClaimRemindersRow{RetryCount: int32(tried)}, []*push{{state: again}})
		if v.retry != want {
			t.Errorf("after %d tries: %s, want %s", tried, v.retry, want)
		}
	}
	if d := grow(time.Second, time.Hour, 1<<30); d != time.Hour {
		t.Errorf("grown to %s", d)
	}
	for range 1000 {
		if d := equalJitter(time.Second); d < time.Second/2 || d > time.Second {
			t.Fatalf("jitter of 1s is %s", d)
		}
	}
}

// TestPace rests, feels its way, and is at full speed again.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := pureSender(t)
		p := s.pace
		began := time.Now()
		wait := func(size int, after time.Duration) {
			t.Helper()
			got := p.wait(t.Context())
			if took := time.Since(began); got != size || took != after {
				t.Errorf("%d reminders after %s, want %d after %s", got, took, size, after)
			}
		}
		wait(100, 0)
		for range 6 { // on the wire together: one failure
			if d := p.failed("down", 0); d != time.Second {
				t.Errorf("rest of %s, want 1s", d)
			}
		}
		p.succeeded() // an older request
		wait(1, time.Second)
		p.failed("down", 0)
		wait(1, 3*time.Second)
		p.failed("busy", 30*time.Second) // asked for
		wait(1, 33*time.Second)
		for _, size := range []int{2, 4, 8, 16, 32, 64, 100, 100} {
			p.succeeded()
			wait(size, 33*time.Second)
		}
		p.failed("down", 0)
		wait(1, 34*time.Second) // grows anew
		for range 10 {
			p.failed("down", 0)
			p.wait(t.Context())
		}
		if d := p.failed("down", 0); d != time.Minute {
			t.Errorf("longest rest %s, want 1m", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.wait(ctx) // returns
		if left, why := p.left(); left != time.Minute || why != "down" {
			t.Errorf("%s left because of %q", left, why)
		}
	})
}

// TestLookKeepsTheWidest: of several scopes before the next look the widest counts.
func TestLookKeepsTheWidest(t *testing.T) {
	t.Parallel()
	s := pureSender(t)
	for _, scope := range []Scope{Changes, Window, Overdue, Changes} {
		s.Look(scope)
	}
	if got := <-s.looks; got != Window {
		t.Errorf("scope %d, want %d", got, Window)
	}
}

// TestOffset: a slow answer moves what is believed only as far as it must.
func TestOffset(t *testing.T) {
	t.Parallel()
	s := pureSender(t)
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	for i, tt := range []struct{ database, asked, answered, want int }{
		{140, 0, 40, 100},    // between 100 and 140: the least is never early
		{150, 30, 31, 119},   // between 119 and 120
		{300, 100, 300, 119}, // says nothing new
		{300, 190, 191, 110}, // between 109 and 110
		{5000, 200, 210, 4790},
	} {
		s.setOffset(at(tt.database), at(tt.asked), at(tt.answered))
		if got := time.Duration(s.offset.Load()).Milliseconds(); got != int64(tt.want) {
			t.Errorf("measurement %d: offset %d ms, want %d", i, got, tt.want)
		}
	}
}

func TestSettlements(t *testing.T) {
	t.Parallel()
	s := pureSender(t)
	row := func(ticket string, age time.Duration) store.ClaimReceiptsRow {
		return store.ClaimReceiptsRow{TicketID: ticket, Token: "token-" + ticket, SentAt: time.Now().Add(-age)}
	}
	receipts := map[string]expo.Receipt{
		"good":  {},
		"gone":  {Err: &expo.Error{Kind: expo.DeviceGone, Code: "DeviceNotRegistered"}},
		"wrong": {Err: &expo.Error{Kind: expo.Project, Code: "InvalidCredentials", Message: "a\x00b"}},
	}
	arg := s.settlements([]store.ClaimReceiptsRow{
		row("good", time.Hour), row("gone", time.Hour), row("wrong", time.Hour), row("none yet", time.Hour), row("never", 25*time.Hour),
	}, receipts)
	got := []string{}
	for i := range arg.Tokens {
		got = append(got, fmt.Sprintf("%s %s %s %v", arg.TicketIds[i], arg.States[i], arg.ErrorMessages[i], arg.Gone[i]))
	}
	want := []string{
		"good delivered  false", "gone failed expo: DeviceNotRegistered true", "wrong failed expo: InvalidCredentials: ab false",
		"never unknown Expo has no receipt for this push false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settlements (-want +got):\n%s", diff)
	}
}

// TestTicketsThatBlameTheProject: all of them rest the sender; one among others is its device's matter.
func TestTicketsThatBlameTheProject(t *testing.T) {
	t.Parallel()
	ok, bad := expo.Ticket{ID: "t"}, expo.Ticket{Err: &expo.Error{Kind: expo.Project, Code: expo.CodeInvalidCredentials}}
	sender := expo.Ticket{Err: &expo.Error{Kind: expo.Project, Code: expo.CodeMismatchSenderID}}
	for name, tt := range map[string]struct {
		tickets []expo.Ticket
		want    []pushState
		rests   bool
	}{
		"all":         {[]expo.Ticket{bad, bad}, []pushState{unsent, unsent}, true},
		"one":         {[]expo.Ticket{bad, ok}, []pushState{again, accepted}, false},
		"wrong phone": {[]expo.Ticket{sender}, []pushState{again}, false},
	} {
		s := pureSender(t)
		chunk := make([]push, len(tt.tickets))
		s.answered(chunk, tt.tickets)
		for i := range chunk {
			if chunk[i].state != tt.want[i] {
				t.Errorf("%s: push %d is %d, want %d", name, i, chunk[i].state, tt.want[i])
			}
		}
		if left, _ := s.Paused(); (left > 0) != tt.rests {
			t.Errorf("%s: rest of %s", name, left)
		}
	}
}
