package app

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Verdict is what an examination says about one thing.
type Verdict string

// The verdicts, from best to worst; Skip is none of them.
const (
	Pass Verdict = "pass"
	Warn Verdict = "warn" // works, in a lesser way or not for ever
	Fail Verdict = "fail" // does not work
	Skip Verdict = "skip" // could not be examined
)

// Finding is the outcome of one check of Diagnose.
type Finding struct {
	// ID is stable, so that a script may look for it.
	ID string `json:"id"`
	// Verdict is how it stands.
	Verdict Verdict `json:"verdict"`
	// Text says in words what was found. It holds no secret, nor do the other fields.
	Text string `json:"text"`
	// Details are the single things that Text counts.
	Details []string `json:"details,omitempty"`
	// Fix says what to do, for every verdict but Pass.
	Fix string `json:"fix,omitempty"`
}

// checkLimit bounds every single question to the database or to a service.
const checkLimit = 5 * time.Second

// Diagnose examines everything the program depends on: its configuration, the database, Google and Expo. It changes nothing; what it
// sends is one NOTIFY on a channel of its own, a token request for a consent that does not exist, one for a service account itself, a
// calendar request without credentials, and a question for a receipt that does not exist. invalid is what Load said about c; what cannot be examined because
// of it is skipped. The order of the findings is always the same.
func Diagnose(ctx context.Context, c Config, invalid error) []Finding {
	var database, google, calendar, expo []Finding
	var service Finding
	var asking sync.WaitGroup
	asking.Go(func() { database = examineDatabase(ctx, c) })
	asking.Go(func() { google = []Finding{examineGoogleToken(ctx, c)} })
	asking.Go(func() { service = examineServiceAccount(ctx, c) })
	asking.Go(func() { calendar = []Finding{examineGoogleCalendar(ctx, c)} })
	asking.Go(func() { expo = []Finding{examineExpo(ctx, c)} })
	asking.Wait()
	findings := []Finding{examineConfiguration(c, invalid)}
	findings = append(findings, database...)
	findings = append(findings, examineGoogleClient(c))
	findings = append(findings, google...)
	findings = append(findings, calendar...)
	findings = append(findings, expo...)
	return append(findings, slices.Insert(remarks(c), 1, service)...)
}

// Failed reports whether any of the findings is a failure.
func Failed(findings []Finding) bool {
	for _, f := range findings {
		if f.Verdict == Fail {
			return true
		}
	}
	return false
}

func pass(id, text string) Finding      { return Finding{ID: id, Verdict: Pass, Text: text} }
func warn(id, text, fix string) Finding { return Finding{ID: id, Verdict: Warn, Text: text, Fix: fix} }
func fail(id, text, fix string) Finding { return Finding{ID: id, Verdict: Fail, Text: text, Fix: fix} }
func skip(id, text, fix string) Finding { return Finding{ID: id, Verdict: Skip, Text: text, Fix: fix} }

// with adds details.
func (f Finding) with(details ...string) Finding {
	f.Details = details
	return f
}
