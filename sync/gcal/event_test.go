package gcal_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/parentpal/reminder-worker/sync/gcal"
)

// The hash is stored; another process, another day and another machine must come to the same.
func TestHashIsStable(t *testing.T) {
	t.Parallel()
	e := newEvent("Football")
	const want = "v1:FblezjdHUNoc3_5PYZEZC-tXNKTgzU19ypxN9hCX6e8"
	if got := e.Hash(); got != want {
		t.Errorf("hash %s, want %s: stored hashes would all differ", got, want)
	}
	e.ID = uuid.New()
	e.Start, e.End = e.Start.In(time.FixedZone("", 3600)), e.End.Add(time.Microsecond)
	if got := e.Hash(); got != want {
		t.Errorf("hash %s depends on what Google does not show, want %s", got, want)
	}
}

func TestHashSeesEveryField(t *testing.T) {
	t.Parallel()
	e := newEvent("Football")
	seen := map[string]string{e.Hash(): "nothing"}
	for name, change := range map[string]func(*gcal.Event){
		"title":       func(e *gcal.Event) { e.Title += "!" },
		"location":    func(e *gcal.Event) { e.Location += "!" },
		"description": func(e *gcal.Event) { e.Description += "!" },
		"start":       func(e *gcal.Event) { e.Start = e.Start.Add(time.Second) },
		"end":         func(e *gcal.Event) { e.End = e.End.Add(time.Second) },
		"zone":        func(e *gcal.Event) { e.TimeZone = "Europe/Paris" },
		"boundary":    func(e *gcal.Event) { e.Title, e.Location = e.Title+e.Location[:1], e.Location[1:] },
	} {
		changed := e
		change(&changed)
		if other, ok := seen[changed.Hash()]; ok {
			t.Errorf("a change of %s and of %s make the same hash", name, other)
		}
		seen[changed.Hash()] = name
	}
}

func TestNewGoogleID(t *testing.T) {
	t.Parallel()
	event := uuid.MustParse("0B6A1F5E-93C2-4D10-8F7A-5C2E9D40B713")
	for generation, want := range map[int]string{
		-1: "0b6a1f5e93c24d108f7a5c2e9d40b713",
		0:  "0b6a1f5e93c24d108f7a5c2e9d40b713",
		1:  "c9f5033b96c512bcc9bfc596ea3bec88",
		2:  "d28b1299f2b0f442dbb8200ddc0a1a86",
	} {
		if got := gcal.NewGoogleID(event, generation); got != want {
			t.Errorf("generation %d has id %s, want %s", generation, got, want)
		}
	}
	valid := regexp.MustCompile(`^[0-9a-v]{32}$`)
	rapid.Check(t, func(t *rapid.T) {
		event := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "event"))
		one, two := rapid.IntRange(0, 50).Draw(t, "one"), rapid.IntRange(0, 50).Draw(t, "two")
		a, b := gcal.NewGoogleID(event, one), gcal.NewGoogleID(event, two)
		if !valid.MatchString(a) || (a == b) != (one == two) {
			t.Fatalf("generations %d and %d have ids %s and %s", one, two, a, b)
		}
	})
}
