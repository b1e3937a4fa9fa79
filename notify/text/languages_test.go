package text_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/notify/text"
)

// At noon of a Friday. What is said of a language is what a speaker of it should read.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// TestCutOff: every language asks in its own words to connect the calendar again; a reader of none is asked in English.
func TestCutOff(t *testing.T) {
	t.Parallel()
	c := text.Default()
	english, _ := c.CutOff("")
	seen := map[string]string{}
	for _, l := range append(c.Locales(), "ja", "") {
		title, body := c.CutOff(l)
		if title == "" || body == "" || len(title)+len(body) > 250 {
			t.Errorf("%s: %q, %q", l, title, body)
		}
		switch other := seen[body]; {
		case l == "en" || l == "en-US" || l == "ja" || l == "":
			if title != english {
				t.Errorf("%q: %q, want %q", l, title, english)
			}
		case other != "":
			t.Errorf("%s says the same as %s", l, other)
		}
		seen[body] = l
	}
	if title, body := c.CutOff("de-AT"); title != "Google Kalender ist getrennt" || !strings.Contains(body, "neu verbinden") {
		t.Errorf("de-AT: %q, %q", title, body)
	}
}

// TestLanguages has every language that is built in; "_" stands for a space that does not break.
func TestLanguages(t *testing.T) {
	t.Parallel()
	type said struct{ today, tomorrow, date, year, twelve, allDay, rest string }
	table := map[string]said{
		"en": {
			"Today 16:00", "Tomorrow 16:00", "Tue 24 Nov 16:00", "Wed 24 Nov 2027 16:00", "Tue 24 Nov 4:00 PM", "Tue 1 Dec",
			"Reminder | Bring: cleats, water",
		},
		"en-US": {
			"Today 4:00 PM", "Tomorrow 4:00 PM", "Tue, Nov 24, 4:00 PM", "Wed, Nov 24, 2027, 4:00 PM", "Tue, Nov 24, 4:00 PM", "Tue, Dec 1",
			"Reminder | Bring: cleats, water",
		},
		"de": {
			"Heute um 16:00", "Morgen um 16:00", "Di., 24. Nov. um 16:00", "Mi., 24. Nov. 2027 um 16:00", "Di., 24. Nov. um 4:00 PM",
			"Di., 1. Dez.", "Erinnerung | Mitbringen: cleats, water",
		},
		"fr": {
			"Aujourd’hui à 16:00", "Demain à 16:00", "Mar. 24 nov. à 16:00", "Mer. 24 nov. 2027 à 16:00", "Mar. 24 nov. à 4:00 PM",
			"Mar. 1er déc.", "Rappel | À apporter_: cleats, water",
		},
		"es": {
			"Hoy, 16:00", "Mañana, 16:00", "Mar, 24 nov, 16:00", "Mié, 24 nov 2027, 16:00", "Mar, 24 nov, 4:00 p._m.", "Mar, 1 dic",
			"Recordatorio | Llevar: cleats, water",
		},
		"it": {
			"Oggi, 16:00", "Domani, 16:00", "Mar 24 nov, 16:00", "Mer 24 nov 2027, 16:00", "Mar 24 nov, 4:00 PM", "Mar 1 dic",
			"Promemoria | Da portare: cleats, water",
		},
		"nl": {
			"Vandaag om 16:00", "Morgen om 16:00", "Di 24 nov om 16:00", "Wo 24 nov 2027 om 16:00", "Di 24 nov om 4:00 p.m.", "Di 1 dec",
			"Herinnering | Meenemen: cleats, water",
		},
		"pt": {
			"Hoje, 16:00", "Amanhã, 16:00", "Ter., 24 de nov., 16:00", "Qua., 24 de nov. de 2027, 16:00", "Ter., 24 de nov., 4:00 PM",
			"Ter., 1 de dez.", "Lembrete | Levar: cleats, water",
		},
		"pl": {
			"Dziś o 16:00", "Jutro o 16:00", "Wt., 24 lis o 16:00", "Śr., 24 lis 2027 o 16:00", "Wt., 24 lis o 4:00 PM", "Wt., 1 gru",
			"Przypomnienie | Do zabrania: cleats, water",
		},
		"sv": {
			"Idag kl. 16:00", "Imorgon kl. 16:00", "Tis 24 nov. kl. 16:00", "Ons 24 nov. 2027 kl. 16:00", "Tis 24 nov. kl. 4:00 em",
			"Tis 1 dec.", "Påminnelse | Ta med: cleats, water",
		},
		"da": {
			"I dag kl. 16.00", "I morgen kl. 16.00", "Tirs. d. 24. nov. kl. 16.00", "Ons. d. 24. nov. 2027 kl. 16.00",
			"Tirs. d. 24. nov. kl. 4.00 PM", "Tirs. d. 1. dec.", "Påmindelse | Medbring: cleats, water",
		},
		"nb": {
			"I dag kl. 16:00", "I morgen kl. 16:00", "Tir. 24. nov. kl. 16:00", "Ons. 24. nov. 2027 kl. 16:00", "Tir. 24. nov. kl. 4:00 p.m.",
			"Tir. 1. des.", "Påminnelse | Ta med: cleats, water",
		},
	}
	c := text.Default()
	for locale, want := range table {
		when := func(start time.Time, cycle string, allDay bool) string {
			_, body := c.Render(text.Facts{Start: start, Now: noon, Locale: locale, HourCycle: cycle, AllDay: allDay})
			return strings.ReplaceAll(body, "\u00a0", "_")
		}
		four := noon.Add(4 * time.Hour)
		got := said{
			today: when(four, "", false), tomorrow: when(four.AddDate(0, 0, 1), "", false), date: when(four.AddDate(0, 0, 4), "", false),
			year: when(four.AddDate(1, 0, 4), "", false), twelve: when(four.AddDate(0, 0, 4), "h12", false), allDay: when(four.AddDate(0, 0, 11), "", true),
		}
		title, body := c.Render(text.Facts{Bring: []string{"cleats", "water"}, Locale: locale})
		got.rest = strings.ReplaceAll(title+" | "+body, "\u00a0", "_")
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", locale, got, want)
		}
	}
	if got := c.Locales(); len(got) != len(table) {
		t.Errorf("%d languages are tested, and there are %q", len(table), got)
	}
}

