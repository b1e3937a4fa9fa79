package pgtest_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/pgtemp"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestNewGivesEachTestItsOwnMigratedDatabase(t *testing.T) {
	for range 4 {
		t.Run("Größe & more, a name that is longer than what the server takes", func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			if _, err := db.Pool.Exec(t.Context(), `create table public.mine (id int)`); err != nil {
				t.Fatal(err)
			}
			var name string
			var applied int
			err := db.Connect(t).QueryRow(t.Context(), `select current_database(), count(*) from reminder_worker.migrations`).Scan(&name, &applied)
			if err != nil || name != db.Name || applied == 0 {
				t.Errorf("database %q has %d migrations (%v), want %q with some", name, applied, err, db.Name)
			}
		})
	}
}

func TestNewEmptyIsEmpty(t *testing.T) {
	t.Parallel()
	var tables int
	err := pgtest.NewEmpty(t).Pool.QueryRow(t.Context(), `select count(*) from information_schema.tables
		where table_schema not in ('pg_catalog', 'information_schema')`).Scan(&tables)
	if err != nil || tables != 0 {
		t.Errorf("%d tables (%v), want none", tables, err)
	}
}

func TestChangesStayInTheirDatabase(t *testing.T) {
	t.Parallel()
	here, there := pgtest.NewEmpty(t), pgtest.NewEmpty(t)
	conn := here.Connect(t)
	for _, step := range []struct {
		db  *pgtest.DB
		sql string
	}{{there, "notify heard, 'there'"}, {here, "notify heard, 'here'"}} {
		if _, err := conn.Exec(t.Context(), "listen heard"); err != nil {
			t.Fatal(err)
		}
		if _, err := step.db.Pool.Exec(t.Context(), step.sql); err != nil {
			t.Fatal(err)
		}
	}
	change, err := conn.WaitForNotification(t.Context())
	if err != nil || change.Payload != "here" {
		t.Errorf("heard %+v (%v), want what was sent here", change, err)
	}
}

func TestDatabasesOfPassedTestsAreDropped(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("passes", func(t *testing.T) {
		db := pgtest.New(t)
		name = db.Name
		db.Connect(t) // a connection left open is no obstacle
	})
	var left bool
	row := pgtest.NewEmpty(t).Pool.QueryRow(t.Context(), `select exists (select from pg_database where datname = $1)`, name)
	if err := row.Scan(&left); err != nil || left {
		t.Errorf("database %s is left: %v (%v)", name, left, err)
	}
}

func TestNewServerBelongsToItsTest(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	if err := server.Restart(t.Context(), pgtemp.Crash); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if shared := pgtest.NewEmpty(t); shared.URL() == server.URL(shared.Name) {
		t.Error("it is the server that all tests share")
	}
}

// failOnRequest is an environment variable by which the tests below make the
// test that follows fail, in a process of its own.
const failOnRequest = "PGTEST_FAIL"

func TestFailsOnRequest(t *testing.T) {
	if os.Getenv(failOnRequest) == "" {
		return
	}
	db := pgtest.New(t)
	if _, err := db.Pool.Exec(t.Context(), "create table public.evidence (id int)"); err != nil {
		t.Fatal(err)
	}
	t.Error("as requested")
}

// again runs one test of this package in a process of its own.
func again(t *testing.T, test string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

func TestAFailureSaysHowToKeepTheDatabase(t *testing.T) {
	t.Parallel()
	out, err := again(t, "TestFailsOnRequest", failOnRequest+"=1", "TEST_DATABASE_URL=").CombinedOutput()
	if err == nil || !regexp.MustCompile(`database kept: postgres://\S+/t1_\d+_testfailsonrequest\?\S+ \(until.* set REMINDER_WORKER_KEEP_DB=1`).Match(out) {
		t.Errorf("error %v and output:\n%s", err, out)
	}
}

func TestAKeptDatabaseCanBeLookedAt(t *testing.T) {
	t.Parallel()
	cmd := again(t, "TestFailsOnRequest", failOnRequest+"=1", "REMINDER_WORKER_KEEP_DB=1", "TEST_DATABASE_URL=")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	waits, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var url string
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		_, url, _ = strings.Cut(lines.Text(), "database kept: ")
	}
	if line, err := bufio.NewReader(waits).ReadString('\n'); err != nil || !strings.Contains(line, "end with Ctrl-C") {
		t.Errorf("it says %q (%v)", line, err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "table public.evidence"); err != nil {
		t.Error(err)
	}
	_ = conn.Close(t.Context()) // the server ends next
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("a failed test ended in success")
	}
}

func TestAnExistingServerIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	cmd := again(t, "TestNewGivesEachTestItsOwnMigratedDatabase", "TEST_DATABASE_URL="+db.URL())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	var left int
	err := db.Pool.QueryRow(t.Context(), `select count(*) from pg_database where datname ~ ('_' || $1::text || '(_|$)')`, strconv.Itoa(cmd.Process.Pid)).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d databases of the other process are left (%v)", left, err)
	}
}
