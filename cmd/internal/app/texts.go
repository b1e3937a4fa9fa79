package app

import (
	"fmt"
	"io"
	"time"

	"github.com/parentpal/reminder-worker/notify/text"
)

// TextsSource is the file of texts that comes with the program, for an operator to start from.
func TextsSource() string { return text.Source() }

// PreviewTexts writes what devices show by the texts of a file, in one language or in all. All that is wrong with the file is reported at once.
func PreviewTexts(w io.Writer, path, locale, hourCycle string) error {
	texts, err := Config{ReminderTexts: path, DefaultLocale: text.DefaultLocale}.Texts()
	if err != nil {
		return err
	}
	locales := texts.Locales()
	if locale != "" {
		locales = []string{locale}
	}
	for _, l := range locales {
		if _, err := fmt.Fprintf(w, "%s\n", l); err != nil {
			return err
		}
		for _, f := range samples() {
			f.Locale, f.HourCycle = l, hourCycle
			title, body := texts.Render(f)
			if _, err := fmt.Fprintf(w, "  %s\n    %s\n", title, body); err != nil {
				return err
			}
		}
	}
	return nil
}

// samples are reminders as they may be: of today, tomorrow, another day and another year, with everything and with nothing, of a whole day.
func samples() []text.Facts {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	full := text.Facts{Title: "Soccer practice", Child: "Leo", Location: "Field 3", Bring: []string{"cleats", "water"}, Now: now, Start: now.Add(4 * time.Hour)}
	tomorrow, later, wholeDay := full, full, full
	tomorrow.Start, tomorrow.Child, tomorrow.Bring = now.Add(20*time.Hour+30*time.Minute), "", nil
	later.Start, later.Title, later.Location = now.AddDate(0, 3, 1), "", ""
	wholeDay.Start, wholeDay.AllDay, wholeDay.Title = now.Add(12*time.Hour), true, "School trip"
	return []text.Facts{full, tomorrow, later, wholeDay}
}
