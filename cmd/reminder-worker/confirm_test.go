package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// Only yes is yes.
func TestReadYes(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]error{"yes\n": nil, " yes \n": nil, "yes": nil, "y\n": errUnconfirmed, "YES\n": errUnconfirmed, "": errUnconfirmed, "no\nyes\n": errUnconfirmed} {
		var out bytes.Buffer
		if err := readYes(strings.NewReader(answer), &out, "Remove all."); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
		if out.String() != "Remove all.\nType yes to go on: " {
			t.Errorf("asks %q", &out)
		}
	}
}

// A bar is one line on a terminal, and lines elsewhere; neither more often than there is something to see.
func TestBar(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := &bar{out: &out, every: time.Hour, lives: true}
	b.show(1, 2, "reminders")
	b.show(2, 2, "reminders")
	b.end()
	if want := clearLine + "[###############...............]  50 %  reminders" + clearLine; out.String() != want {
		t.Errorf("on a terminal %q, want %q", &out, want)
	}
	out.Reset()
	b = &bar{out: &out, every: time.Hour}
	b.show(0, 0, "nothing")
	b.show(1, 1, "nothing")
	b.end()
	if want := "100 %  nothing\n"; out.String() != want {
		t.Errorf("elsewhere %q, want %q", &out, want)
	}
}
