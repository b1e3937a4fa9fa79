package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// oldestServer is the oldest server the schema and the statements are written for.
	oldestServer = 14
	// clockTolerance is how far two clocks may be apart without a remark.
	clockTolerance = 2 * time.Second
	// queueWarn and queueFail are shares of the server's queue of changes. A full one refuses every NOTIFY, and with it the app's writes.
	queueWarn, queueFail = 0.1, 0.5
)

// patient is a database under examination.
type patient struct {
	c       Config
	conn    *pgx.Conn
	role    string // may be another than the user a pooler is given
	server  server
	heard   bool // its NOTIFY came back
	swallow bool // its NOTIFY was sent and did not come back
}

// examination is one check of a database. Only those that follow may use what it found out.
type examination struct {
	id      string
	examine func(context.Context, *patient) Finding
}

var examinations = []examination{
	{"server_version", examineVersion},
	{"writable", examineWritable},
	{"schema", examineSchema},
	{"triggers", examineTriggers},
	{"privileges", examinePrivileges},
	{"row_security", examineRowSecurity},
	{"round_trip", examineRoundTrip},
	{"pooler", examinePooler},
	{"replication", examineReplication},
	{"clock", examineClock},
	{"queue", examineQueue},
	{"sealed_tokens", examineSealed},
}

// examineDatabase connects and examines, one thing after the other.
func examineDatabase(ctx context.Context, c Config) []Finding {
	p := &patient{c: c}
	findings := []Finding{p.connect(ctx)}
	if p.conn != nil {
		defer p.close(ctx)
	}
	for _, e := range examinations {
		if p.conn == nil || p.conn.IsClosed() {
			findings = append(findings, skip(e.id, "there is no connection to the database", "First see to the database."))
			continue
		}
		limited, cancel := context.WithTimeout(ctx, checkLimit)
		f := e.examine(limited, p)
		cancel()
		f.ID = e.id
		findings = append(findings, f)
	}
	return findings
}

func (p *patient) connect(ctx context.Context) Finding {
	const id = "database"
	if _, err := p.c.connConfig(); err != nil {
		return skip(id, "the configuration names no database that could be asked", "First correct the configuration.")
	}
	began := time.Now()
	conn, err := Connect(ctx, p.c)
	if e, ok := errors.AsType[*UnreachableError](err); ok {
		return fail(id, e.Reason, e.Fix)
	}
	if err != nil {
		return fail(id, oneLine(err), "Run this again.")
	}
	c := conn.Config()
	p.conn = conn
	where := place(&c.Config)
	if all := hosts(&c.Config); len(all) > 1 {
		where = fmt.Sprintf("%s (of %s)", remote(conn.PgConn()), strings.Join(all, ", "))
	}
	text := fmt.Sprintf("connected to %q at %s as %q in %s", c.Database, where, c.User, rounded(time.Since(began)))
	if _, encrypted := conn.PgConn().Conn().(interface{ HandshakeContext(context.Context) error }); !encrypted {
		text += ", without TLS"
	}
	return pass(id, text)
}

func (p *patient) close(ctx context.Context) { hangUp(ctx, p.conn) }

func hangUp(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing was left to say
}

// cannotAsk is for a question the server does not answer.
func cannotAsk(err error) Finding {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fail("", fmt.Sprintf("the server refuses the question: %s (SQLSTATE %s)", pe.Message, pe.Code), "Grant the role what the message names, or connect as the owner of the app's tables.")
	}
	if timedOut(err) {
		return fail("", "no answer within "+checkLimit.String(), "Look at the server's load and locks (pg_stat_activity), and at a pooler's free server connections; then run this again.")
	}
	return fail("", oneLine(err), "Run this again.")
}

func examineVersion(ctx context.Context, p *patient) Finding {
	var number int
	var version string
	err := p.conn.QueryRow(ctx, `select current_setting('server_version_num')::int, current_setting('server_version'), current_user`).Scan(&number, &version, &p.role)
	if err != nil {
		return cannotAsk(err)
	}
	return judgeVersion(number, version)
}

func judgeVersion(number int, version string) Finding {
	if number < oldestServer*10_000 {
		return fail("", fmt.Sprintf("PostgreSQL %s is older than %d", version, oldestServer), fmt.Sprintf("Upgrade the server to PostgreSQL %d or newer.", oldestServer))
	}
	return pass("", "PostgreSQL "+version)
}

func examineWritable(ctx context.Context, p *patient) Finding {
	var err error
	if p.server, err = askServer(ctx, p.conn.PgConn()); err != nil {
		return cannotAsk(err)
	}
	if e, ok := errors.AsType[*ReadOnlyError](p.server.writable(p.conn.PgConn())); ok {
		reason, fix := whyReadOnly(&p.conn.Config().Config, e)
		return fail("", reason, fix)
	}
	return pass("", "this is the primary, and it takes writes")
}

func examineClock(ctx context.Context, p *patient) Finding {
	var theirs time.Time
	began := time.Now()
	if err := p.conn.QueryRow(ctx, `select clock_timestamp()`).Scan(&theirs); err != nil {
		return cannotAsk(err)
	}
	took := time.Since(began)
	return judgeClock(theirs.Sub(began.Add(took/2)), took)
}

func judgeClock(offset, took time.Duration) Finding {
	if offset.Abs() <= max(clockTolerance, took) {
		return pass("", fmt.Sprintf("the database's clock is %s from this machine's (measured in %s)", rounded(offset), rounded(took)))
	}
	way := "ahead of"
	if offset < 0 {
		way = "behind"
	}
	return warn("", fmt.Sprintf("the database's clock is %s %s this machine's; reminders follow the database's, logs this one's", rounded(offset.Abs()), way),
		"Set both by NTP; this machine's says "+time.Now().UTC().Format(time.RFC3339)+".")
}

func examineQueue(ctx context.Context, p *patient) Finding {
	var usage float64
	if err := p.conn.QueryRow(ctx, `select pg_notification_queue_usage()`).Scan(&usage); err != nil {
		return cannotAsk(err)
	}
	return judgeQueue(usage)
}

func judgeQueue(usage float64) Finding {
	const fix = "End the session that listens and does not read: select pid, application_name, xact_start from pg_stat_activity where state like 'idle in transaction%' order by xact_start."
	text := fmt.Sprintf("the server's queue of changes is %.4g %% full", 100*usage)
	switch {
	case usage >= queueFail:
		return fail("", text+"; when it is full, the app's writes fail", fix)
	case usage >= queueWarn:
		return warn("", text, fix)
	}
	return pass("", text)
}
