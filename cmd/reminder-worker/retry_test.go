package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

// Who is to say what is retried says it one way, and wrong usage is told from a failure.
func TestWhatToRetry(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	for name, c := range map[string]struct {
		args []string
		f    retryFlags
		ok   bool
	}{
		"nothing":        {},
		"ids":            {args: []string{id.String(), uuid.NewString()}, ok: true},
		"a reason":       {f: retryFlags{reason: "away"}, ok: true},
		"all":            {f: retryFlags{all: true}, ok: true},
		"ids and all":    {args: []string{id.String()}, f: retryFlags{all: true}},
		"a reason, all":  {f: retryFlags{reason: "away", all: true}},
		"what is no id":  {args: []string{"anna"}},
		"one of them no": {args: []string{id.String(), "anna"}},
	} {
		o, err := retryOptions(c.args, c.f)
		if _, usage := errors.AsType[usageError](err); usage == c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if c.ok && (len(o.Events) != len(c.args) || len(o.Reminders) != len(c.args)) {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// Nobody has agreed who has not said so.
func TestAgreed(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, " YES \n": true, "n\n": false, "\n": false, "": false, "yesterday\n": false} {
		var asked bytes.Buffer
		if got := agreed(strings.NewReader(answer), &asked, "Retry them?"); got != want || asked.String() != "Retry them? [y/N] " {
			t.Errorf("%q: %v, asked %q", answer, got, asked.String())
		}
	}
	if canAsk(strings.NewReader("")) {
		t.Error("a reader of text is taken for a terminal")
	}
}

// What could not be done as asked ends the command with exit code 1.
func TestLeftOver(t *testing.T) {
	t.Parallel()
	for outcome, fails := range map[app.RetryOutcome]bool{
		app.Retried: false, app.NotFailed: false, app.TooLate: false, app.Withdrawn: false, app.Busy: true, app.Refused: true, app.UnknownRow: true,
	} {
		r := app.RetryReport{Items: []app.RetryItem{{ID: uuid.New(), Outcome: outcome}}}
		if outcome != app.NotFailed && outcome != app.UnknownRow {
			r.Reasons = []app.RetrySum{{Kind: "event", Reason: "away", Outcomes: map[app.RetryOutcome]int{outcome: 1}}}
		}
		if err := leftOver(r); (err != nil) != fails {
			t.Errorf("%s: %v", outcome, err)
		}
		if text := retryText(r); !strings.Contains(text, r.Items[0].ID.String()) {
			t.Errorf("%s: %s", outcome, text)
		}
	}
}
