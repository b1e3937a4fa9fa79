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

func TestText(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		row         store.ClaimRemindersRow
		title, body string
	}{
		"planned": {store.ClaimRemindersRow{
			Title: "Soccer", Planned: true, Message: "as it was when planned", ChildName: "Leo", Location: "Field 3", PrepItems: []string{"cleats", "water"},
			HasStart: true, StartTs: now.Add(time.Hour),
		}, "Soccer", "Today 13:00 · Leo · Field 3 · Bring: cleats, water"},
		"planned, bare": {store.ClaimRemindersRow{Title: "Soccer", Planned: true, HasStart: true, StartTs: now.Add(time.Hour)}, "Soccer", "Today 13:00"},
		"their clock":   {store.ClaimRemindersRow{Title: "Fußball", Planned: true, HasStart: true, StartTs: now.Add(time.Hour), TimeZone: "Europe/Berlin", Locale: "de"}, "Fußball", "Heute um 14:00"},
		"their noon":    {store.ClaimRemindersRow{Title: "Soccer", Planned: true, HasStart: true, StartTs: now.Add(time.Hour), Locale: "en-US"}, "Soccer", "Today 1:00 PM"},
		"whole day": {store.ClaimRemindersRow{
			Title: "Trip", Planned: true, HasStart: true, StartTs: now.Add(12 * time.Hour), HasEnd: true, EndTs: now.Add(36 * time.Hour),
		}, "Trip", "Tomorrow"},
		"the app's words": {store.ClaimRemindersRow{Title: "Soccer", Message: "Pack the bag", HasStart: true, StartTs: now}, "Soccer", "Pack the bag"},
		"the app's, mute": {store.ClaimRemindersRow{Title: "Soccer", HasStart: true, StartTs: now}, "Soccer", "Today 12:00"},
		"no event":        {store.ClaimRemindersRow{Message: "Call"}, "Reminder", "Call"},
		"nothing":         {store.ClaimRemindersRow{}, "Reminder", ""},
	} {
		s := pureSender(t)
		title, body := s.text(tt.row, now, s.zones.Find(tt.row.TimeZone, time.UTC))
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
		ID: uuid.UUID{1}, EventID: uuid.UUID{2}, Title: "Soccer", Planned: true, Location: "Field 3", NotifyAtTs: now,
		HasStart: true, StartTs: now.Add(30 * time.Minute), Deadline: now.Add(30 * time.Minute),
		Tokens: []string{"ExponentPushToken[a]", "ExponentPushToken[b]"}, Projects: []string{"", "@other/app"},
	}
	want := expo.Message{
		Title: "Soccer", Body: "Today 12:30 · Field 3", Sound: expo.DefaultSound, Priority: expo.PriorityHigh,
		Data:       []byte(`{"eventId":"02000000-0000-0000-0000-000000000000","reminderId":"01000000-0000-0000-0000-000000000000"}`),
		CollapseID: row.ID.String(), Tag: row.ID.String(), CategoryID: "reminder",
	}
	if diff := cmp.Diff(want, s.message(row, now, time.UTC)); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	pushes, early := s.compose([]store.ClaimRemindersRow{{}, row})
	if len(pushes) != 2 || pushes[0].reminder != 1 || pushes[0].message.To != row.Tokens[0] || pushes[1].message.To != row.Tokens[1] || pushes[1].project != "@other/app" {
		t.Errorf("pushes %+v", pushes)
	}
	if p := pushes[0]; p.message.Expiration != row.StartTs.Unix() || !p.notAfter.Equal(row.StartTs) || early[1].status != "" {
		t.Errorf("expires at %d, not after %s", p.message.Expiration, p.notAfter)
	}
	chunks := s.chunks(pushes)
	if len(chunks) != 2 || chunks[0][0].project != "" {
		t.Errorf("%d requests, want one for each project, ours first", len(chunks))
	}
}

