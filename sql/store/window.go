package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// EachInWindow is WindowPage for millions of rows: it hands each to due instead of keeping it, and reads the server's binary format itself where it is sent one. It returns how many there were. What due was called with before an error is so, too.
func EachInWindow(ctx context.Context, q *Queries, arg WindowPageParams, due func(id uuid.UUID, at time.Time)) (n int, err error) {
	rows, err := q.db.Query(ctx, WindowPage, arg.After, arg.AfterID, arg.Until, arg.MaxRows)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		id, at, ok := readDue(rows)
		if !ok {
			if err := rows.Scan(&id, &at); err != nil {
				return n, fmt.Errorf("read row: %w", err)
			}
		}
		due(id, at)
	}
	return n, rows.Err()
}

// postgresEpoch is what binary times are counted from, in microseconds of Unix time.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// readDue reads a row of an id and a finite time, if both are binary (PostgreSQL's uuid_send: 16 bytes; timestamptz_send: microseconds since 2000).
func readDue(rows pgx.Rows) (id uuid.UUID, at time.Time, ok bool) {
	fields, raw := rows.FieldDescriptions(), rows.RawValues()
	if len(raw) != 2 || fields[0].Format != pgtype.BinaryFormatCode || fields[1].Format != pgtype.BinaryFormatCode || len(raw[0]) != len(id) || len(raw[1]) != 8 {
		return id, at, false
	}
	since := int64(binary.BigEndian.Uint64(raw[1]))
	if since == math.MaxInt64 || since == math.MinInt64 {
		return id, at, false // infinite
	}
	copy(id[:], raw[0])
	return id, time.UnixMicro(postgresEpoch + since), true
}
