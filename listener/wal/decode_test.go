package wal

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func begin() []byte { return append([]byte{'B'}, make([]byte, 20)...) }

func end(at uint64) []byte {
	b := append([]byte{'C', 0}, make([]byte, 24)...)
	binary.BigEndian.PutUint64(b[10:], at)
	return b
}

func message(flags byte, name, content string) []byte {
	b := append([]byte{'M', flags}, make([]byte, 8)...)
	b = append(append(b, name...), 0)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(content))), content...)
}

// decode runs messages through a decoder, and returns the commits.
func decode(t testing.TB, messages ...[]byte) (commits []commit, err error) {
	t.Helper()
	var d decoder
	for _, m := range messages {
		c, ended, err := d.take(m)
		if err != nil {
			return commits, err
		}
		if ended {
			commits = append(commits, c)
		}
	}
	return commits, nil
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		messages [][]byte
		want     []commit
	}{
		{"a commit", [][]byte{begin(), message(1, prefix, ""), end(7)}, []commit{{end: 7, word: folded{1, ""}}}},
		{"a word", [][]byte{begin(), message(1, prefix, "told:A:1"), end(7)}, []commit{{end: 7, word: folded{1, "told:A:1"}}}},
		{"several are a commit", [][]byte{begin(), message(1, prefix, "told:A:1"), message(1, prefix, "told:A:2"), end(7)}, []commit{{end: 7, word: folded{2, ""}}}},
		{"two transactions", [][]byte{begin(), message(1, prefix, "a"), end(7), begin(), end(9)}, []commit{{end: 7, word: folded{1, "a"}}, {end: 9}}},
		{"a fence", [][]byte{begin(), message(1, fencePrefix, "F"), end(7)}, []commit{{end: 7, fence: "F"}}},
		{"somebody else's", [][]byte{begin(), message(1, "reminder", "x"), message(1, prefix+"2", "x"), end(7)}, []commit{{end: 7}}},
		{"not of a transaction", [][]byte{message(0, prefix, "x"), begin(), message(0, prefix, "x"), end(7)}, []commit{{end: 7}}},
		{"longer than a word", [][]byte{begin(), message(1, prefix, strings.Repeat("x", longestWord+1)), end(7)}, []commit{{end: 7, word: folded{1, ""}}}},
		{"what is passed over", [][]byte{
			{'R'}, {'Y', 1}, begin(), {'O', 1, 2}, {'R', 0xff}, {'I'}, {'U', 1}, {'D'}, {'T', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0},
			{'S'}, {'E'}, {'c'}, {'A'}, {'b'}, {'P'}, {'K'}, {'r'}, {'p'}, {0}, {0xff}, end(7),
		}, []commit{{end: 7}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := decode(t, c.messages...)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(commit{}, folded{})); diff != "" || err != nil {
				t.Errorf("commits (-want +got), error %v:\n%s", err, diff)
			}
		})
	}
}

func TestWhatCannotBeReadEndsThePath(t *testing.T) {
	t.Parallel()
	tooLong := message(1, prefix, "x")
	tooLong[len(tooLong)-2]++ // says that it has one byte more
	for name, messages := range map[string][][]byte{
		"nothing":                 {{}},
		"half a begin":            {begin()[:20]},
		"begin in a transaction":  {begin(), begin()},
		"half a commit":           {begin(), end(7)[:25]},
		"commit without a begin":  {end(7)},
		"message without a begin": {message(1, prefix, "")},
		"half a message":          {begin(), message(1, prefix, "")[:5]},
		"no end of the prefix":    {begin(), message(1, prefix, "")[:12]},
		"no length":               {begin(), message(1, prefix, "")[:10+len(prefix)+3]},
		"length beyond the end":   {begin(), tooLong},
		"bytes beyond the length": {begin(), append(message(1, prefix, "x"), 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := decode(t, messages...); !isMalformed(err) {
				t.Errorf("got %v, want a MalformedError", err)
			}
		})
	}
}

func isMalformed(err error) bool {
	_, ok := errors.AsType[*MalformedError](err)
	return ok
}

// FuzzDecode cuts its input into messages by their first byte, the length.
func FuzzDecode(f *testing.F) {
	for _, seed := range [][][]byte{
		{begin(), message(1, prefix, "proof:A:1"), end(1)},
		{begin(), message(1, fencePrefix, "F"), message(0, prefix, ""), end(1)},
		{{'R', 0, 0, 0, 1, 0}, {'T', 0xff, 0xff, 0xff, 0xff}, {'M'}, {'C'}, {'B'}},
	} {
		var all []byte
		for _, m := range seed {
			all = append(append(all, byte(len(m))), m...)
		}
		f.Add(all)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var d decoder
		for len(in) > 0 {
			n := min(int(in[0]), len(in)-1)
			c, ended, err := d.take(in[1 : 1+n])
			in = in[1+n:]
			if err != nil {
				if !isMalformed(err) || ended {
					t.Fatalf("ended %v with %v", ended, err)
				}
				return
			}
			if ended && (len(c.word.payload) > longestWord || len(c.fence) > longestWord || c.word.count == 0 && c.word.payload != "") {
				t.Fatalf("got %+v", c)
			}
		}
	})
}

// FuzzData is what the server may wrap its messages into.
func FuzzData(f *testing.F) {
	f.Add([]byte("k\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Add(append([]byte("w"), append(make([]byte, 24), begin()...)...))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, in []byte) {
		p := &path{source: &Source{metrics: NewMetrics(nil)}}
		if _, err := p.data(in); err != nil && !isMalformed(err) {
			t.Fatal(err)
		}
	})
}
