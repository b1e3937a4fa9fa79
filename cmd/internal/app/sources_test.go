package app

import (
	"hash/crc32"
	"testing"
)

// source is a change source. All promise the same, so what tests one tests the others.
type source struct {
	name     string
	share    int      // percent of the rows that the test of the default has: the others need not take as long
	settings []string // of a worker in a process of its own
}

var sources = []source{
	{"notify", 100, []string{"CHANGE_SOURCE=notify"}},
	{"wal", 40, []string{"CHANGE_SOURCE=wal", "LEASE=5s"}},
	{"poll", 40, []string{"CHANGE_SOURCE=poll", "LEASE=5s"}},
}

// of is this source's share of so many rows.
func (s source) of(rows int) int { return rows * s.share / 100 }

// world is one whose workers may hear through the source.
func (s source) world(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	if s.name == sourceWAL {
		w.runsAs(walRunner)
	}
	return w
}

// sourcesOf are those that a test is run for: every one, or with -short one, which another test need not have.
func sourcesOf(test string) []source {
	if !testing.Short() {
		return sources
	}
	i := crc32.ChecksumIEEE([]byte(test)) % uint32(len(sources))
	return sources[i : i+1]
}

// eachSource runs a test for every source.
func eachSource(t *testing.T, test func(t *testing.T, s source)) {
	for _, s := range sourcesOf(t.Name()) {
		t.Run(s.name, func(t *testing.T) { test(t, s) })
	}
}