// TestData: what the app has stored goes along, and can neither replace the ids nor break the push.
func TestData(t *testing.T) {
	t.Parallel()
	const ids = `"eventId":"02000000-0000-0000-0000-000000000000","reminderId":"01000000-0000-0000-0000-000000000000"`
	for data, want := range map[string][2]string{
		``:                                    {`{` + ids + `}`, "reminder"},
		`{"url":"parentpal://e/1","n":[1,2]}`: {`{` + `"eventId":"02000000-0000-0000-0000-000000000000","n":[1,2],"reminderId":"01000000-0000-0000-0000-000000000000","url":"parentpal://e/1"}`, "reminder"},
		`{"eventId":"other","reminderId":1}`:  {`{` + ids + `}`, "reminder"},
		`{"categoryId":"homework"}`:           {`{"categoryId":"homework",` + ids + `}`, "homework"},
		`{"categoryId":7}`:                    {`{"categoryId":7,` + ids + `}`, "reminder"},
		`null`:                                {`{` + ids + `}`, "reminder"}, `[1]`: {`{` + ids + `}`, "reminder"}, `"x"`: {`{` + ids + `}`, "reminder"},
	} {
		got, category := pureSender(t).data(store.ClaimRemindersRow{ID: uuid.UUID{1}, EventID: uuid.UUID{2}, Data: data})
		if string(got) != want[0] || category != want[1] {
			t.Errorf("%s: %s, %q, want %s, %q", data, got, category, want[0], want[1])
		}
	}
}

// TestCalm: inside quiet hours a reminder waits for their end or is not sent at all, before them it has until they begin.
func TestCalm(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, berlin) }
	night := store.ClaimRemindersRow{QuietFrom: 22 * 60, QuietUntil: 7 * 60}
	for name, tt := range map[string]struct {
		now, deadline, next time.Time
		status              string
		retry               time.Duration
	}{
		"by day":                     {at(24, 12, 0), at(24, 23, 0), at(24, 22, 0), "", 0},
		"at night":                   {at(24, 23, 0), at(25, 8, 0), time.Time{}, reminderPending, 8*time.Hour + time.Millisecond},
		"as the night begins":        {at(24, 22, 0), at(25, 8, 0), time.Time{}, reminderPending, 9*time.Hour + time.Millisecond},
		"as it ends":                 {at(25, 7, 0), at(25, 8, 0), at(25, 22, 0), "", 0},
		"before an event at night":   {at(24, 23, 0), at(25, 6, 0), time.Time{}, reminderSkipped, 0},
		"before an event at its end": {at(24, 23, 0), at(25, 7, 0), time.Time{}, reminderSkipped, 0},
	} {
		next, v := calm(night, tt.now, tt.deadline, berlin)
		if !next.Equal(tt.next) || v.status != tt.status || v.retry != tt.retry || (v.message != "") != (v.status == reminderSkipped) || v.counts {
			t.Errorf("%s: %s, %+v", name, next, v)
		}
	}
	if next, v := calm(store.ClaimRemindersRow{QuietFrom: -1, QuietUntil: 60}, at(24, 0, 30), at(25, 0, 0), berlin); !next.IsZero() || v.status != "" {
		t.Errorf("half of quiet hours: %s, %+v", next, v)
	}
}

// TestAwaited: a reminder that waits for the end of quiet hours is not late for it.
func TestAwaited(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, berlin) }
	night := store.ClaimRemindersRow{QuietFrom: 22 * 60, QuietUntil: 7 * 60, TimeZone: "Europe/Berlin"}
	for notify, want := range map[time.Time]time.Time{
		at(24, 12): at(24, 12),
		at(24, 23): at(25, 7).Add(time.Millisecond),
	} {
		night.NotifyAtTs, night.Deadline = notify, at(26, 8)
		if got := pureSender(t).awaited(night); !got.Equal(want) {
			t.Errorf("of %s: %s, want %s", notify, got, want)
		}
	}
}

