package reconcile

import (
	gocmp "cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/parentpal/reminder-worker/sql/settings"
	"github.com/parentpal/reminder-worker/sql/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	usualOffsets = []time.Duration{24 * time.Hour, 3 * time.Hour, 30 * time.Minute}
	noon         = time.Date(2027, 3, 27, 12, 0, 0, 0, time.UTC)
)

// usually is what a user in zone gets who has chosen nothing.
func usually(zone *time.Location) settings.Settings {
	return settings.Settings{Zone: zone, Quiet: settings.Quiet{From: settings.None, Until: settings.None}, AllDayAt: settings.None, Leads: usualOffsets}
}

// row is a sound event two days from noon.
func row(change ...func(*store.ClaimEventsRow)) store.ClaimEventsRow {
	r := store.ClaimEventsRow{
		ID:     uuid.MustParse("0192d3a4-0000-7000-8000-00000000000a"),
		UserID: uuid.MustParse("0192d3a4-0000-7000-8000-00000000000b"),
		Status: eventPending, Title: "Soccer practice", StartTs: noon.Add(48 * time.Hour), HasStart: true,
	}
	for _, f := range change {
		f(&r)
	}
	return r
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// describe writes a row and its plan as a golden file has them: what the app wrote, what Google gets, what becomes of the reminders.
func describe(r store.ClaimEventsRow, p Plan, now time.Time) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("now       %s", now.UTC().Format(time.RFC3339))
	line("status    %s", r.Status)
	line("title     %q", r.Title)
	if r.HasStart {
		line("start     %s", r.StartTs.UTC().Format(time.RFC3339))
	}
	if r.HasEnd {
		line("end       %s", r.EndTs.UTC().Format(time.RFC3339))
	}
	line("location  %q", r.Location)
	line("prepare   %q", r.PrepItems)
	line("child     %q", r.ChildName)
	line("----------")
	if p.Fault != "" {
		line("fault     %s", p.Fault)
	}
	line("withdraw  %s", gocmp.Or(p.Withdraw, "moved, or other times wanted"))
	line("bury      %v", p.Bury)
	if p.Content.Title != "" {
		line("google    %q at %q, %s", p.Content.Title, p.Content.Location, p.Content.TimeZone)
		line("          %s to %s", p.Content.Start.Format(time.RFC3339), p.Content.End.Format(time.RFC3339))
		line("          %q", p.Content.Description)
	}
	for _, m := range p.Reminders {
		line("reminder  %s %-7s %q %s", m.At.UTC().Format(time.RFC3339), m.Status, m.Message, m.Reason)
	}
	return b.String()
}

