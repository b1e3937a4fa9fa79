package text_test

import (
	"fmt"
	"time"

	"github.com/parentpal/reminder-worker/notify/text"
)

func ExampleNew() {
	const mine = `
{{define "en.words"}}
bring = Don't forget:
{{end}}

{{define "en.title"}}{{or .Title .Words.Reminder}}{{if .Child}} for {{.Child}}{{end}}{{end}}

{{define "en.body"}}
{{.When}}
{{if .Bring}}{{.Words.Bring}} {{.Bring}}{{end}}
{{end}}`
	catalog, err := text.New("en", mine, "mine.tmpl")
	if err != nil {
		fmt.Println(err) // every fault with its line
		return
	}
	now := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	facts := text.Facts{Title: "Soccer", Child: "Leo", Bring: []string{"cleats", "water"}, Start: now.Add(22 * time.Hour), Now: now}
	for _, locale := range []string{"en-GB", "en-US", "de-AT"} {
		facts.Locale = locale
		title, body := catalog.Render(facts)
		fmt.Printf("%s\n    %s\n", title, body)
	}
	// Output:
	// Soccer for Leo
	//     Tomorrow 16:00 · Don't forget: cleats, water
	// Soccer for Leo
	//     Tomorrow 4:00 PM · Don't forget: cleats, water
	// Soccer
	//     Morgen um 16:00 · Leo · Mitbringen: cleats, water
}
