package settings

import "fmt"

// Clock is a time of day in minutes after midnight by the wall clock, 0 to 1439. Any other value is that of a clock that is not set.
type Clock int

// None is the Clock that is not set.
const None Clock = -1

const minutesPerDay = 24 * 60

// IsSet reports whether c is a time of day.
func (c Clock) IsSet() bool { return 0 <= c && c < minutesPerDay }

// String returns the time as in "22:00".
func (c Clock) String() string {
	if !c.IsSet() {
		return "not set"
	}
	return fmt.Sprintf("%02d:%02d", int(c)/60, int(c)%60)
}
