package listener

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestStatusTellsSinceWhenItHears(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		b := newBoard(Connecting, "notify")
		check := func(what string, want Status) {
			t.Helper()
			want.Source = "notify"
			if diff := cmp.Diff(want, b.read(), cmpopts.EquateErrors()); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
			<-time.After(time.Second)
		}
		check("new", Status{State: Connecting, Since: begin})
		b.enter(Deaf, ErrNoProof)
		check("first attempt failed", Status{State: Deaf, Since: begin, Err: ErrNoProof})
		b.enter(Connecting, nil)
		check("trying again", Status{State: Connecting, Since: begin, Err: ErrNoProof})
		b.enter(Proving, nil)
		b.begin()
		check("hears", Status{State: Listening, Since: begin.Add(3 * time.Second)})
		b.enter(Deaf, ErrNoProof)
		check("lost", Status{State: Deaf, Since: begin.Add(4 * time.Second), Err: ErrNoProof})
		b.begin()
		check("hears again", Status{State: Listening, Since: begin.Add(5 * time.Second), Reconnects: 1})
		b.enter(Polling, ErrNoProof)
		b.enter(Connecting, nil)
		check("attempts while polling", Status{State: Polling, Since: begin.Add(6 * time.Second), Reconnects: 1, Err: ErrNoProof})
	})
}

func TestEveryWordIsNamed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for s := Connecting; s <= Polling; s++ {
		seen[s.String()] = true
	}
	for _, c := range causes {
		seen[c.String()] = true
	}
	if len(seen) != 9 || seen["unknown"] {
		t.Errorf("names %v, want 9 different ones", seen)
	}
	if State(0).String() != "unknown" || Cause(0).String() != "unknown" {
		t.Error("zero values have a name")
	}
}
