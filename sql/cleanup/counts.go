package cleanup

import (
	"encoding/json"

	"github.com/rs/zerolog"
)

// Counts are rows by kind.
type Counts struct {
	Reminders  int64 `json:"reminders"`
	Deliveries int64 `json:"deliveries"`
	Events     int64 `json:"events"`
	Copies     int64 `json:"copies"` // what was known of copies, which stand in calendars still
	Removals   int64 `json:"removals"`
	Devices    int64 `json:"devices"`
	Deletions  int64 `json:"deletions"` // records of users who have been forgotten
	Refused    int64 `json:"refused"`   // old rows that the database would not part with
}

// Kinds are the names of what is counted, in the order in which it is told.
func Kinds() []string {
	return []string{"reminders", "deliveries", "events", "copies", "removals", "devices", "deletions", "refused"}
}

// Of is the count of a kind.
func (c Counts) Of(kind string) int64 {
	return map[string]int64{
		"reminders": c.Reminders, "deliveries": c.Deliveries, "events": c.Events, "copies": c.Copies, "removals": c.Removals, "devices": c.Devices,
		"deletions": c.Deletions, "refused": c.Refused,
	}[kind]
}

func (c *Counts) add(more Counts) {
	c.Reminders += more.Reminders
	c.Deliveries += more.Deliveries
	c.Events += more.Events
	c.Copies += more.Copies
	c.Removals += more.Removals
	c.Devices += more.Devices
	c.Deletions += more.Deletions
	c.Refused += more.Refused
}

// Total is how many rows were removed.
func (c Counts) Total() int64 {
	return c.Reminders + c.Deliveries + c.Events + c.Copies + c.Removals + c.Devices + c.Deletions
}

func readCounts(text []byte) (c Counts) {
	_ = json.Unmarshal(text, &c) // what cannot be read is forgotten
	return c
}

func (c Counts) text() []byte {
	text, _ := json.Marshal(c) // numbers
	return text
}

// MarshalZerologObject implements zerolog.LogObjectMarshaler: kinds of which there were any.
func (c Counts) MarshalZerologObject(e *zerolog.Event) {
	for _, kind := range Kinds() {
		if n := c.Of(kind); n > 0 {
			e.Int64(kind, n)
		}
	}
}
