package store_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

// UUIDs go to the server and come back, alone and in arrays, whether statements are prepared or not.
func TestUUIDsAreRegistered(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Connect(t)
	store.Register(conn.TypeMap())
	one, two := uuid.New(), uuid.New()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeExec} {
		for _, list := range [][]uuid.UUID{nil, {}, {one}, {one, two, uuid.Nil}} {
			var got uuid.UUID
			var many []uuid.UUID
			var length *int
			var null *uuid.UUID
			err := conn.QueryRow(t.Context(), `select $1::uuid, $2::uuid[], cardinality($2::uuid[]), $3::uuid`, mode, one, list, null).Scan(&got, &many, &length, &null)
			if err != nil {
				t.Fatalf("%v, %v: %v", mode, list, err)
			}
			if got != one || !cmp.Equal(many, list) || (list == nil) != (length == nil) || null != nil {
				t.Errorf("%v: sent %v and %v, read %v, %v and %v", mode, one, list, got, many, null)
			}
		}
	}
}

// BenchmarkEncodeUUIDs encodes the argument of a large batch as the driver does by itself, and as it does for the worker.
func BenchmarkEncodeUUIDs(b *testing.B) {
	ids := slices.Repeat([]uuid.UUID{uuid.New()}, 500)
	for name, prepare := range map[string]func(*pgtype.Map){"driver": func(*pgtype.Map) {}, "registered": store.Register} {
		b.Run(name, func(b *testing.B) {
			m := pgtype.NewMap()
			prepare(m)
			var buf []byte
			var err error
			b.ReportAllocs()
			for b.Loop() {
				if buf, err = m.Encode(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, ids, buf[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
