package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// timeline puts what the rows say into words, in the order of time. Rows keep what is, and little of what was: a state
// whose time nobody has written down is told of where it was due.
func (s Story) timeline() []Moment {
	all := []Moment{}
	if s.Event != nil {
		all = append(all, s.Event.moments(s.At)...)
	}
	for _, c := range s.Copies {
		all = append(all, c.moments(s)...)
	}
	all = append(all, planned(s)...)
	for _, r := range s.Reminders {
		all = append(all, r.moments(s.At)...)
	}
	all = slices.DeleteFunc(all, func(m Moment) bool { return m.At.IsZero() })
	slices.SortStableFunc(all, func(a, b Moment) int { return a.At.Compare(b.At) })
	return all
}

func (e Event) moments(now time.Time) []Moment {
	all := []Moment{{e.CreatedAt, "Event written", "by the app, as a row of events", ToneQuiet}}
	if e.Revision > 1 {
		all = append(all, Moment{e.ChangedAt, "Event changed and announced", fmt.Sprintf("this is revision %d of its content", e.Revision), ToneQuiet})
	}
	if e.Status == "failed" {
		all = append(all, Moment{e.ChangedAt, "Event failed", cmp.Or(e.Error, "no reason was noted") + " (since then; when exactly is not recorded)", ToneBad})
	}
	if !e.Dismissed.IsZero() {
		all = append(all, Moment{e.Dismissed, "Dismissed by the user", "what had not been sent by then is not sent", ToneQuiet})
	}
	if e.HeldTill.After(now) {
		all = append(all, Moment{e.HeldTill, "A worker's claim ends", "it is at the event at this moment", ToneAhead})
	} else if !e.DueAt.IsZero() {
		why, tone := "it waits for a worker", ToneQuiet
		switch {
		case e.DueAt.After(now) && e.Attempts > 0:
			why, tone = fmt.Sprintf("attempt %d, after: %s", e.Attempts+1, cmp.Or(e.Error, "no reason was noted")), ToneAhead
		case e.DueAt.After(now):
			why, tone = cmp.Or(e.Error, "it waits for its turn"), ToneAhead
		}
		all = append(all, Moment{e.DueAt, "Event due to be served", why, tone})
	}
	if !e.StartsAt.IsZero() {
		all = append(all, Moment{e.StartsAt, "Event begins", "nothing is sent from then on", aheadOr(e.StartsAt, now, ToneQuiet)})
	}
	return all
}

func (c Copy) moments(s Story) []Moment {
	written := "in calendar " + c.CalendarID
	if s.Event != nil {
		if took := c.WrittenAt.Sub(s.Event.ChangedAt); took >= 0 {
			written = period(took) + " after the latest change, " + written
		}
	}
	if c.Generation > 0 {
		written += fmt.Sprintf(", under its %s id", ordinal(c.Generation+1))
	}
	all := []Moment{
		{c.WrittenAt, "Copy written to Google", written, ToneGood},
		{c.GoneAt, "Copy found gone", "the user has deleted it in Google: it is written again only when the event changes", ToneQuiet},
	}
	if c.WrittenAt.IsZero() {
		all = append(all, Moment{c.NotedAt, "Copy noted", "so that it is not forgotten, before the first request to Google", ToneQuiet})
	}
	if !c.TombstonedAt.IsZero() {
		all = append(all, Moment{c.TombstonedAt, "Copy to be removed", "the event was deleted, cancelled or given to somebody else", ToneQuiet})
	}
	if !c.DueAt.IsZero() {
		why := "at Google"
		if c.Error != "" {
			why = fmt.Sprintf("attempt %d, after: %s", c.Attempts+1, c.Error)
		}
		all = append(all, Moment{c.DueAt, "Removal of the copy due", why, aheadOr(c.DueAt, s.At, ToneQuiet)})
	}
	return all
}

// planned tells of reminders that were written together, at once.
func planned(s Story) (all []Moment) {
	byTime := map[time.Time][]string{}
	for _, r := range s.Reminders {
		if !r.CreatedAt.IsZero() {
			byTime[r.CreatedAt] = append(byTime[r.CreatedAt], r.name())
		}
	}
	for at, names := range byTime {
		why := strings.Join(names, ", ")
		if s.Event != nil {
			if took := at.Sub(s.Event.ChangedAt); took >= 0 {
				why = period(took) + " after the latest change: " + why
			}
		}
		what := "Reminders planned"
		if len(names) == 1 {
			what = "Reminder planned"
		}
		all = append(all, Moment{at, what, why, ToneGood})
	}
	return all
}

