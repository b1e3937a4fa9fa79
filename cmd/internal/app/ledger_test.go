package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// keepLedger has the database note every claim of a reminder and every end of one, in the transaction that makes it. So it is known
// for each push under which claim it may have been sent, and of which claims the result was lost.
func (w *world) keepLedger() {
	w.t.Helper()
	w.exec(`create table reminder_ledger (
		nr bigint generated always as identity, reminder_id uuid, at timestamptz default clock_timestamp(),
		worker text default current_setting('application_name'), status text, lease timestamptz, rests boolean)`)
	w.exec(`create function note_reminder() returns trigger language plpgsql security definer as $$
		begin
			insert into public.reminder_ledger (reminder_id, status, lease, rests) values (new.id, new.status, new.next_attempt_at,
				new.status = 'pending' and coalesce(new.lost_claims, 0) > coalesce(old.lost_claims, 0));
			return null;
		end $$`)
	w.exec(`create trigger note_reminder after update on reminders
		for each row when (new.status = 'sending' or old.status = 'sending') execute function note_reminder()`)
}

// history is what the ledger and the stand-in say about one reminder.
type history struct {
	ID     uuid.UUID
	Due    time.Time
	Status string
	Reason string
	Claims int // that were committed
	Lost   int // claims that no result ended: another followed
	Unsure int // claims given back: their request had no answer in time, or was not made
	Rests  int // that followed lost claims
	Stolen int // claims that another followed before their lease was over
	Resent int // claims of a reminder that had been sent
	Times  []time.Time
	Begins []time.Time // when the lost claims, and the rests after them, were made
	Leases []time.Time // when they were over
	pushes []time.Time
}

// held is how many claims and rests there were before the first push that kept everybody from sending it, and for how long: a lease each, and the rest.
func (h *history) held() (claims int, d time.Duration) {
	for i, end := range h.Leases {
		if end.Before(h.pushes[0].Add(slack)) {
			claims++
			d += end.Sub(h.Begins[i])
		}
	}
	return claims, d
}

// late counts the pushes that were sent under a claim that was over: another had been made by then, and has a push of its own.
func (h *history) late() (n int) {
	under := map[int]bool{}
	for _, p := range h.pushes {
		claim := 0
		for claim < len(h.Times) && !h.Times[claim].After(p) {
			claim++
		}
		if under[claim] {
			n++
		}
		under[claim] = true
	}
	return n
}

// slack is how far before the end of a lease a claim may be made, and a little for the clock's resolution.
const slack = 25 * time.Millisecond

func (w *world) histories() map[string]*history {
	w.t.Helper()
	rows, err := w.db.Query(context.Background(), `
		with steps as (
			select l.*, lead(status) over next as next_status, lead(at) over next as next_at, lead(rests) over next as next_rests from reminder_ledger l
			window next as (partition by reminder_id order by nr))
		select r.id, r.notify_at_ts as due, r.status, coalesce(r.error_message, '') as reason,
			count(*) filter (where s.status = 'sending')::int as claims,
			count(*) filter (where s.status = 'sending' and (s.next_status = 'sending' or s.next_rests))::int as lost,
			count(*) filter (where s.status = 'sending' and s.next_status = 'pending' and not s.next_rests)::int as unsure,
			count(*) filter (where s.rests)::int as rests,
			count(*) filter (where s.status = 'sending' and (s.next_status = 'sending' or s.next_rests) and s.next_at < s.lease - $1::interval)::int as stolen,
			count(*) filter (where s.status = 'sent' and s.next_status is not null)::int as resent,
			coalesce(array_agg(s.at order by s.nr) filter (where s.status = 'sending'), '{}') as times,
			coalesce(array_agg(s.at order by s.nr) filter (where s.rests or s.status = 'sending' and (s.next_status = 'sending' or s.next_rests)), '{}') as begins,
			coalesce(array_agg(s.lease order by s.nr) filter (where s.rests or s.status = 'sending' and (s.next_status = 'sending' or s.next_rests)), '{}') as leases
		from reminders r left join steps s on s.reminder_id = r.id
		where r.message = 'Pack the bag'
		group by r.id`, slack)
	if err != nil {
		w.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByNameLax[history])
	if err != nil {
		w.t.Fatal(err)
	}
	byID := make(map[string]*history, len(all))
	for _, h := range all {
		byID[h.ID.String()] = h
	}
	for _, p := range w.expo.Pushes() {
		var data struct{ ReminderID string }
		if err := json.Unmarshal(p.Data, &data); err != nil {
			w.t.Fatal(err)
		}
		if p.CollapseID != data.ReminderID || p.Tag != data.ReminderID {
			w.t.Errorf("push of reminder %s has collapse id %s, tag %s", data.ReminderID, p.CollapseID, p.Tag)
		}
		if h := byID[data.ReminderID]; h == nil {
			w.t.Errorf("push of reminder %s, which nobody wrote", data.ReminderID)
		} else {
			h.pushes = append(h.pushes, p.FirstByte)
		}
	}
	return byID
}

