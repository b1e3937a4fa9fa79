package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// What the first page shows is done: a database, the stand-ins and the worker started by its own commands, its SQL run as it stands there, and
// what is printed compared with what it prints. Then whatever else the pages call of the program, and ends by itself, on the same database.
//
// On a machine that stands still, or has no time for some process, the worker asks Google once more, or doctor has no answer in time, which
// the page does not show: it is done again then. A machine that is at leisure keeps this test waiting for a hundredth of a second at most.
func TestReadmeSession(t *testing.T) {
	t.Parallel()
	const tries, leisure = 3, 100 * time.Millisecond
	for try := 1; ; try++ {
		still := standsStill(t)
		s := newSession(t)
		s.play()
		s.end()
		if still := still(); len(s.faults) == 0 || try == tries || still < leisure {
			for _, f := range s.faults {
				t.Error(f)
			}
			if len(s.faults) > 0 {
				t.Logf("the machine stood still for %v; the worker's log:\n%s", still, s.log.String())
			}
			return
		}
	}
}

// standsStill begins to look how long the machine stands still at most, which the function returned tells.
func standsStill(t *testing.T) func() time.Duration {
	const step = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	longest := make(chan time.Duration, 1)
	go func() {
		ticks := time.NewTicker(step)
		defer ticks.Stop()
		before, most := time.Now(), time.Duration(0)
		for {
			select {
			case <-ctx.Done():
				longest <- most
				return
			case <-ticks.C:
				now := time.Now()
				most, before = max(most, now.Sub(before)-step), now
			}
		}
	}()
	return func() time.Duration { cancel(); return <-longest }
}

// session is somebody who follows the pages, in three terminals.
type session struct {
	t      *testing.T
	db     *pgtest.DB
	conn   *pgx.Conn
	server psqlArgs          // as the page calls it
	moved  map[string]string // addresses of the page, and those they have here
	pasted []string          // what the stand-ins say is to be set
	lines  *syncBuffer       // what they print
	ready  int               // how many bytes of it were there before the session
	log    *syncBuffer       // the worker's
	http   string            // where it answers
	ends   []func()          // of what runs, the last first
	faults []string
}

func newSession(t *testing.T) *session {
	return &session{t: t, moved: map[string]string{}, lines: &syncBuffer{}, log: &syncBuffer{}}
}

// syncBuffer is written to by a process and read meanwhile.
type syncBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (s *session) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// until waits for what must come.
func (s *session) until(what string, came func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		if came() {
			return true
		}
	}
	s.fault("waited in vain for %s", what)
	return false
}

// play follows the pages in the order in which they are read, but that the session with psql, which begins a database, comes first.
func (s *session) play() {
	first := page(s.t, firstPage)
	var rest []block
	for _, name := range pages {
		for _, b := range page(s.t, name).blocks {
			switch {
			case name == firstPage && b.section == "In psql":
			case b.language == "sh":
				rest = append(rest, b)
			}
		}
	}
	asked := s.playPsql(first)
	if len(s.faults) > 0 {
		return
	}
	if asked == 0 {
		s.fault("%s: no session was found", firstPage)
	}
	s.playPages(first)
	ran := 0
	for _, b := range rest {
		for _, c := range s.commands(b) {
			ran += s.call(c)
		}
	}
	if ran < 6 {
		s.fault("%d commands were run", ran)
	}
	s.tryStatements()
}

func (s *session) commands(b block) []command {
	commands, err := shell(b)
	if err != nil {
		s.t.Fatal(err)
	}
	return commands
}

// playPsql plays the section with the session, and returns how many statements it was.
func (s *session) playPsql(d document) (statements int) {
	for _, b := range d.blocks {
		if b.section != "In psql" || len(s.faults) > 0 {
			continue
		}
		switch {
		case b.language == "sh":
			for _, c := range s.commands(b) {
				s.begin(c)
			}
		case strings.Contains(b.text, "=# "):
			statements += s.statements(b)
		default:
			s.transcript(b)
		}
	}
	return statements
}

// psqlArgs is whom and what Postgres's own programs are pointed at.
type psqlArgs struct{ host, user, database string }

