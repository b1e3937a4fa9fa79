package text

import (
	"fmt"
	"slices"
	"strings"
	"text/template/parse"
	"time"
	"unicode/utf8"

	"golang.org/x/text/language"
)

// words are those of one language. The exported ones are fields of a template.
type words struct {
	Reminder, Bring, Today, Tomorrow, AllDay string

	cutOff, connect  string   // of the push that asks to connect the calendar again
	weekdays, months []string // from Monday and January
	am, pm           string
	clock, clock12   string // with the marks below in the place of what changes
	twelveHours      []string
}

// Where a clock has its hour, its minutes, and its half of the day. A file cannot contain them.
const (
	hourMark   = '\x01'
	minuteMark = '\x02'
	halfMark   = '\x03'
)

const (
	maxWord      = 100 // characters
	keyRegions   = "12 hours in"
	keyClock     = "clock"
	keyClock12   = "clock 12"
	keyWeekdays  = "weekdays"
	keyMonths    = "months"
	weekdayCount = 7
	monthCount   = 12
)

// wordKeys are all there are; only the regions may be missing.
var wordKeys = []string{
	"reminder", "bring", "today", "tomorrow", "all day", "cut off", "connect", keyWeekdays, keyMonths, "am", "pm", keyClock, keyClock12, keyRegions,
}

// settings are lines of a block of words.
type settings map[string]string

// settings reads the lines of a block of words and notes what is wrong with them.
func (b *block) settings() settings {
	found := settings{}
	for _, n := range b.tree.Root.Nodes {
		t, plain := n.(*parse.TextNode)
		if !plain {
			b.file.fault(int(n.Position()), `%s: %s is not a word: write lines such as "bring = Bring:"`, b.name, n)
			continue
		}
		at := int(t.Pos)
		for line := range strings.SplitAfterSeq(string(t.Text), "\n") {
			if strings.TrimSpace(line) != "" {
				b.setting(found, line, at+len(line)-len(strings.TrimLeft(line, " \t\r\n")))
			}
			at += len(line)
		}
	}
	return found
}

func (b *block) setting(found settings, line string, at int) {
	key, value, ok := strings.Cut(line, "=")
	key = strings.ToLower(strings.Join(strings.Fields(key), " "))
	value = strings.Trim(value, " \t\r\n") // a space that does not break is the operator's
	switch {
	case !ok:
		b.file.fault(at, `%s: %q is not a word: write "name = words"`, b.name, short(strings.TrimSpace(line)))
	case !slices.Contains(wordKeys, key):
		b.file.fault(at, "%s: there is no word called %q%s; there are: %s", b.name, short(key), meant(key, wordKeys, ""), strings.Join(wordKeys, ", "))
	case found[key] != "":
		b.file.fault(at, "%s: %q is there twice: keep one", b.name, key)
	default:
		if why := judge(key, value); why != "" {
			b.file.fault(at, "%s: %s: %s", b.name, key, why)
			value = "?" // it is there, so that it is not called missing as well
		}
		found[key] = value
	}
}

// judge says what is wrong with a value, or nothing.
func judge(key, value string) string {
	switch key {
	case keyWeekdays:
		return judgeList(value, weekdayCount, "from Monday to Sunday")
	case keyMonths:
		return judgeList(value, monthCount, "from January to December")
	case keyRegions:
		for region := range strings.FieldsSeq(value) {
			if _, err := language.ParseRegion(region); err != nil {
				return fmt.Sprintf("%q is not a region, such as US", short(region))
			}
		}
		return ""
	case keyClock:
		if strings.Contains(value, "PM") || layout(value, "16") == "" {
			return fmt.Sprintf("write how 16:00 is written, with 16 for the hour and 00 for the minutes, and not %q", short(value))
		}
	case keyClock12:
		if !strings.Contains(value, "PM") || layout(value, "4") == "" {
			return fmt.Sprintf("write how 4:00 PM is written, with 4 for the hour, 00 for the minutes and PM for the half of the day, and not %q", short(value))
		}
	}
	return judgeWord(value)
}

func judgeList(value string, want int, which string) string {
	list := fields(value)
	if len(list) != want {
		return fmt.Sprintf("there are %d, but there must be %d, %s, with spaces between them", len(list), want, which)
	}
	for _, word := range list {
		if why := judgeWord(word); why != "" {
			return why
		}
	}
	return ""
}

func judgeWord(word string) string {
	if word == "" {
		return "it is empty; leave out the line to keep what is built in"
	}
	if n := utf8.RuneCountInString(word); n > maxWord {
		return fmt.Sprintf("it has %d characters, more than the %d that are allowed", n, maxWord)
	}
	return ""
}

// fields splits a list at its white space, or at its commas if there are any.
func fields(value string) []string {
	if !strings.Contains(value, ",") {
		return strings.Fields(value)
	}
	list := strings.Split(value, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// layout puts marks into the place of what changes in a clock. It is empty when one is missing or there twice.
func layout(clock, hour string) string {
	if strings.Count(clock, hour) != 1 || strings.Count(clock, "00") != 1 || strings.Count(clock, "PM") > 1 {
		return ""
	}
	return strings.NewReplacer("00", string(minuteMark), hour, string(hourMark), "PM", string(halfMark)).Replace(clock)
}

// words makes those of a language, and says which are missing.
func (s settings) words() (w *words, missing []string) {
	for _, key := range wordKeys {
		if s[key] == "" && key != keyRegions {
			missing = append(missing, key)
		}
	}
	return &words{
		Reminder: s["reminder"], Bring: s["bring"], Today: s["today"], Tomorrow: s["tomorrow"], AllDay: s["all day"],
		cutOff: s["cut off"], connect: s["connect"],
		weekdays: fields(s[keyWeekdays]), months: fields(s[keyMonths]), am: s["am"], pm: s["pm"],
		clock: layout(s[keyClock], "16"), clock12: layout(s[keyClock12], "4"), twelveHours: strings.Fields(s[keyRegions]),
	}, missing
}

func (w *words) weekday(d time.Weekday) string { return w.weekdays[(d+6)%weekdayCount] }
func (w *words) month(m time.Month) string     { return w.months[m-time.January] }

// timeOfDay writes a clock the way of the language: "16:00", "4:00 PM".
func (w *words) timeOfDay(t time.Time, twelve bool) string {
	hour, minute, _ := t.Clock()
	pattern, half := w.clock, w.am
	if twelve {
		pattern = w.clock12
		if hour >= 12 {
			half = w.pm
		}
		hour = (hour+11)%12 + 1
	}
	b := make([]byte, 0, 32)
	for i := range len(pattern) {
		switch pattern[i] {
		case hourMark:
			b = digits(b, hour, !twelve)
		case minuteMark:
			b = digits(b, minute, true)
		case halfMark:
			b = append(b, half...)
		default:
			b = append(b, pattern[i])
		}
	}
	return string(b)
}

// digits appends a number below 100, with two digits if it must have them.
func digits(b []byte, n int, two bool) []byte {
	if two || n >= 10 {
		b = append(b, byte('0'+n/10))
	}
	return append(b, byte('0'+n%10))
}

// short keeps a fault readable whatever it quotes.
func short(s string) string {
	if utf8.RuneCountInString(s) > 40 {
		return string([]rune(s)[:40]) + "…"
	}
	return s
}
