package bench

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// tiny is large enough to see that everything is counted.
func tiny() Size {
	return Size{
		PickupRate: 50, PickupFor: time.Second, Drain: []int{300}, Sustained: []int{100}, SustainedFor: time.Second,
		Lateness: []int{100}, LatenessFor: time.Second, Herd: 250, PacedHerd: 900, Rebuild: []int{2000, 1000}, Far: 3000, Starts: 2,
		IdleFor: time.Second, Growth: []int{2000}, Cleanup: 2000, CleanupReminders: 100,
	}
}

// program is the real one, built once.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reminder-worker")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../reminder-worker")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// Everything is measured, of the real program, and each figure is there. How good they are is nothing that a test may judge.
func TestEveryScenario(t *testing.T) {
	t.Parallel()
	var told bytes.Buffer
	b, err := New(Config{Runs: 1, Size: tiny(), Progress: &told}, Ours(program(t)))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"pickup": {"p50", "p99", "max"}, "drain": {"rate", "from start"}, "sustained": {"p50", "p99", "written", "backlog"},
		"lateness": {"p50", "p99", "max"}, "herd": {"first", "last"}, "paced herd": {"rate", "most in a second", "out of order", "last"},
		"rebuild": {"ready after", "ready after at most", "rate", "rate at least"}, "idle": {"transactions"}, "growth": {"p50", "p99", "p99 at most", "lateness p50", "lateness p99", "lateness p99 at most"},
		"cleanup": {"rows", "took", "rate", "longest transaction", "before p50", "before p99", "meanwhile p50", "meanwhile p99"},
	}
	var results []Result
	if err := b.Run(t.Context(), func(r Result) { results = append(results, r) }); err != nil {
		t.Fatalf("%v\n%s", err, &told)
	}
	seen := map[string]int{}
	for _, r := range results {
		seen[r.Scenario]++
		for _, name := range want[r.Scenario] {
			if v, there := r.Value(name); !there || v < 0 {
				t.Errorf("%s %s: %s is %v, there: %v", r.Scenario, r.Case, name, v, there)
			}
		}
		if most, _ := r.Value("most in a second"); most > 600 {
			t.Errorf("%v in a second, and Expo allows 600", most)
		}
	}
	for name := range want {
		if n := seen[name]; n == 0 || name == "rebuild" && n != 2 {
			t.Errorf("%s was measured %d times", name, n)
		}
	}
	var table bytes.Buffer
	if err := WriteTable(&table, Summarise(results)); err != nil || !strings.Contains(table.String(), "1000 reminders of 4000") {
		t.Errorf("table: %v\n%s", err, &table)
	}
	if strings.Contains(told.String(), "left behind") {
		t.Errorf("databases are left behind:\n%s", &told)
	}
}

// Where a worker's users enter an event through a library, the app does.
func TestEnteredByFunction(t *testing.T) {
	t.Parallel()
	var entered atomic.Int64
	w := Ours(program(t))
	statement := w.SQL.Event
	w.SQL.Event, w.Enter = "", func(ctx context.Context, db *pgx.Conn, e Event) error {
		entered.Add(1)
		return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, statement, e.ID, e.User, e.Start)
			return err
		})
	}
	b, err := New(Config{Runs: 1, Size: tiny(), Only: []string{"pickup"}}, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(t.Context(), func(Result) {}); err != nil || entered.Load() != 50 {
		t.Errorf("%d entered, error %v", entered.Load(), err)
	}
}

// A program that ends instead of serving fails its measurement, with its last words.
func TestProgramThatEnds(t *testing.T) {
	t.Parallel()
	p, err := startProcess(exec.CommandContext(t.Context(), "sh", "-c", "echo ready; echo no luck; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	err = p.until(t.Context(), time.Millisecond, func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "no luck") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v", err)
	}
	if !p.ready() {
		t.Error("its word was not heard")
	}
	if err := p.stop(); err != nil {
		t.Errorf("stopped when it had ended: %v", err)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	values := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for share, want := range map[float64]float64{0: 1, 0.5: 5, 0.51: 6, 0.9: 9, 0.99: 10, 1: 10} {
		if got := quantile(values, share); got != want {
			t.Errorf("quantile %v: %v, want %v", share, got, want)
		}
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestSummarise(t *testing.T) {
	t.Parallel()
	var results []Result
	for run, v := range []float64{3, 1, 2} {
		results = append(results, Result{Worker: "w", Scenario: "herd", Run: run + 1, Figures: []Figure{{"last", v, "ms"}}, Strangers: v / 10})
	}
	sums := Summarise(results)
	if len(sums) != 1 || sums[0].Runs != 3 || sums[0].Strangers != 0.3 || sums[0].Figures[0] != (Range{"last", 2, 1, 3, "ms"}) {
		t.Errorf("summary %+v", sums)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	err := Config{Runs: 0, Only: []string{"herds"}}.Validate()
	if err == nil || !strings.Contains(err.Error(), "--runs 0") || !strings.Contains(err.Error(), "--only herds: there is none of that name; there are pickup, drain") {
		t.Errorf("error %v", err)
	}
}
