package listener

import (
	"crypto/rand"
	"strconv"
	"strings"
)

// eventsPayload is how the triggers announce a commit to the table of events. What
// they announce of others has no text.
const eventsPayload = "events"

// The workers' own payloads: what kind, whose, and which. Any other payload is a
// commit.
const (
	proofWord = "proof" // comes back to who sent it, and proves the path
	hushWord  = "hush"  // the bell is about to be closed
	toldWord  = "told"  // another worker has written something that all should see
)

// word is a payload of a worker's own.
type word struct{ kind, owner, nr string }

// String is the payload. No content of a row is ever in it.
func (w word) String() string { return w.kind + ":" + w.owner + ":" + w.nr }

// parseWord tells words from commits.
func parseWord(payload string) (word, bool) {
	kind, rest, ok := strings.Cut(payload, ":")
	if !ok || (kind != proofWord && kind != hushWord && kind != toldWord) {
		return word{}, false
	}
	owner, nr, ok := strings.Cut(rest, ":")
	return word{kind, owner, nr}, ok
}

// Told is a payload by which somebody who does not listen has every worker look.
func Told() string { return newSpeaker().say(toldWord).String() }

// speaker makes words, each once.
type speaker struct {
	name string
	nr   uint64
}

func newSpeaker() *speaker { return &speaker{name: rand.Text()} }

func (s *speaker) say(kind string) word {
	s.nr++
	return word{kind, s.name, strconv.FormatUint(s.nr, 36)}
}
