package migrations

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Verdict is what became of one migration in one database.
type Verdict string

// The verdicts of Status.
const (
	Applied Verdict = "applied"
	Pending Verdict = "pending" // not applied yet
	Changed Verdict = "changed" // applied, and the file edited since
	Unknown Verdict = "unknown" // recorded, but this program has no such file
)

// State is one migration as it stands in one database.
type State struct {
	Version    int
	Name       string
	Verdict    Verdict
	AppliedAt  time.Time // zero when pending
	AppVersion string    // program that applied it, if it said so
}

// Status lists every migration that the program or the database knows, in order.
// It needs no more than the right to read, and works on a database that has never
// been migrated.
func (m *Migrator) Status(ctx context.Context, conn *pgx.Conn) ([]State, error) {
	records, err := readLedger(ctx, conn)
	if err != nil {
		return nil, err
	}
	states := make([]State, 0, len(m.files))
	for _, file := range m.files {
		states = append(states, State{Version: file.Version, Name: file.Name, Verdict: Pending})
	}
	for _, r := range records {
		at, known := slices.BinarySearchFunc(states, r.Version, func(s State, version int) int { return s.Version - version })
		state := State{Version: r.Version, Name: r.Name, Verdict: Unknown, AppliedAt: r.AppliedAt, AppVersion: r.AppVersion}
		if !known {
			states = slices.Insert(states, at, state)
			continue
		}
		state.Name, state.Verdict = states[at].Name, m.verdict(r)
		states[at] = state
	}
	return states, nil
}

// verdict judges a record whose file is known.
func (m *Migrator) verdict(r record) Verdict {
	if m.files[r.Version-1].Checksum != r.Checksum {
		return Changed
	}
	return Applied
}
