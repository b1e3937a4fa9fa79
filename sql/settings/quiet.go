package settings

import "time"

// maxRun bounds how many periods make one. A jump joins three at most.
const maxRun = 8

// Quiet are the hours in which nothing is sent: from From (included) up to Until (not included) by the wall clock, over midnight if
// From is the later one. There are none when both are equal or one is not set. How they go where clocks jump is told in the
// package comment.
type Quiet struct{ From, Until Clock }

// On reports whether there are quiet hours.
func (q Quiet) On() bool { return q.From != q.Until && q.From.IsSet() && q.Until.IsSet() }

// String returns the hours as in "22:00 to 07:00".
func (q Quiet) String() string {
	if !q.On() {
		return "none"
	}
	return q.From.String() + " to " + q.Until.String()
}

// Period returns the quiet period that holds t, from from (included) to until (not included). Without quiet hours it costs nothing.
func (q Quiet) Period(t time.Time, zone *time.Location) (from, until time.Time, inside bool) {
	if !q.On() {
		return time.Time{}, time.Time{}, false
	}
	w := newWall(zone)
	p, inside := q.around(&w, t.Unix())
	if !inside {
		return time.Time{}, time.Time{}, false
	}
	return w.time(p.from), w.time(p.until), true
}

// Next returns when the next quiet period after t begins; if t lies in one, that is the one after it. ok is false if there are no
// quiet hours.
func (q Quiet) Next(t time.Time, zone *time.Location) (from time.Time, ok bool) {
	if !q.On() {
		return time.Time{}, false
	}
	w := newWall(zone)
	at := t.Unix()
	date := w.date(at)
	for d := date; d <= date+maxRun; d++ { // those of earlier dates have begun
		if p := q.join(&w, d); p.from > at && p.from < p.until {
			return w.time(p.from), true
		}
	}
	return time.Time{}, false
}

// period is a quiet time in Unix seconds. calm is for how long it was not quiet before.
type period struct{ from, until, calm int64 }

// around returns the period that holds an instant. It began on the date that the clock shows or on the one before, or on the next one if the
// clock was set back over midnight since.
func (q Quiet) around(w *wall, at int64) (period, bool) {
	date := w.date(at)
	for d := date - 1; d <= date+1; d++ {
		if p := q.of(w, d); p.from <= at && at < p.until {
			return q.join(w, d), true
		}
	}
	return period{}, false
}

// of returns the quiet time that begins on a date. It is empty if a jump leaves it out; a later date's never begins or ends earlier.
func (q Quiet) of(w *wall, date int64) period {
	from, until := date*day+int64(q.From)*60, date*day+int64(q.Until)*60
	if q.Until < q.From {
		until += day
	}
	return period{from: w.first(from), until: w.last(until)}
}

// join returns the quiet time that begins on a date together with those before and after that it touches.
func (q Quiet) join(w *wall, date int64) period {
	p := q.of(w, date)
	for i := range int64(maxRun) {
		before := q.of(w, date-1-i)
		if p.calm = p.from - before.until; p.calm > 0 {
			break
		}
		p.from = before.from
	}
	for i := range int64(maxRun) {
		after := q.of(w, date+1+i)
		if after.from > p.until {
			break
		}
		p.until = after.until
	}
	return p
}
