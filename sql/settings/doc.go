// Package settings holds what a user has chosen about reminders and says what that means for an instant: when to remind of an event,
// and whether it is quiet now. It is pure: no clock, no database, no state but the time zones it has loaded.
//
// # What it promises
//
//   - No alert of [Settings.Alerts] lies in quiet hours. One that would is moved to their end if that is before the event begins, else
//     to shortly before they begin. There is always such a moment: quiet hours are at most a day less a minute.
//   - An alert is never after the event's start, and one that was moved is before it. No two are at the same moment.
//   - The same settings and the same event give the same alerts. Some may be past; what to do with those is the caller's matter.
//   - Whatever the times, zones and clocks, nothing panics and nothing runs long. Clocks out of range count as not set, and a zone
//     that is missing or unknown as the caller's own, or as UTC.
//
// # Events of whole days
//
// An event that begins at a midnight of the user's and ends at a later one is reminded of on days before, at [Settings.AllDayAt]: nobody
// wants to hear at half past eleven in the evening that tomorrow is a holiday. Its leads count whole days, begun ones included, so
// that half an hour, three hours and a day are all the day before and become one alert.
//
// # What a wall clock may do
//
// Clocks are set forward and back, and now and then a whole day is left out. Quiet hours of a date begin at the first instant at which
// the clock shows their beginning and last until the last instant at which it shows their end. A time that a jump leaves out
// counts as the instant of the jump. So an hour that comes twice is as quiet as it can be, and a period that a jump leaves out as a
// whole does not exist. Periods that touch or overlap, which only a jump can bring about, are one.
//
// Midnights and the time of alerts for whole days go by the same rule: the first instant that shows them, or the jump over them. Where
// midnight comes twice, an event may begin or end at either.
//
// # How it is computed
//
// [time.Date] leaves open which of two instants it means, and [time.Time.ZoneBounds] is off in places: on the last day of leap years, and
// after a zone has changed its rules. Therefore only the offset at an instant is asked of a zone, which is always right. Between two
// instants three days apart that have one offset it is taken to stay; else the jump is found by halving. No zone of the database
// has jumped twice within three days. What was found is remembered for the length of a call, because all instants of an event are close
// to each other.
//
// # Testing
//
// Tables show the days on which clocks jump, in zones that do so in unusual ways. The reading of wall clocks is held to a walk minute by
// minute, and the rest to the promises above, with random settings around the jumps of many zones.
package settings
