package migrations_test

import (
	"time"

	"github.com/google/uuid"
)

// One row's share of a statement's arguments.

func ids(v uuid.UUID) []uuid.UUID   { return []uuid.UUID{v} }
func times(v time.Time) []time.Time { return []time.Time{v} }
func texts(v string) []string       { return []string{v} }