// TestPlanGolden holds one file per case: the event's row above the line, the copy and the reminders below it.
func TestPlanGolden(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	cases := map[string]func(*store.ClaimEventsRow){
		"plain": func(*store.ClaimEventsRow) {},
		"everything": func(r *store.ClaimEventsRow) {
			r.EndTs, r.HasEnd = r.StartTs.Add(90*time.Minute), true
			r.Location, r.ChildName, r.PrepItems = " Field 3,\nback gate ", "Emil", []string{" cleats ", "", "\t", "water\nbottle"}
		},
		"dst":          func(r *store.ClaimEventsRow) { r.StartTs = time.Date(2027, 3, 28, 1, 15, 0, 0, time.UTC) }, // clocks go forward at 01:00 UTC
		"partly-past":  func(r *store.ClaimEventsRow) { r.StartTs = noon.Add(3*time.Hour + time.Second) },
		"starting-now": func(r *store.ClaimEventsRow) { r.StartTs = noon },
		"long-past":    func(r *store.ClaimEventsRow) { r.StartTs = noon.Add(-72 * time.Hour) },
		"cancelled":    func(r *store.ClaimEventsRow) { r.Status = eventCancelled },
		"texts": func(r *store.ClaimEventsRow) {
			r.Title, r.Location = "👨‍👩‍👧 אימון כדורגל ⚽", "<script>alert(1)</script> '; drop table events; --"
			r.ChildName = "Zoë\u200d🏽"
		},
		"fault": func(r *store.ClaimEventsRow) { r.Title = " \n" },
		// Monday at seven in the morning: two reminders fall into the night.
		"quiet-hours": func(r *store.ClaimEventsRow) { r.StartTs = time.Date(2027, 3, 29, 5, 0, 0, 0, time.UTC) },
		// At ten: the reminder of three hours before comes at the end of the night.
		"quiet-hours-deferred": func(r *store.ClaimEventsRow) { r.StartTs = time.Date(2027, 3, 29, 8, 0, 0, 0, time.UTC) },
		// Written at 13:00 for six in the evening, within quiet hours that began at noon.
		"quiet-hours-all-along": func(r *store.ClaimEventsRow) { r.StartTs = noon.Add(5 * time.Hour) },
		"whole-day": func(r *store.ClaimEventsRow) {
			r.StartTs, r.EndTs, r.HasEnd = time.Date(2027, 3, 29, 0, 0, 0, 0, berlin), time.Date(2027, 3, 30, 0, 0, 0, 0, berlin), true
		},
		"own-minutes": func(*store.ClaimEventsRow) {},
		"no-minutes":  func(*store.ClaimEventsRow) {},
	}
	night := settings.Quiet{From: 21*60 + 30, Until: 8 * 60}
	choose := map[string]func(*settings.Settings){
		"quiet-hours":           func(s *settings.Settings) { s.Quiet = night },
		"quiet-hours-deferred":  func(s *settings.Settings) { s.Quiet = night },
		"quiet-hours-all-along": func(s *settings.Settings) { s.Quiet = settings.Quiet{From: 12 * 60, Until: 20 * 60} },
		"own-minutes":           func(s *settings.Settings) { s.Leads = []time.Duration{time.Hour, 5 * time.Minute} },
		"no-minutes":            func(s *settings.Settings) { s.Leads = nil },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, chosen := row(change), usually(berlin)
			if choose[name] != nil {
				choose[name](&chosen)
			}
			got := describe(r, MakePlan(r, noon, chosen), noon)
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindFault(t *testing.T) {
	t.Parallel()
	type change = func(*store.ClaimEventsRow)
	for name, tt := range map[string]struct {
		change change
		want   string
	}{
		"sound":          {func(*store.ClaimEventsRow) {}, ""},
		"too much text":  {func(r *store.ClaimEventsRow) { r.TextBytes = 10 << 20 }, "title, location and prep_items hold 10.0 MB together; at most 64 KB are served: shorten them"},
		"just too much":  {func(r *store.ClaimEventsRow) { r.TextBytes = maxTextBytes + 1 }, "title, location and prep_items hold 64 KB together; at most 64 KB are served: shorten them"},
		"no title":       {func(r *store.ClaimEventsRow) { r.Title = "" }, "title is empty: give the event a title"},
		"blank title":    {func(r *store.ClaimEventsRow) { r.Title = "\u00a0\n" }, "title is empty: give the event a title"},
		"longest title":  {func(r *store.ClaimEventsRow) { r.Title = strings.Repeat("ä", 1000) }, ""},
		"long title":     {func(r *store.ClaimEventsRow) { r.Title = strings.Repeat("ä", 1001) }, "title has more than 1000 characters: shorten it"},
		"no user":        {func(r *store.ClaimEventsRow) { r.UserID = uuid.Nil }, "user_id is missing: an event needs the user it belongs to"},
		"no start":       {func(r *store.ClaimEventsRow) { r.HasStart = false }, "start_ts is missing or infinite: give the event a time"},
		"far future":     {func(r *store.ClaimEventsRow) { r.StartTs = latest }, "start_ts is in the year 2200: use a time between 1970 and 2199"},
		"far past":       {func(r *store.ClaimEventsRow) { r.StartTs = earliest.Add(-1) }, "start_ts is in the year 1969: use a time between 1970 and 2199"},
		"end at start":   {func(r *store.ClaimEventsRow) { r.EndTs, r.HasEnd = r.StartTs, true }, ""},
		"end too early":  {func(r *store.ClaimEventsRow) { r.EndTs, r.HasEnd = r.StartTs.Add(-90*time.Minute), true }, "end_ts is 1 h 30 min before start_ts: an event ends after it begins"},
		"lasts too long": {func(r *store.ClaimEventsRow) { r.EndTs, r.HasEnd = r.StartTs.Add(maxDuration+24*time.Hour), true }, "the event lasts 367 d: at most a year is served"},
	} {
		r := row(tt.change)
		if got := findFault(r); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		p := MakePlan(r, noon, usually(time.UTC))
		if (p.Fault != "") != (tt.want != "") || p.Fault != "" && (len(p.Reminders) > 0 || p.Bury) {
			t.Errorf("%s: plan %+v", name, p)
		}
	}
	r := row(func(r *store.ClaimEventsRow) { r.Title, r.Status = "", eventCancelled })
	if p := MakePlan(r, noon, usually(time.UTC)); p.Fault != "" || !p.Bury {
		t.Errorf("an event that is cancelled needs no title: %+v", p)
	}
}

func TestSpoken(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 s", time.Millisecond: "0 s", time.Second: "1 s", 61 * time.Second: "1 min 1 s", 30 * time.Minute: "30 min", 24 * time.Hour: "24 h",
		48 * time.Hour: "2 d", 51*time.Hour + time.Minute: "2 d 3 h", time.Hour + time.Second: "1 h 1 s",
	} {
		if got := spoken(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1 KB", 3 << 20: "3.0 MB"} {
		if got := byteSize(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// TestPlanProperties draws events, offsets and clocks.
func TestPlanProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := noon.Add(time.Duration(rapid.Int64Range(0, int64(366*24*time.Hour)).Draw(t, "now")))
		r := row(func(r *store.ClaimEventsRow) {
			r.StartTs = now.Add(time.Duration(rapid.Int64Range(int64(-90*24*time.Hour), int64(90*24*time.Hour)).Draw(t, "start")))
			r.Location = rapid.String().Draw(t, "location")
			r.PrepItems = rapid.SliceOf(rapid.String()).Draw(t, "prepare")
		})
		seconds := rapid.SliceOfNDistinct(rapid.Int64Range(0, int64(maxOffset/time.Second)), 0, 16, rapid.ID[int64]).Draw(t, "offsets")
		offsets := make([]time.Duration, len(seconds))
		for i, s := range seconds {
			offsets[i] = time.Duration(s) * time.Second
		}
		chosen := settings.Settings{Zone: time.UTC, AllDayAt: settings.None, Leads: offsets}
		p := MakePlan(r, now, chosen)
		if diff := cmp.Diff(p, MakePlan(r, now, chosen)); diff != "" {
			t.Fatalf("planned twice, two plans:\n%s", diff)
		}
		if len(p.Reminders) != len(offsets) {
			t.Fatalf("%d reminders for %d offsets", len(p.Reminders), len(offsets))
		}
		slices.SortFunc(offsets, func(a, b time.Duration) int { return int(b/time.Second - a/time.Second) })
		for i, m := range p.Reminders {
			checkReminder(t, m, r.StartTs.Add(-offsets[i]), now)
		}
	})
}

func checkReminder(t *rapid.T, m Reminder, at, now time.Time) {
	if !m.At.Equal(at) {
		t.Fatalf("due at %s, want %s", m.At, at)
	}
	if pending := m.Status == reminderPending; pending != at.After(now) || pending != (m.Reason == "") {
		t.Fatalf("reminder for %s planned at %s: %s, %q", at, now, m.Status, m.Reason)
	}
}

// FuzzTexts plans whatever people write: nothing is lost but white space, and nothing breaks what carries it on.
func FuzzTexts(f *testing.F) {
	for _, s := range []string{"", "Practice", "a\nb\tc", "👨‍👩‍👧", "אימון", "<b>&amp;", "'; drop table events; --", "\xff\xfe", " · ", strings.Repeat("x ", 600)} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, title, location, item string) {
		r := row(func(r *store.ClaimEventsRow) {
			r.Title, r.Location, r.ChildName, r.PrepItems = title, location, item, []string{item, item}
			r.TextBytes = int64(len(title) + len(location) + 2*len(item))
		})
		p := MakePlan(r, noon, usually(time.UTC))
		if p.Fault != "" {
			return
		}
		if strings.ContainsAny(p.Content.Title+p.Content.Location, "\n\r\t") {
			t.Fatalf("line breaks in %q, %q", p.Content.Title, p.Content.Location)
		}
		for _, m := range p.Reminders {
			if strings.ContainsAny(m.Message, "\n\r\t") || !strings.Contains(m.Message, strings.Join(strings.Fields(location), " ")) {
				t.Fatalf("message %q of location %q", m.Message, location)
			}
		}
		if _, err := json.Marshal(p.Content); err != nil {
			t.Fatal(err)
		}
	})
}