// TestCalendarOfEveryLanguage: the abbreviations by which a reader knows weekdays and months.
func TestCalendarOfEveryLanguage(t *testing.T) {
	t.Parallel()
	c, err := text.New("", `{{define "body"}}{{.Weekday}}{{.Month}}{{end}}`, "calendar.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	for locale, want := range map[string]string{
		"en": "ThuJan SunFeb WedMar SatApr TueMay FriJun MonJul ThuAug SunSep WedOct SatNov TueDec",
		"de": "Do.Jan. So.Feb. Mi.März Sa.Apr. Di.Mai Fr.Juni Mo.Juli Do.Aug. So.Sept. Mi.Okt. Sa.Nov. Di.Dez.",
		"fr": "Jeu.janv. Dim.févr. Mer.mars Sam.avr. Mar.mai Ven.juin Lun.juil. Jeu.août Dim.sept. Mer.oct. Sam.nov. Mar.déc.",
		"es": "Jueene Domfeb Miémar Sábabr Marmay Viejun Lunjul Jueago Domsept Miéoct Sábnov Mardic",
		"it": "Giogen Domfeb Mermar Sabapr Marmag Vengiu Lunlug Gioago Domset Merott Sabnov Mardic",
		"nl": "Dojan Zofeb Womrt Zaapr Dimei Vrjun Majul Doaug Zosep Wookt Zanov Didec",
		"pt": "Qui.jan. Dom.fev. Qua.mar. Sáb.abr. Ter.mai. Sex.jun. Seg.jul. Qui.ago. Dom.set. Qua.out. Sáb.nov. Ter.dez.",
		"pl": "Czw.sty Niedz.lut Śr.mar Sob.kwi Wt.maj Pt.cze Pon.lip Czw.sie Niedz.wrz Śr.paź Sob.lis Wt.gru",
		"sv": "Torsjan. Sönfeb. Onsmars Lörapr. Tismaj Frejuni Månjuli Torsaug. Sönsep. Onsokt. Lörnov. Tisdec.",
		"da": "Tors.jan. Søn.feb. Ons.mar. Lør.apr. Tirs.maj Fre.jun. Man.jul. Tors.aug. Søn.sep. Ons.okt. Lør.nov. Tirs.dec.",
		"nb": "Tor.jan. Søn.feb. Ons.mars Lør.apr. Tir.mai Fre.juni Man.juli Tor.aug. Søn.sep. Ons.okt. Lør.nov. Tir.des.",
	} {
		var got []string
		for _, day := range []string{"01-01", "02-01", "03-04", "04-04", "05-05", "06-05", "07-06", "08-06", "09-06", "10-07", "11-07", "12-08"} {
			start, err := time.Parse(time.DateOnly, "2026-"+day)
			if err != nil {
				t.Fatal(err)
			}
			_, body := c.Render(text.Facts{Start: start, Now: noon, Locale: locale})
			got = append(got, body)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s:\n got %s\nwant %s", locale, got, want)
		}
	}
}

