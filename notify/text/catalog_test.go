package text_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/notify/text"
)

// picky fails for a title that no sample has.
const picky = `{{define "body"}}{{if eq .Title "Party"}}{{upper (eq .Child "x")}}{{end}}Mine{{end}}`

// TestTheBuiltInFileIsSound: it is an operator's file as well, whole.
func TestTheBuiltInFileIsSound(t *testing.T) {
	t.Parallel()
	c, err := text.New("", text.Source(), "copy.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text.Default().Locales(), c.Locales()); diff != "" {
		t.Errorf("languages (-built in +copy):\n%s", diff)
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	facts := text.Facts{
		Title: "Soccer", Child: "Leo", Location: "Field 3", Bring: []string{"cleats", "water"},
		Start: noon.AddDate(0, 0, 4), Now: noon,
	}
	for name, tt := range map[string]struct {
		locale, override, title, body string
	}{
		"a word":       {"", `{{define "en.words"}}bring = Don't forget:{{end}}`, "Soccer", "Tue 24 Nov 12:00 · Leo · Field 3 · Don't forget: cleats, water"},
		"for America":  {"en-US", `{{define "en.words"}}bring = Pack:{{end}}`, "Soccer", "Tue, Nov 24, 12:00 PM · Leo · Field 3 · Pack: cleats, water"},
		"for another":  {"", `{{define "de.words"}}bring = Packen:{{end}}`, "Soccer", "Tue 24 Nov 12:00 · Leo · Field 3 · Bring: cleats, water"},
		"for all":      {"nl", `{{define "body"}}{{.When}}{{end}}`, "Soccer", "Di 24 nov om 12:00"},
		"for one":      {"nl", `{{define "body"}}x{{end}}{{define "nl.body"}}{{.When}}{{end}}`, "Soccer", "Di 24 nov om 12:00"},
		"a title":      {"", `{{define "en.title"}}{{.Child}}: {{upper .Title}}{{end}}{{define "en.body"}}{{.When}}{{end}}`, "Leo: SOCCER", "Tue 24 Nov 12:00"},
		"a clock":      {"fr", "{{define \"fr.words\"}}\nclock = 16 h 00\n{{end}}{{define \"body\"}}{{.Clock}}{{end}}", "Soccer", "12 h 00"},
		"a half first": {"", "{{define \"en.words\"}}\nclock 12 = PM 4:00\npm=noon\n12 hours in=\n{{end}}{{define \"en.when\"}}{{.Clock}}{{end}}", "Soccer", "12:00 · Leo · Field 3 · Bring: cleats, water"},
		"a region": {
			"de-AT", "\ufeff{{define \"de-AT.words\"}}\r\nmonths = Jän. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov Dez.\r\n12 hours in = AT\r\n{{end}}\r\n",
			"Soccer", "Di., 24. Nov um 12:00 PM · Leo · Field 3 · Mitbringen: cleats, water",
		},
		"the sister region": {"de-CH", "{{define \"de-AT.words\"}}today = Heut{{end}}{{define \"de-AT.body\"}}x{{end}}", "Soccer", "Di., 24. Nov. um 12:00 · Leo · Field 3 · Mitbringen: cleats, water"},
		"with and else": {"", `{{define "body"}}{{with .Words}}{{.Bring}}{{end}} {{with .Child}}{{.}} {{$.Title}}{{else}}{{.Title}}{{end}} {{.Title | upper | lower}}{{end}}`,
			"Soccer", "Bring: Leo Soccer soccer"},
		"another's block": {"", `{{define "body"}}{{.When}}: {{template "title" .}}{{end}}`, "Soccer", "Tue 24 Nov 12:00: Soccer"},
		"lines":           {"", "{{define \"body\"}}\r\n\n  {{.Child}}  {{.Location}}\r\n{{if .AllDay}}\n{{end}}\n \n{{.When}}\n\n{{end}}", "Soccer", "Leo Field 3 · Tue 24 Nov 12:00"},
		"a new language": {
			"fi-FI", `{{define "fi.words"}}
				reminder = Muistutus
				bring    = Ota mukaan:
				today    = Tänään
				tomorrow = Huomenna
				all day  = koko päivän
				cut off  = Google-kalenteri on katkaistu
				connect  = Yhdistä se uudelleen sovelluksessa.
				weekdays = ma, ti, ke, to, pe, la, su
				months   = tammi helmi maalis huhti touko kesä heinä elo syys loka marras joulu
				clock    = 16.00
			{{end}}`, "Soccer", "ti 24 marras 12.00 · Leo · Field 3 · Ota mukaan: cleats, water",
		},
	} {
		c, err := text.New("", tt.override, "mine.tmpl")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f := facts
		f.Locale = tt.locale
		if title, body := c.Render(f); title != tt.title || body != tt.body {
			t.Errorf("%s: %q, %q, want %q, %q", name, title, body, tt.title, tt.body)
		}
	}
}

// TestFaults are told all at once, by their lines.
func TestFaults(t *testing.T) {
	t.Parallel()
	const fields = "there are: .Soon .Weekday .Day .Month .Year .Clock .When .Title .Child .Location .Bring .Words .AllDay"
	const functions = "there are: and, eq, lower, ne, not, or, upper"
	const blocks = `there are title, body, when and words, each with a language before it or for all: "de.body"`
	const keys = "there are: reminder, bring, today, tomorrow, all day, cut off, connect, weekdays, months, am, pm, clock, clock 12, 12 hours in"
	for name, tt := range map[string]struct{ source, want string }{
		"unknown block":    {`{{define "en.boddy"}}x{{end}}`, `1: there is no block "en.boddy" (did you mean en.body?); ` + blocks},
		"unknown language": {`{{define "xx.body"}}x{{end}}`, `1: "xx" in "xx.body" is not the tag of a language, such as "de" or "pt-BR"`},
		"no language":      {`{{define "und.body"}}x{{end}}`, `1: "und" in "und.body" is not the tag of a language, such as "de" or "pt-BR"`},
		"unknown fields": {
			"{{define \"body\"}}\n{{.Titel}}\n{{if .Child}}{{$.Words.Brin}}{{else if .Foo}}{{end}}\n{{end}}",
			"2: body: there is no field .Titel (did you mean .Title?); " + fields + "\n" +
				"3: body: there is no field .Words.Brin (did you mean .Words.Bring?); there are: .Words.Reminder .Words.Bring .Words.Today .Words.Tomorrow .Words.AllDay\n" +
				"3: body: there is no field .Foo; " + fields,
		},
		"field of a text": {
			`{{define "body"}}{{.Child.Name}}{{with .Child}}{{.Title}}{{.Name}}{{end}}{{end}}`,
			"1: body: .Child is a text and has no field .Name\n" +
				"1: body: inside of {{with}} the point is a text and has no field .Title: write $.Title\n1: body: . is a text and has no field .Name",
		},
		"no text": {
			"{{define \"body\"}}{{.}}\n{{.Words}}\n{{if eq .Day 1}}{{end}}\n{{or nil .Title}}\n{{(or .Title).X}}\n{{$x := .Title}}{{end}}",
			"1: body: . is no text by itself: name one of its fields, such as .Title\n2: body: .Words is no text by itself: name one of its fields, such as .Words.Bring\n" +
				"3: body: 1 is a number, and all fields are text: write \"1\"\n4: body: nil is no text: write \"\"\n" +
				"5: body: (or .Title).X: write the field without parentheses\n6: body: $x := .Title: there are no variables; write the field where it is needed",
		},
		"functions": {
			"{{define \"body\"}}{{printf \"%999999999d\" .Title}}\n{{Title}}\n{{uper .Title}}\n{{upper}}\n{{upper lower .Title}}\n{{.Title .Child}}\n{{.Title | .Child}}{{end}}",
			"1: body: there is no function printf; " + functions + "\n2: body: there is no function Title (did you mean .Title?); " + functions + "\n" +
				"3: body: there is no function uper (did you mean upper?); " + functions + "\n4: body: upper: upper needs one text, and got 0\n" +
				"5: body: upper lower .Title: upper needs one text, and got 2\n5: body: lower stands where a text belongs: put it and its texts into parentheses\n" +
				"6: body: .Title .Child: .Title is no function and takes nothing; write the two apart\n7: body: .Child: .Child is no function and takes nothing; write the two apart",
		},
		"range": {
			"{{define \"body\"}}{{range 1000000000}}{{end}}\n{{range .Bring}}{{.}}{{end}}{{end}}",
			"1: body: range is not available; {{.Bring}} is the whole list already, as in: cleats, water\n" +
				"2: body: range is not available; {{.Bring}} is the whole list already, as in: cleats, water",
		},
		"itself": {
			`{{define "body"}}{{template "de.body" .}}{{end}}` + "\n" + `{{define "de.body"}}{{template "body" .}}{{end}}` + "\n" + `{{define "title"}}{{template "title" $}}{{end}}`,
			"2: de.body: the block shows itself and would never end: body > de.body > body\n3: title: the block shows itself and would never end: title > title",
		},
		"unknown to show": {
			`{{define "body"}}{{template "en.when" .}}{{template "bdy" .}}{{template "en.words" .}}{{template "when"}}{{template "when" .Child}}{{end}}`,
			"1: body: there is no block \"en.when\" to show here (did you mean when?)\n1: body: there is no block \"bdy\" to show here (did you mean body?)\n" +
				"1: body: there is no block \"en.words\" to show here\n" +
				"1: body: a block needs all fields: write {{template \"when\" $}}\n1: body: a block needs all fields: write {{template \"when\" $}}",
		},
		"too much": {
			`{{define "body"}}` + strings.Repeat("{{.Title}}", 6000) + `{{end}}` + "\n" + `{{define "de.body"}}` + strings.Repeat(`{{template "de.title" .}}`, 50) + `{{end}}` +
				"\n" + `{{define "de.title"}}x` + strings.Repeat("{{.Day}}", 200) + `{{end}}`,
			"1: body: the block takes more than the 10000 steps that are allowed: make it shorter\n2: de.body: the block takes more than the 10000 steps that are allowed: make it shorter",
		},
		"when in when": {`{{define "en.when"}}{{.When}}{{end}}`, "1: en.when: this block makes {{.When}} and cannot contain it"},
		"NUL, hidden":  {`{{define "body"}}{{.When}}{{"a\x00"}}{{end}}`, `1: body: "a\x00" has a character that belongs in no text`},
		"NUL":          {"\na\x00b", "2: there is a byte that belongs in no text (0x00); save the file as UTF-8 without control characters"},
		"not UTF-8":    {"{{/* \xe4 */}}", "1: there is a byte that belongs in no text (0xe4); save the file as UTF-8 without control characters"},
		"too big":      {strings.Repeat(" ", 300_000), "1: the file has 300000 bytes, more than the 262144 that are allowed; keep only the blocks that you change"},
		"syntax": {
			"{{define \"body\"}}{{if .Title}}{{end}}\n{{define \"title\"}}{{.Title}{{end}}\n{{define \"en.when\"}}{{end}}{{end}}\n{{/* {{define \"x\"}} */}}{{define \"de.boddy\"}}{{end}}\n" +
				`{{define "nl.body"}}{{.Tilte}}{{end}}`,
			"1: this block has no end: every {{define}}, {{if}} and {{with}} needs an {{end}}\n2: bad character U+007D '}'\n3: unexpected {{end}}\n" +
				"4: there is no block \"de.boddy\" (did you mean de.body?); " + blocks + "\n5: nl.body: there is no field .Tilte (did you mean .Title?); " + fields,
		},
		"outside": {"hello {{define \"body\"}}a{{end}}", `1: there is text outside of a block: put it between {{define "..."}} and {{end}}, or make it a comment, {{/* like this */}}`},
		"hundreds": {
			"{{define \"body\"}}" + strings.Repeat("{{or nil}}", 250) + "{{end}}",
			strings.Repeat("1: body: nil is no text: write \"\"\n", 100) + " and 150 more like these",
		},
		"nothing": {
			"{{define \"title\"}}{{.Title}}{{end}}\n{{define \"body\"}}{{end}}",
			"1: title: the title is empty when there is only a time: begin with {{or .Title .Words.Reminder}}\n2: body: the body is empty, whatever the event",
		},
		"long": {
			`{{define "title"}}` + strings.Repeat("x", 1001) + "{{end}}\n" + `{{define "body"}}` + strings.Repeat("x", 17000) + `{{end}}`,
			"1: title: it has more than 1000 characters of its own: no device shows so many\n2: body: it writes more than 16384 bytes when everything is there: no push has room for that",
		},
		"fails":      {`{{define "body"}}{{upper (eq "a" "b")}}{{end}}`, `1:33: executing "body" at <"b">: wrong type for value; expected string; got bool (when everything is there)`},
		"twice":      {`{{define "title"}}a{{end}}{{define "title"}}b{{end}}`, "1: title is there twice, the other time in line 1: keep one"},
		"same twice": {"{{define \"en_us.title\"}}a{{end}}\n{{define \"en-US.title\"}}b{{end}}", "1: en-US.title is there twice, the other time in line 2: keep one"},
		"words": {
			"{{define \"de.words\"}}\nweekdays = Mo Di Mi Do Fr Sa\nbrng = x\nfoo\nclock = 4\nclock 12 = 16:00\n12 hours in = US Bavaria\nbring =\n\ntoday = A\ntoday = B\n" +
				"months = " + strings.Repeat("x", 101) + " 2 3 4 5 6 7 8 9 10 11 12\n{{.Title}}\n{{end}}",
			"2: de.words: weekdays: there are 6, but there must be 7, from Monday to Sunday, with spaces between them\n" +
				"3: de.words: there is no word called \"brng\" (did you mean bring?); " + keys + "\n" +
				"4: de.words: \"foo\" is not a word: write \"name = words\"\n" +
				"5: de.words: clock: write how 16:00 is written, with 16 for the hour and 00 for the minutes, and not \"4\"\n" +
				"6: de.words: clock 12: write how 4:00 PM is written, with 4 for the hour, 00 for the minutes and PM for the half of the day, and not \"16:00\"\n" +
				"7: de.words: 12 hours in: \"Bavaria\" is not a region, such as US\n" +
				"8: de.words: bring: it is empty; leave out the line to keep what is built in\n" +
				"11: de.words: \"today\" is there twice: keep one\n" +
				"12: de.words: months: it has 101 characters, more than the 100 that are allowed\n" +
				"13: de.words: {{.Title}} is not a word: write lines such as \"bring = Bring:\"",
		},
		"missing words": {`{{define "fi.words"}}today = Tänään{{end}}`, "1: fi.words: these words are missing in fi.words: reminder, bring, tomorrow, all day, cut off, connect, weekdays, months"},
		"no words":      {`{{define "fi.title"}}x{{end}}`, "1: fi.title: these words are missing in fi.words: reminder, bring, today, tomorrow, all day, cut off, connect, weekdays, months"},
	} {
		c, err := text.New("", tt.source, "mine.tmpl")
		if err == nil || c != nil {
			t.Errorf("%s: no error, or a catalogue with one", name)
			continue
		}
		want := "mine.tmpl:" + strings.ReplaceAll(tt.want, "\n", "\nmine.tmpl:")
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestUnknownDefault(t *testing.T) {
	t.Parallel()
	_, err := text.New("ja", "", "")
	want := `default locale "ja": the texts have no such language; there are: da, de, en, en-US, es, fr, it, nb, nl, pl, pt, sv`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestFailureLosesNoReminder: a template that fails for what no sample has gives way to the built-in text.
func TestFailureLosesNoReminder(t *testing.T) {
	t.Parallel()
	c, err := text.New("", picky, "picky.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	facts := text.Facts{Title: "Party", Child: "Leo", Start: noon.Add(time.Hour), Now: noon, Locale: "de"}
	if title, body := c.Render(facts); title != "Party" || body != "Heute um 13:00 · Leo" {
		t.Errorf("%q, %q", title, body)
	}
	if n, last := c.Failures(); n != 1 || !strings.Contains(last.Error(), `executing "body"`) {
		t.Errorf("%d failures, the last %v", n, last)
	}
	facts.Title = "Soccer"
	if _, body := c.Render(facts); body != "Mine" {
		t.Errorf("%q", body)
	}
	if n, last := text.Default().Failures(); n != 0 {
		t.Errorf("%d failures of the built-in texts, the last %v", n, last)
	}
}

// TestOutputIsCut: a text beyond what a template may write is no failure.
func TestOutputIsCut(t *testing.T) {
	t.Parallel()
	c, err := text.New("", `{{define "body"}}`+strings.Repeat("{{.Title}}", 9)+`{{end}}`, "nine.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	_, body := c.Render(text.Facts{Title: strings.Repeat("ä", 1001)})
	if n, _ := c.Failures(); n != 0 || body != strings.Repeat("ä", 8192) {
		t.Errorf("%d failures, %d bytes", n, len(body))
	}
}

// FuzzNew feeds files of all sorts. What is accepted must render.
func FuzzNew(f *testing.F) {
	f.Add("", "{{/* x */}}\n{{define \"en.words\"}}\nbring = Pack:\n{{end}}\n{{define \"body\"}}\n{{.When}}\n{{if .Bring}}{{.Words.Bring}} {{.Bring}}{{end}}\n{{end}}")
	f.Add("de", picky)
	f.Add("en", `{{define "body"}}{{range 1000000000}}{{end}}{{template "body" .}}{{with $x := .Words}}{{$x.Bring}}{{end}}{{end}}`)
	f.Add("en-US", "{{define \"de-AT.words\"}}\nmonths = a, b\nclock = 16.00\n{{end}}{{block \"title\" .}}{{break}}{{end}}")
	f.Add("", `{{- define "fi.body" -}} {{- if and .Child (not (eq .Day "1")) }} {{.Child | upper | printf "%s"}} {{else with .Bring}}{{.}}{{end}}{{end}}`)
	f.Fuzz(func(t *testing.T, home, source string) {
		c, err := text.New(home, source, "fuzz.tmpl")
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		for _, locale := range append(c.Locales(), "") {
			title, body := c.Render(text.Facts{Title: "Party", Bring: []string{"x"}, Start: noon, Now: noon, Locale: locale})
			if title == "" || len(title) > 20<<10 || len(body) > 20<<10 || strings.ContainsAny(title+body, "\n\x00") {
				t.Errorf("%s: %q, %q", locale, title, body)
			}
		}
	})
}
