package listener

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWordsAreToldFromCommits(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]word{
		"proof:A:1": {proofWord, "A", "1"}, "hush:A:z": {hushWord, "A", "z"}, "told:A:": {toldWord, "A", ""},
		"told::": {toldWord, "", ""}, "hush:A:1:2": {hushWord, "A", "1:2"},
	} {
		if got, ok := parseWord(payload); !ok || got != want {
			t.Errorf("%q is %+v, %v, want %+v", payload, got, ok, want)
		}
	}
	for _, payload := range []string{"", "proof", "proof:", "proof:A", "PROOF:A:1", "guess:A:1", ":A:1", `{"id": 7}`} {
		if w, ok := parseWord(payload); ok {
			t.Errorf("%q is taken for the word %+v", payload, w)
		}
	}
}

func TestASpeakerSaysNothingTwice(t *testing.T) {
	t.Parallel()
	a, b := newSpeaker(), newSpeaker()
	said := map[word]bool{}
	for range 100 {
		for _, s := range []*speaker{a, b} {
			w := s.say(proofWord)
			if got, ok := parseWord(w.String()); !ok || got != w || said[w] {
				t.Fatalf("%q is %+v, %v, said before: %v", w, got, ok, said[w])
			}
			said[w] = true
		}
	}
}

func TestAStormIsManyCommitsInShort(t *testing.T) {
	t.Parallel()
	const within = 100 * time.Millisecond
	begin := time.Now()
	for name, c := range map[string]struct {
		commits int
		at      []int // milliseconds
		want    []bool
	}{
		"as fast as it takes":  {2, []int{0, 10, 99}, []bool{false, false, true}},
		"a little slower":      {2, []int{0, 10, 100, 109}, []bool{false, false, false, true}},
		"never, when not many": {3, []int{0, 1, 2}, []bool{false, false, false}},
		"never, when disabled": {0, []int{0, 0, 0}, []bool{false, false, false}},
	} {
		s, got := newStorm(c.commits, within), []bool{}
		for _, at := range c.at {
			got = append(got, s.note(begin.Add(time.Duration(at)*time.Millisecond)))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAStormThatIsForgottenBeginsAnew(t *testing.T) {
	t.Parallel()
	s, now := newStorm(2, time.Hour), time.Now()
	s.note(now)
	s.note(now)
	s.reset()
	got := []bool{s.note(now), s.note(now), s.note(now)}
	if diff := cmp.Diff([]bool{false, false, true}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnInboxKeepsWhatWasLeftUntilItIsTaken(t *testing.T) {
	t.Parallel()
	b := newInbox()
	words := newSpeaker()
	proof := words.say(proofWord)
	b.leaveOwn(proof)
	b.leavePong()
	b.leaveHush()
	b.leaveStorm()
	b.leaveEarly()
	<-b.ready
	all := cmp.AllowUnexported(mail{}, word{})
	if diff := cmp.Diff(mail{[]word{proof}, true, true, true, true}, b.take(), all); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(mail{}, b.take(), all); diff != "" {
		t.Errorf("after it was taken: %s", diff)
	}
	select {
	case <-b.ready:
		t.Error("it says that there is more")
	default:
	}
	for range 10 * ownLimit {
		b.leaveOwn(words.say(hushWord)) // nobody reads, and nobody waits
	}
	if n := len(b.take().own); n != ownLimit {
		t.Errorf("%d words kept, want %d", n, ownLimit)
	}
}

// ledger notes up to where it was told that all is done.
type ledger struct {
	Path
	upto uint64
}

// Acknowledge implements Path.
func (l *ledger) Acknowledge(position uint64) { l.upto = position }

func TestNothingIsAcknowledgedBeforeItIsHandled(t *testing.T) {
	t.Parallel()
	l := &ledger{upto: math.MaxUint64}
	a := &acks{path: l}
	for i, step := range []struct {
		do   func()
		want uint64
	}{
		{func() { a.other(1) }, 1},
		{func() { a.commit(2) }, 1},
		{func() { a.other(3) }, 0}, // a commit is pending, and none was handled before
		{func() { a.handled(2) }, 3},
		{func() { a.commit(4); a.commit(6) }, 3},
		{func() { a.handled(4) }, 4},
		{func() { a.other(7) }, 4},
		{func() { a.handled(2) }, 4}, // late news of an older one
		{func() { a.handled(6) }, 7},
	} {
		if step.do(); l.upto != step.want {
			t.Fatalf("step %d: all up to %d is acknowledged, want %d", i, l.upto, step.want)
		}
	}
}