// TestReaders: which language and which clock a tag comes to.
func TestReaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ home, locale, cycle, want string }{
		{"", "", "", "Tue 24 Nov 16:00"},
		{"", "en", "", "Tue 24 Nov 16:00"},
		{"", "en-GB", "", "Tue 24 Nov 16:00"},
		{"", "en-IE", "", "Tue 24 Nov 16:00"},
		{"", "en-CA", "", "Tue 24 Nov 4:00 PM"},
		{"", "en-AU", "", "Tue 24 Nov 4:00 PM"},
		{"", "en-IN", "", "Tue 24 Nov 4:00 PM"},
		{"", "en_US", "", "Tue, Nov 24, 4:00 PM"},
		{"", "en_US.UTF-8", "", "Tue, Nov 24, 4:00 PM"},
		{"", "EN-us", "", "Tue, Nov 24, 4:00 PM"},
		{"", "en-US", "h24", "Tue, Nov 24, 16:00"},
		{"", "en-US", "h23", "Tue, Nov 24, 16:00"},
		{"", "en-US", "h99", "Tue, Nov 24, 4:00 PM"},
		{"", "en-GB", "h12", "Tue 24 Nov 4:00 PM"},
		{"", "en-GB-u-hc-h12", "", "Tue 24 Nov 4:00 PM"},
		{"", "en-US-u-hc-h23", "", "Tue, Nov 24, 16:00"},
		{"", "de-AT", "", "Di., 24. Nov. um 16:00"},
		{"", "de-1996", "", "Di., 24. Nov. um 16:00"},
		{"", "pt-BR", "", "Ter., 24 de nov., 16:00"},
		{"", "es-MX", "", "Mar, 24 nov, 16:00"},
		{"", "no", "", "Tir. 24. nov. kl. 16:00"},    // the macrolanguage
		{"", "nn-NO", "", "Tir. 24. nov. kl. 16:00"}, // understood
		{"", "gsw", "", "Di., 24. Nov. um 16:00"},    // understood
		{"", "ja-US", "", "Tue 24 Nov 16:00"},        // nothing of it counts
		{"", "zh-Hant-TW", "", "Tue 24 Nov 16:00"},
		{"", "und-ZZ", "", "Tue 24 Nov 16:00"},
		{"", "klingon!", "", "Tue 24 Nov 16:00"},
		{"", "de-" + strings.Repeat("x", 100), "", "Tue 24 Nov 16:00"},
		{"de", "", "", "Di., 24. Nov. um 16:00"},
		{"de", "ja", "", "Di., 24. Nov. um 16:00"},
		{"en-AU", "", "", "Tue 24 Nov 4:00 PM"},
		{"en-US", "", "", "Tue, Nov 24, 4:00 PM"},
	} {
		c, err := text.New(tt.home, "", "")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // found, then remembered
			_, body := c.Render(text.Facts{Start: noon.AddDate(0, 0, 4).Add(4 * time.Hour), Now: noon, Locale: tt.locale, HourCycle: tt.cycle})
			if body != tt.want {
				t.Errorf("%q with %q, default %q: %q, want %q", tt.locale, tt.cycle, tt.home, body, tt.want)
			}
		}
	}
}

func TestClocks(t *testing.T) {
	t.Parallel()
	for clock, want := range map[string][2]string{
		"00:00": {"Today 00:00", "Today 12:00 AM"}, "00:05": {"Today 00:05", "Today 12:05 AM"}, "08:30": {"Today 08:30", "Today 8:30 AM"},
		"11:59": {"Today 11:59", "Today 11:59 AM"}, "12:00": {"Today 12:00", "Today 12:00 PM"}, "23:59": {"Today 23:59", "Today 11:59 PM"},
	} {
		start, err := time.Parse(time.DateTime, "2026-11-20 "+clock+":00")
		if err != nil {
			t.Fatal(err)
		}
		for i, cycle := range []string{"h24", "h12"} {
			if _, body := text.Default().Render(text.Facts{Start: start, Now: noon, HourCycle: cycle}); body != want[i] {
				t.Errorf("%s with %s: %q, want %q", clock, cycle, body, want[i])
			}
		}
	}
}
