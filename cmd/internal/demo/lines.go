package demo

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// lines shows a demo as one JSON object per line, for programs.
type lines struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *lines) write(object any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := json.NewEncoder(l.out)
	e.SetEscapeHTML(false)
	_ = e.Encode(object) // the outlet ends the demo when nobody reads on
}

// jsonHappening is a happening on the wire. Times are in UTC, durations in milliseconds.
type jsonHappening struct {
	At     time.Time `json:"at"`
	Kind   kind      `json:"kind"`
	Who    string    `json:"who,omitempty"`
	Event  string    `json:"event,omitempty"`
	TookMS *float64  `json:"took_ms,omitempty"`
	Note   string    `json:"note,omitempty"`
	Phone  string    `json:"phone,omitempty"`
	Title  string    `json:"title,omitempty"`
	Body   string    `json:"body,omitempty"`
}

func (l *lines) say(text string) {
	l.write(jsonHappening{At: time.Now().UTC(), Kind: kindNote, Note: text})
}

func (l *lines) show(h happening) {
	j := jsonHappening{
		At: h.At.UTC(), Kind: h.Kind, Who: h.Who, Event: h.Event, Note: h.Note,
		Phone: h.Phone, Title: h.Title, Body: h.Body,
	}
	if h.Timed {
		ms := millis(h.Took)
		j.TookMS = &ms
	}
	l.write(j)
}

func (l *lines) started(a addresses) {
	l.write(struct {
		Kind string `json:"kind"`
		addresses
	}{"started", a})
}

func (l *lines) conclude(s summary) {
	l.write(struct {
		Kind          string         `json:"kind"`
		Good          bool           `json:"good"`
		RanMS         float64        `json:"ran_ms"`
		Commits       int            `json:"commits"`
		Refused       int            `json:"refused"`
		Written       int            `json:"copies_written"`
		Updated       int            `json:"copies_updated"`
		Removed       int            `json:"copies_removed"`
		Reminders     map[string]int `json:"reminders"`
		Due           int            `json:"pushes_due"`
		Pushes        int            `json:"pushes"`
		Receipts      int            `json:"receipts"`
		PickupP50MS   float64        `json:"pickup_p50_ms"`
		PickupMaxMS   float64        `json:"pickup_max_ms"`
		LatenessP50MS float64        `json:"lateness_p50_ms"`
		LatenessMaxMS float64        `json:"lateness_max_ms"`
		Verdict
	}{
		"summary", s.verdict.Good(), millis(s.ran), s.rows, s.refused, s.written, s.updated, s.removed, s.reminders, s.due, s.pushes, s.receipts,
		millis(s.pickupP50), millis(s.pickupMax), millis(s.latenessP50), millis(s.latenessMax), s.verdict,
	})
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