func readPsqlArgs(words []string) (a psqlArgs) {
	for i := 1; i < len(words); i++ {
		switch {
		case words[i] == "-h" && i+1 < len(words):
			i++
			a.host = words[i]
		case words[i] == "-U" && i+1 < len(words):
			i++
			a.user = words[i]
		default:
			a.database = words[i]
		}
	}
	return a
}

// begin does what a terminal is opened for.
func (s *session) begin(c command) {
	switch args, is := ours(c.words); {
	case len(s.faults) > 0:
	case c.words[0] == "createdb":
		s.server = readPsqlArgs(c.words)
		s.db = pgtest.NewEmpty(s.t)
		s.conn = s.db.Connect(s.t)
	case c.words[0] == "psql":
		if got := readPsqlArgs(c.words); got != s.server {
			s.fault("psql is pointed at %+v, and the database is made at %+v", got, s.server)
		}
	case is && args[0] == "standins":
		s.standins(args)
	case is && args[0] == "run":
		s.newDatabase()
		s.run(c)
	default:
		s.fault("%s: nobody knows how to play %q", firstPage, c.words)
	}
}

// standins starts them as the page does, at other ports, and takes what they print for the other terminal.
func (s *session) standins(args []string) {
	args = slices.Clone(args)
	for i, a := range args {
		if _, _, err := net.SplitHostPort(a); err == nil {
			s.moved[a] = freeAddress(s.t)
			args[i] = s.moved[a]
		}
	}
	s.start(args, nil, s.lines, s.lines)
	s.until("the stand-ins", func() bool { return strings.Contains(s.lines.String(), "Stop with Ctrl-C") })
	for line := range strings.Lines(s.lines.String()) {
		if kv, is := strings.CutPrefix(strings.TrimSpace(line), "export "); is {
			s.pasted = append(s.pasted, kv)
		}
	}
	if _, err := shell(block{text: s.lines.String()}); err != nil || len(s.pasted) == 0 {
		s.fault("the stand-ins print nothing to paste (%v):\n%s", err, s.lines)
	}
}

// start runs the program in the background, until the session ends.
func (s *session) start(args, environ []string, out, errs *syncBuffer) {
	cmd := prepared(s.t, args[0], environ...)
	cmd.Args = append(cmd.Args[:1], args...)
	cmd.Stdout, cmd.Stderr = out, errs
	begin(s.t, cmd)
	s.ends = append(s.ends, func() {
		if code := ends(s.t, cmd, syscall.SIGINT); code != 0 {
			s.fault("%v ended with exit code %d", args, code)
		}
	})
}

// end stops what runs.
func (s *session) end() {
	for _, end := range slices.Backward(s.ends) {
		end()
	}
}

// run starts the worker as the page does, on the database of here.
func (s *session) run(c command) {
	args, _ := ours(c.words)
	s.http = freeAddress(s.t)
	s.start(args, append(s.environment(c.set), "HTTP_ADDR="+s.http), s.log, s.log)
	if !answers("http://" + s.http + "/readyz") {
		s.fault("waited in vain for the worker to be ready")
	}
	s.ready = len(s.lines.String())
}

// environment is what is set in the second terminal, with the database of here in place of the page's. Its user stays, if it is another role.
func (s *session) environment(set []string) []string {
	environ := append(slices.Clone(s.pasted), "DATABASE_URL="+s.db.URL())
	for _, kv := range set {
		name, value, _ := strings.Cut(kv, "=")
		if name != "DATABASE_URL" {
			environ = append(environ, kv)
			continue
		}
		written, err := url.Parse(value)
		here, bad := url.Parse(s.db.URL())
		if err != nil || bad != nil {
			s.fault("%s is no address", value)
			return environ
		}
		if host := written.Hostname(); host == s.server.host && written.Path != "/"+s.server.database {
			s.fault("%s is not the database that the page makes", value)
		}
		if role := written.User.Username(); role != s.server.user {
			here.User = url.User(role)
		}
		environ = append(environ, "DATABASE_URL="+here.String())
	}
	return environ
}

// newDatabase holds doctor to what the page says of it: on a new database the schema fails, and nothing else.
func (s *session) newDatabase() {
	code, out := s.finish([]string{"doctor"}, s.environment(nil))
	if code != exitFailed || !strings.Contains(out, "\nfail  schema ") || !strings.Contains(out, " 1 failed,") {
		s.fault("doctor on a new database: exit code %d\n%s", code, out)
	}
}