// TestVerdict goes through every mix of what may become of two phones' pushes, at every attempt.
func TestVerdict(t *testing.T) {
	t.Parallel()
	names := map[pushState]string{unsent: "unsent", accepted: "accepted", refused: "refused", again: "again", blocked: "blocked", stale: "stale"}
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
				case has("unsent"), has("stale"), has("again") && tried < 4, has("blocked"):
					want = reminderPending
				case has("accepted"):
					want = reminderSent
				}
				counts := has("again") && !has("unsent") && !has("stale") && (tried < 4 || !has("blocked")) && v.status != reminderSent
				if v.status != want || v.counts != counts {
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
	start := time.Now().Add(time.Hour)
	for lead, want := range map[time.Duration][]time.Duration{
		24 * time.Hour:   {2, 20, 200, 1800},
		30 * time.Minute: {2, 13, 90, 600},
		5 * time.Minute:  {2, 7, 27, 100},
		time.Second:      {2, 4, 8, 16},
	} {
		row := store.ClaimRemindersRow{Deadline: start, NotifyAtTs: start.Add(-lead)}
		for tried := range want {
			row.RetryCount = int32(tried)
			if got := s.verdict(row, []*push{{state: again}}).retry.Round(time.Second); got != want[tried]*time.Second {
				t.Errorf("%s before the start, after %d tries: %s, want %d s", lead, tried+1, got, want[tried])
			}
		}
	}
	for waited, want := range map[time.Duration]time.Duration{0: time.Minute, time.Minute: time.Minute, 7 * time.Minute: 7 * time.Minute, time.Hour: 15 * time.Minute} {
		if got := s.patience(s.now().Add(-waited)); got < want || got > want+time.Minute {
			t.Errorf("blocked for %s: %s, want %s", waited, got, want)
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
		p.succeeded(time.Now()) // an older request
		wait(1, time.Second)
		p.failed("down", 0)
		wait(1, 3*time.Second)
		p.failed("busy", 30*time.Second) // asked for
		wait(1, 33*time.Second)
		for _, size := range []int{2, 4, 8, 16, 32, 64, 100, 100} {
			p.succeeded(time.Now())
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

// TestSettlements: what each receipt means for its delivery and device.
func TestSettlements(t *testing.T) {
	t.Parallel()
	s := pureSender(t)
	receipts := map[string]expo.Receipt{
		"good":   {},
		"gone":   {Err: &expo.Error{Kind: expo.DeviceGone, Code: "DeviceNotRegistered"}},
		"large":  {Err: &expo.Error{Kind: expo.Permanent, Code: "MessageTooBig"}},
		"wrong":  {Err: &expo.Error{Kind: expo.Project, Code: "InvalidCredentials", Message: "a\x00b"}},
		"fast":   {Err: &expo.Error{Kind: expo.Throttled, Code: "MessageRateExceeded"}},
		"broken": {Err: &expo.Error{Kind: expo.Retry, Code: "ProviderError"}},
	}
	var rows []store.ClaimReceiptsRow
	for _, ticket := range []string{"good", "gone", "large", "wrong", "fast", "broken", "none yet", "never"} {
		age := time.Hour
		if ticket == "never" {
			age = 25 * time.Hour
		}
		rows = append(rows, store.ClaimReceiptsRow{TicketID: ticket, Token: "ExponentPushToken[" + ticket + "]", SentAt: time.Now().Add(-age), Attempts: 2})
	}
	arg := s.settleParams(s.settlements(rows, receipts))
	// Those that wait for us come at whole minutes.
	waits := map[string]int64{"good": 1, "gone": 1, "large": 1, "wrong": 100, "fast": 1, "broken": 1, "never": 1}
	got := []string{}
	for i := range arg.Tokens {
		got = append(got, fmt.Sprintf("%s %s %s gone %v, again after %d s, counts %v", arg.TicketIds[i], arg.States[i], arg.ErrorMessages[i], arg.Gone[i],
			arg.RetryMs[i]/1000/waits[arg.TicketIds[i]]*waits[arg.TicketIds[i]], arg.CountAttempts[i]))
	}
	want := []string{
		"good delivered  gone false, again after 0 s, counts false",
		"gone failed ExponentPushToken[gon…]: expo: DeviceNotRegistered gone true, again after 0 s, counts false",
		"large failed ExponentPushToken[lar…]: expo: MessageTooBig gone false, again after 0 s, counts false",
		"wrong retry ExponentPushToken[wro…]: expo: InvalidCredentials: ab gone false, again after 900 s, counts false",
		"fast retry ExponentPushToken[fas…]: expo: MessageRateExceeded gone false, again after 4 s, counts true",
		"broken retry ExponentPushToken[bro…]: expo: ProviderError gone false, again after 4 s, counts true",
		"never unknown Expo has no receipt for this push gone false, again after 0 s, counts false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settlements (-want +got):\n%s", diff)
	}
	if !strings.Contains(s.Alarm(), "InvalidCredentials") {
		t.Errorf("alarm %q", s.Alarm())
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
		"one":         {[]expo.Ticket{bad, ok}, []pushState{blocked, accepted}, false},
		"wrong phone": {[]expo.Ticket{sender}, []pushState{blocked}, false},
	} {
		s := pureSender(t)
		if s.Alarm() != "" {
			t.Errorf("%s: alarm %q before anything was sent", name, s.Alarm())
		}
		chunk := make([]*push, len(tt.tickets))
		for i := range chunk {
			chunk[i] = &push{reminder: i}
		}
		f := flight{Sender: s, rows: make([]store.ClaimRemindersRow, len(chunk))}
		f.answered(chunk, tt.tickets)
		f.conclude()
		if s.Alarm() == "" {
			t.Errorf("%s: no alarm", name)
		}
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
