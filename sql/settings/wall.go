package settings

import "time"

const (
	day = 24 * 60 * 60

	// reach is how far from an instant its offset is looked for. Two jumps never come within so short a time.
	reach = 3 * day
	// maxSpans bounds a walk over two days, in which there is a jump at most.
	maxSpans = 8
)

// wall reads the wall clock of a zone. Instants are Unix seconds; what the clock shows is a local time: the seconds since it
// showed 1970-01-01 00:00, as if no day were ever longer than another. Local times therefore go back where clocks are set back.
//
// It remembers the two spans that it used last, which are those on both sides of a jump if there is one near by. It is not for use by
// several goroutines.
type wall struct {
	zone        *time.Location
	span, other span
}

// span is a time without a jump, from from (included) to until (not included).
type span struct{ from, until, offset int64 }

func (s span) holds(at int64) bool { return s.from <= at && at < s.until }

func newWall(zone *time.Location) wall {
	if zone == nil {
		zone = time.UTC
	}
	return wall{zone: zone}
}

// time returns an instant as a time in the zone.
func (w *wall) time(at int64) time.Time { return time.Unix(at, 0).In(w.zone) }

func (w *wall) offset(at int64) int64 {
	_, offset := w.time(at).Zone()
	return int64(offset)
}

// local returns what the clock shows.
func (w *wall) local(at int64) int64 { return at + w.look(at).offset }

// date returns the date that the clock shows, in days since 1970-01-01.
func (w *wall) date(at int64) int64 {
	local := w.local(at)
	return (local - (local%day+day)%day) / day
}

// look returns a span that holds an instant.
func (w *wall) look(at int64) span {
	switch {
	case w.span.holds(at):
	case w.other.holds(at):
		w.span, w.other = w.other, w.span
	default:
		offset := w.offset(at)
		before, _ := w.distance(at, offset, -1)
		_, after := w.distance(at, offset, 1)
		w.span, w.other = span{at - before, at + after, offset}, w.span
	}
	return w.span
}

// distance returns how far away in a direction the last instant is that has an offset, and the first that has another; reach if all have it.
func (w *wall) distance(at, offset, direction int64) (same, other int64) {
	if w.offset(at+direction*reach) == offset {
		return reach, reach
	}
	same, other = 0, reach
	for other-same > 1 {
		if middle := (same + other) / 2; w.offset(at+direction*middle) == offset {
			same = middle
		} else {
			other = middle
		}
	}
	return same, other
}

// first returns the first instant at which the clock shows a local time or, if a jump leaves that out, a later one.
func (w *wall) first(local int64) int64 {
	from := local - day // no offset is as large as a day
	for range maxSpans {
		s := w.look(from)
		if at := local - s.offset; at < s.until {
			return max(from, at)
		}
		from = s.until
	}
	return from
}

// last returns the last instant at which the clock shows a local time or, if a jump leaves that out, the jump.
func (w *wall) last(local int64) int64 {
	until := local + day
	for range maxSpans {
		s := w.look(until - 1)
		if at := local - s.offset; at >= s.from {
			return min(until, at)
		}
		until = s.from
	}
	return until
}

// isMidnight reports whether the clock shows midnight or, on a day that has none, whether the day begins.
func (w *wall) isMidnight(t time.Time) bool {
	at := t.Unix()
	return t.Nanosecond() == 0 && (w.local(at)%day == 0 || w.first(w.date(at)*day) == at)
}