// finish runs the program to its end.
func (s *session) finish(args, environ []string) (code int, out string) {
	var both syncBuffer
	cmd := prepared(s.t, args[0], append(environ, "HTTP_ADDR="+cmp.Or(s.http, "off"))...)
	cmd.Args = append(cmd.Args[:1], args...)
	cmd.Stdout, cmd.Stderr = &both, &both
	begin(s.t, cmd)
	return ends(s.t, cmd), both.String()
}

const prompt = "family=# "

// statements runs what stands behind the prompts of a session, and compares what comes with what stands below.
func (s *session) statements(b block) (run int) {
	for part := range strings.SplitSeq("\n"+b.text, "\n"+prompt) {
		statement, printed, ended := strings.Cut(part+"\n", ";\n")
		if strings.TrimSpace(part) == "" || len(s.faults) > 0 {
			continue
		}
		if !ended {
			s.fault("no statement ends in %q", part)
			return run
		}
		run++
		got, err := psql(s.t.Context(), s.conn, statement)
		if err != nil {
			s.fault("%s: %v", statement, err)
			return run
		}
		if want := normalised(strings.Trim(printed, "\n")); got != want {
			s.fault("%s (-page +printed):\n%s", statement, gocmp.Diff(want, got))
		}
		s.rest()
	}
	return run
}

// rest waits until the worker has done what there is to do. A statement of the session leaves its work in the tables as it ends.
func (s *session) rest() {
	s.until("the worker to be done", func() (done bool) {
		err := s.conn.QueryRow(s.t.Context(), `select not exists (select from events where sync_due_at is not null or sync_lease_until is not null)
			and not exists (select from reminder_worker.calendar_copies where due_at is not null)`).Scan(&done)
		return err == nil && done
	})
}

