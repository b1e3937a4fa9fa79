package demo

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

var (
	noon   = time.Date(2030, 3, 4, 12, 0, 0, 0, time.Local)
	soccer = uuid.MustParse("00000000-0000-4000-8000-000000000001")
	piano  = uuid.MustParse("00000000-0000-4000-8000-000000000002")
	alarm  = uuid.MustParse("00000000-0000-4000-8000-000000000003")
)

func phone(name string) string { return "ExponentPushToken[" + name + "]" }

// fine is a world in which all is well: one event, its copy, its reminder on two devices.
func fine() facts {
	begins := noon.Add(30 * time.Minute)
	push := pushFact{reminder: alarm, event: soccer, token: phone("a"), title: "Soccer", due: noon, owed: noon, at: noon.Add(3 * time.Millisecond)}
	other := push
	other.token = phone("b")
	return facts{
		at:     noon.Add(10 * time.Second),
		events: []eventFact{{id: soccer, who: "Mira", title: "Soccer", start: begins, status: statusSynced, changed: noon.Add(-time.Minute), connected: true, good: true}},
		copies: []copyFact{{soccer, "Soccer", begins}},
		owed:   []owedFact{{soccer, "Soccer", noon, noon, []string{phone("a"), phone("b")}}},
		pushes: []pushFact{push, other},
		pickups: []pickupFact{
			{"copy written of Soccer", 4 * time.Millisecond},
		},
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*facts)
		want   Verdict
	}{
		{"all is well", func(*facts) {}, Verdict{}},
		{"nothing happened", func(f *facts) { *f = facts{at: noon} }, Verdict{}},
		{"a push is missing on one device", func(f *facts) { f.pushes = f.pushes[:1] }, Verdict{Lost: []string{"push of Soccer to b, due 12:00:00"}}},
		{"owed by promise and by row, missing once", func(f *facts) { f.pushes, f.owed = f.pushes[:1], append(f.owed, f.owed[0]) },
			Verdict{Lost: []string{"push of Soccer to b, due 12:00:00"}}},
		{"a push is missing and too young to be missed", func(f *facts) { f.pushes, f.at = nil, noon.Add(grace) }, Verdict{}},
		{"a push that is owed since a moment only", func(f *facts) { f.pushes, f.owed[0].owed = nil, f.at.Add(-grace/2) }, Verdict{}},
		{"a push came twice", func(f *facts) { f.pushes = append(f.pushes, f.pushes[0]) }, Verdict{Doubled: []string{"2 pushes of one reminder of Soccer to a"}}},
		{"a reminder that moved comes again", func(f *facts) {
			again := f.pushes[0]
			again.due, again.owed, again.at = noon.Add(time.Second), noon.Add(time.Second), noon.Add(1003*time.Millisecond)
			f.pushes = append(f.pushes, again)
		}, Verdict{}},
		{"two requests to reconnect", func(f *facts) { f.pushes = append(f.pushes, pushFact{token: phone("a")}, pushFact{token: phone("a")}) }, Verdict{}},
		{"a push is late", func(f *facts) { f.pushes[1].at = noon.Add(grace + 200*time.Millisecond) }, Verdict{Late: []string{"push of Soccer to b: 1.2 s late"}}},
		{"a push of a reminder that was past when it was written", func(f *facts) {
			for i := range f.pushes {
				f.pushes[i].owed, f.pushes[i].at = noon.Add(5*time.Second), noon.Add(5*time.Second+time.Millisecond)
			}
		}, Verdict{}},
		{"a copy was picked up late", func(f *facts) { f.pickups[0].took = 2 * time.Second }, Verdict{Late: []string{"copy written of Soccer: 2.0 s after the commit"}}},
		{"no copy", func(f *facts) { f.copies = nil }, Verdict{Lost: []string{"no copy of Soccer (synced)"}}},
		{"no copy yet", func(f *facts) { f.copies, f.events[0].changed = nil, f.at.Add(-grace/2) }, Verdict{}},
		{"no copy, and Google not connected", func(f *facts) { f.copies, f.events[0].connected = nil, false }, Verdict{}},
		{"two copies", func(f *facts) { f.copies = append(f.copies, f.copies[0]) }, Verdict{Doubled: []string{"2 live copies of Soccer"}}},
		{"a copy with the old title", func(f *facts) { f.copies[0].title = "Football" }, Verdict{Lost: []string{"the copy of Soccer is out of step with its row"}}},
		{"a copy at the old time", func(f *facts) { f.copies[0].start = noon }, Verdict{Lost: []string{"the copy of Soccer is out of step with its row"}}},
		{"a copy that Google keeps to the second", func(f *facts) { f.events[0].start = f.events[0].start.Add(123 * time.Millisecond) }, Verdict{}},
		{"a person's own entry", func(f *facts) { f.copies = append(f.copies, copyFact{title: "Jog"}) }, Verdict{}},
		{"a copy of a cancelled event", func(f *facts) { f.events[0].status = statusCancelled }, Verdict{Lost: []string{"the copy of Soccer is left though it was cancelled"}}},
		{"a copy of a deleted event", func(f *facts) { f.events[0].status = statusDeleted }, Verdict{Lost: []string{"the copy of Soccer is left though it was deleted"}}},
		{"a copy of an event deleted just now", func(f *facts) { f.events[0].status, f.events[0].changed = statusDeleted, f.at }, Verdict{}},
		{"a copy of an event nobody knows", func(f *facts) { f.copies = append(f.copies, copyFact{event: piano, title: "Piano"}) },
			Verdict{Lost: []string{"a copy of Piano is left though its event is gone"}}},
		{"a good event failed", func(f *facts) { f.events[0].status, f.copies = statusFailed, nil }, Verdict{Lost: []string{"Soccer failed"}}},
		{"a bad event failed", func(f *facts) { f.events[0].status, f.events[0].good, f.copies = statusFailed, false, nil }, Verdict{}},
		{"a draft of the app's", func(f *facts) { f.events[0].status, f.copies = "draft", nil }, Verdict{}},
		{"Google was asked nonsense", func(f *facts) { f.violations = []string{"insert: no start"} }, Verdict{Violations: []string{"insert: no start"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := fine()
			c.change(&f)
			got := judge(f)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			if good := len(c.want.Lost)+len(c.want.Doubled)+len(c.want.Late)+len(c.want.Violations) == 0; got.Good() != good {
				t.Errorf("good: %v, want %v", got.Good(), good)
			}
		})
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ of, p50, largest []time.Duration }{
		{nil, []time.Duration{0}, []time.Duration{0}},
		{[]time.Duration{7}, []time.Duration{7}, []time.Duration{7}},
		{[]time.Duration{9, 1, 5, 3}, []time.Duration{3}, []time.Duration{9}},
	} {
		if p50, largest := spread(c.of); p50 != c.p50[0] || largest != c.largest[0] {
			t.Errorf("spread of %v: %v, %v", c.of, p50, largest)
		}
	}
}

// A push is due on each device, once however often it is owed, and not when it may still be on its way.
func TestDue(t *testing.T) {
	t.Parallel()
	f := fine()
	f.owed = append(f.owed, f.owed[0])
	if n := f.due(); n != 2 {
		t.Errorf("%d due, want 2", n)
	}
	f.at = noon.Add(grace)
	if n := f.due(); n != 0 {
		t.Errorf("%d due that may be on their way", n)
	}
}

// The verdict claims no more than has been seen.
func TestVerdictWords(t *testing.T) {
	t.Parallel()
	bad := Verdict{Lost: []string{"no copy of Soccer (synced)"}}
	for _, c := range []struct {
		sum  summary
		want string
	}{
		{summary{}, "Verdict: good so far. Nothing was due yet."},
		{summary{written: 1}, "Verdict: good so far. Every copy came, once, within a second; no push was due yet."},
		{summary{written: 1, due: 2, pushes: 2}, "Verdict: good. Every copy and every push that was due came, once, within a second."},
		{summary{pushes: 1}, "Verdict: good. Every copy and every push that was due came, once, within a second."},
		{summary{verdict: bad}, "Verdict: bad. See the lines above."},
	} {
		if got := c.sum.words(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