// name is what a reminder is called in a sentence.
func (r Reminder) name() string {
	switch {
	case r.Snoozed:
		return "put off by the user"
	case r.LeadSeconds == 0:
		return "by the app itself"
	}
	return period(time.Duration(r.LeadSeconds)*time.Second) + " before"
}

func (r Reminder) moments(now time.Time) []Moment {
	what := "Reminder (" + r.name() + ") "
	m := Moment{At: r.DueAt, Why: r.Error, Tone: ToneQuiet}
	switch r.Status {
	case "pending":
		m.What, m.Tone = what+"due", aheadOr(r.DueAt, now, ToneBad)
		if !r.DueAt.After(now) {
			m.Why = cmp.Or(m.Why, "it has not been sent yet")
		}
	case "sending":
		m.What, m.Why = what+"on its way", cmp.Or(m.Why, "a worker has claimed it")
	case "sent":
		m = Moment{}
		if len(r.Deliveries) == 0 { // by an older service
			m = Moment{r.SentAt, what + "sent", "no push of it is recorded", ToneGood}
		}
	case "failed":
		m.What, m.Tone = what+"failed", ToneBad
	case "expired":
		m.What, m.Tone = what+"expired", ToneBad
	default: // cancelled, skipped, or an app's own
		m.What = what + r.Status
		if r.CreatedAt.After(r.DueAt) { // it was past when it was planned
			m.At = r.CreatedAt
		}
	}
	all := []Moment{m}
	if !r.AskedAt.IsZero() {
		all = append(all, Moment{r.AskedAt, what + "asked for again", "by the app, or by hand", ToneQuiet})
	}
	if r.NextAt.After(now) && r.Status == "pending" {
		all = append(all, Moment{r.NextAt, what + "tried again", fmt.Sprintf("attempt %d", r.Attempts+1), ToneAhead})
	}
	for _, d := range r.Deliveries {
		all = append(all, d.moments(r, now)...)
	}
	return all
}

func (d Delivery) moments(r Reminder, now time.Time) []Moment {
	push := Moment{d.SentAt, "Push accepted by Expo", fmt.Sprintf("reminder %s, to %s, %s late", r.name(), d.Token, period(time.Duration(d.LatenessMs)*time.Millisecond)), ToneGood}
	if d.Attempts > 1 {
		push.Why += fmt.Sprintf(", offered %d times", d.Attempts)
	}
	if d.Ticket == "" {
		push.What, push.Tone, push.Why = "Push refused by Expo", ToneBad, push.Why+because(d)
	}
	all := []Moment{push}
	if d.Ticket == "" {
		return all
	}
	verdict := Moment{d.SettledAt, "", "to " + d.Token + because(d), ToneBad}
	switch d.State {
	case "delivered":
		verdict.What, verdict.Tone = "Push delivered, says its receipt", ToneGood
	case "failed":
		verdict.What = "Push failed, says its receipt"
	case "retry":
		verdict.What = "Push to be offered again, says its receipt"
	case "unknown":
		verdict.What, verdict.Tone = "No receipt for the push", ToneQuiet
	default: // accepted
		verdict.At = time.Time{}
	}
	all = append(all, verdict)
	if !d.ReceiptDueAt.IsZero() {
		all = append(all, Moment{d.ReceiptDueAt, "Receipt due to be asked for", "of the push to " + d.Token, aheadOr(d.ReceiptDueAt, now, ToneQuiet)})
	}
	return all
}

// because is what Expo has said, as the end of a sentence.
func because(d Delivery) string {
	said := strings.TrimSuffix(strings.TrimPrefix(d.Code+": "+d.Error, ": "), ": ")
	if said == "" {
		return ""
	}
	return ": " + said
}

// aheadOr is the tone of what has not come yet, else another.
func aheadOr(at, now time.Time, tone string) string {
	if at.After(now) {
		return ToneAhead
	}
	return tone
}

// ordinal is 2nd for 2.
func ordinal(n int) string {
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}

// period is a time in words as short as they can be without misleading: 4 ms, 3.2 s, 5 min, 3 h, 2 d.
func period(d time.Duration) string {
	if d < 0 {
		return "-" + period(-d)
	}
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.3g ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Truncate(100*time.Millisecond).Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}