// tally sums up what became of all reminders.
type tally struct {
	reminders, claims, lost, unsure, rests, pushes, repeats, late int
	latest                                                        time.Duration // the longest time from a reminder's instant to its first push
	waited                                                        time.Duration // the same, less a lease for each claim that was lost before, and the rests
	heldTwice                                                     int           // reminders whose claim was lost twice or more before
}

func (s tally) String() string {
	return fmt.Sprintf("%d reminders, %d claims (%d lost their result, %d were given back), %d rests, %d pushes (%d repeats, %d under a claim that was over), latest %s, without lost claims %s",
		s.reminders, s.claims, s.lost, s.unsure, s.rests, s.pushes, s.repeats, s.late, s.latest.Round(time.Millisecond), s.waited.Round(time.Millisecond))
}

// checkReminders demands of every reminder that it was pushed, and of every push that a claim of its own stood behind it: a repeat is
// only there for a claim whose result was lost, and that was over, or that was given back because Expo had not answered in time.
func (w *world) checkReminders() (sum tally) {
	w.t.Helper()
	faults := 0
	for id, h := range w.histories() {
		switch n := len(h.pushes); {
		case n == 0:
			faults = w.blame(faults, "reminder %s is %s and was never pushed: %s", id, h.Status, h.Reason)
			continue
		case h.Status != "sent":
			faults = w.blame(faults, "reminder %s is %s, and was pushed %d times", id, h.Status, n)
		case n > h.Claims, n-1 > h.Lost+h.Unsure, h.Stolen > 0, h.Resent > 0:
			faults = w.blame(faults, "reminder %s: %d pushes, %d claims of which %d lost and %d given back, %d before the last was over, %d after it was sent",
				id, n, h.Claims, h.Lost, h.Unsure, h.Stolen, h.Resent)
		}
		sum.reminders++
		sum.claims, sum.lost, sum.unsure, sum.rests = sum.claims+h.Claims, sum.lost+h.Lost, sum.unsure+h.Unsure, sum.rests+h.Rests
		sum.pushes, sum.repeats = sum.pushes+len(h.pushes), sum.repeats+len(h.pushes)-1
		sum.late += h.late()
		late := h.pushes[0].Sub(h.Due)
		claims, held := h.held()
		sum.waited, sum.latest = max(sum.waited, late-held), max(sum.latest, late)
		if claims > 1 {
			sum.heldTwice++
		}
	}
	return sum
}

// blame reports a fault, unless many have been reported.
func (w *world) blame(before int, format string, args ...any) int {
	w.t.Helper()
	switch {
	case before < 10:
		w.t.Errorf(format, args...)
	case before == 10:
		w.t.Error("and more")
	}
	return before + 1
}

// checkCopies demands one copy of every event, with its present title, and none of any other.
func (w *world) checkCopies(users []uuid.UUID) {
	w.t.Helper()
	rows, err := w.db.Query(context.Background(), `select id::text, title from events where title like 'Practice%'`)
	if err != nil {
		w.t.Fatal(err)
	}
	var id, title string
	titles := map[string]string{}
	if _, err := pgx.ForEachRow(rows, []any{&id, &title}, func() error { titles[id] = title; return nil }); err != nil {
		w.t.Fatal(err)
	}
	events, copies, faults := len(titles), map[string]int{}, 0
	for _, u := range users {
		for _, e := range w.live(u) {
			id := e.Private["reminder_worker_event"]
			if copies[id]++; titles[id] != e.Summary {
				faults = w.blame(faults, "copy %q of event %s, whose title is %q", e.Summary, id, titles[id])
			}
			if copies[id] > 1 {
				faults = w.blame(faults, "event %s has %d copies", id, copies[id])
			}
		}
	}
	if len(copies) != events {
		w.t.Errorf("%d copies for %d events", len(copies), events)
	}
	if v := w.google.Violations(); len(v) > 0 {
		w.t.Errorf("violations of Google's description: %v", v)
	}
}