// What differs from one day to the next.
var daily = []struct {
	pattern *regexp.Regexp
	always  string
}{
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), strings.Repeat("0", 32)},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\.\d{3}\b`), "00:00:00.000"},
	{regexp.MustCompile(`\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d\d:\d\d\b`), "Day 00:00"},
	{regexp.MustCompile(`\b\d\d:\d\d\b`), "00:00"},
	{regexp.MustCompile(`\b(\d+ h) \d+ (min|s) ago\b`), "$1 ago"}, // planned a moment later
}

// normalised is text as it is on every day, without blanks at the ends of lines.
func normalised(text string) string {
	for _, d := range daily {
		text = d.pattern.ReplaceAllString(text, d.always)
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// psql runs a statement and shows the rows that come as psql does, but for their number, normalised.
func psql(ctx context.Context, conn *pgx.Conn, statement string) (string, error) {
	rows, err := conn.Query(ctx, statement, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	const int4, int8 = 23, 20
	var head []string
	var right []bool
	for _, f := range rows.FieldDescriptions() {
		head, right = append(head, f.Name), append(right, f.DataTypeOID == int4 || f.DataTypeOID == int8)
	}
	table := [][]string{head}
	for rows.Next() {
		var row []string
		for _, raw := range rows.RawValues() {
			row = append(row, normalised(string(raw)))
		}
		table = append(table, row)
	}
	if err := rows.Err(); err != nil || len(head) == 0 {
		return "", err
	}
	return aligned(table, right), nil
}

// aligned lays a table out as psql does: the names of columns in the middle, numbers to the right.
func aligned(table [][]string, right []bool) string {
	widths := make([]int, len(right))
	for _, row := range table {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var lines []string
	for n, row := range table {
		var cells, rule []string
		for i, cell := range row {
			room := widths[i] - len([]rune(cell))
			left := 0
			switch {
			case n == 0:
				left = room / 2
			case right[i]:
				left = room
			}
			cells = append(cells, " "+strings.Repeat(" ", left)+cell+strings.Repeat(" ", room-left)+" ")
			rule = append(rule, strings.Repeat("-", widths[i]+2))
		}
		lines = append(lines, strings.TrimRight(strings.Join(cells, "|"), " "))
		if n == 0 {
			lines = append(lines, strings.Join(rule, "+"))
		}
	}
	return strings.Join(lines, "\n")
}

// transcript compares what the stand-ins have printed since the worker runs with what the page shows.
func (s *session) transcript(b block) {
	want := strings.TrimSpace(normalised(b.text))
	var got string
	came := s.until("what the page shows of the stand-ins", func() bool {
		got = strings.TrimSpace(normalised(s.lines.String()[s.ready:]))
		return strings.Count(got, "\n") >= strings.Count(want, "\n")
	})
	if !came || got != want {
		s.fault("the stand-ins (-page +printed):\n%s", gocmp.Diff(want, got))
	}
}

// playPages asks for every page that the documents name, and looks for every metric.
func (s *session) playPages(first document) {
	metrics, asked := "", 0
	for _, d := range []document{first, page(s.t, operatorPage)} {
		for _, c := range d.codes {
			address, is := strings.CutPrefix(c.text, "curl 'http://127.0.0.1:8080/")
			address = "/" + strings.TrimSuffix(address, "'")
			if !is && !regexp.MustCompile(`^/[a-z]+$`).MatchString(c.text) {
				continue
			}
			if !is {
				address = c.text
			}
			code, body := get("http://" + s.http + address)
			if asked++; code != http.StatusOK {
				s.fault("%s:%d: %s: %d %s", d.name, c.line, address, code, body)
			}
			if address == "/metrics" {
				metrics = body
			}
		}
	}
	if asked < 6 {
		s.fault("%d pages were asked for", asked)
	}
	for _, d := range []document{first, page(s.t, operatorPage)} {
		for _, c := range d.codes {
			if metricName.MatchString(c.text) && !strings.Contains(metrics, "\n# TYPE "+c.text+" ") {
				s.fault("%s:%d: there is no metric %s", d.name, c.line, c.text)
			}
		}
	}
}

var metricName = regexp.MustCompile(`^reminder_worker_[a-z_]+[a-z]$`)

func get(address string) (code int, body string) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(address)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	var text bytes.Buffer
	_, _ = text.ReadFrom(res.Body) // what is missing is missed
	return res.StatusCode, text.String()
}

// call does one command of the pages on the session's database, if it ends by itself and changes nothing elsewhere. It returns how many it did.
func (s *session) call(c command) int {
	if len(s.faults) > 0 || len(c.words) == 0 {
		return 0
	}
	args, is := ours(c.words)
	switch {
	case !is && c.words[0] == "psql":
		return s.script(c)
	case !is || slices.Contains([]string{"run", "standins", "demo"}, args[0]): // the demo by .ci/run, the others above
		return 0
	}
	code, out := s.finish(args, s.environment(c.set))
	if code != 0 {
		s.fault("%q %q: exit code %d\n%s", c.set, c.words, code, out)
	}
	return 1
}

// script runs a file by psql's -f. What -c asks at the terminal, a password, is not for a test.
func (s *session) script(c command) int {
	at := slices.Index(c.words, "-f")
	if at < 0 || at+1 == len(c.words) {
		return 0
	}
	text, err := os.ReadFile(filepath.Join(checkout, filepath.FromSlash(c.words[at+1])))
	if err == nil {
		_, err = s.conn.Exec(s.t.Context(), string(text), pgx.QueryExecModeSimpleProtocol)
	}
	if err != nil {
		s.fault("%q: %v", c.words, err)
	}
	return 1
}

// tryStatements has the database run every statement that the pages hold, fenced or in a table, and takes back what it does.
func (s *session) tryStatements() {
	tried := 0
	for _, name := range pages {
		d := page(s.t, name)
		statements := map[int]string{}
		for _, c := range d.codes {
			if isSQL(c.text) {
				statements[c.line] += c.text + ";\n"
			}
		}
		for _, b := range d.blocks {
			if b.language == "sql" {
				statements[b.line] = b.text
			}
		}
		for line, text := range statements {
			tried++
			if _, err := s.conn.Exec(s.t.Context(), "begin;\n"+text+";\nrollback", pgx.QueryExecModeSimpleProtocol); err != nil {
				s.fault("%s:%d: %s: %v", name, line, text, err)
				_, _ = s.conn.Exec(s.t.Context(), "rollback") // the fault is told
			}
		}
	}
	if tried < 5 && len(s.faults) == 0 {
		s.fault("found %d statements", tried)
	}
}
