package pgtemp

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestStartAnswersAndStops(t *testing.T) {
	t.Parallel()
	t0 := time.Now()
	s, err := Start(t.Context(), Config{Cache: "/tmp/reminder-worker-tests-0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(t0), s.URL("postgres"))
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(context.Background())
	t0 = time.Now()
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(t0))
}
