package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// doctorChannel is heard by nobody but Diagnose, so that no worker is woken by it.
const doctorChannel = "reminder_worker_doctor"

// errUnheard says that a NOTIFY was sent and did not come back in time.
var errUnheard = errors.New("the change did not come back")

// examineRoundTrip listens on one connection and sends on another: a transaction pooler may well give both statements of one client to
// the same server connection, and would then seem to deliver.
func examineRoundTrip(ctx context.Context, p *patient) Finding {
	if p.server.standby {
		return skip("", "a standby cannot LISTEN", "Point DATABASE_URL at the primary.")
	}
	ear, err := Connect(ctx, p.c)
	if err != nil {
		return fail("", "a second connection cannot be made: "+oneLine(err), "The worker needs DATABASE_POOL_SIZE connections and one more: lower it, or allow more.")
	}
	defer hangUp(ctx, ear)
	took, err := roundTrip(ctx, ear, p.conn)
	if err == nil {
		p.heard = true
		return pass("", "a change is heard "+rounded(took)+" after it is sent")
	}
	if !errors.Is(err, errUnheard) {
		return cannotAsk(err)
	}
	p.swallow = true
	return judgeDeafness(p.c.ChangeSource)
}

func judgeDeafness(source string) Finding {
	const fix = "Use a direct or session-mode connection (on Supabase: port 5432), or set CHANGE_SOURCE=poll if there is none."
	text := "a NOTIFY did not come back within " + checkLimit.String()
	switch source {
	case sourcePoll, sourceWAL:
		return pass("", text+"; CHANGE_SOURCE="+source+" does without")
	case sourceNotify:
		return fail("", text, fix)
	}
	return warn("", text+"; changes are found by a sweep every second instead", fix)
}

func roundTrip(ctx context.Context, ear, mouth *pgx.Conn) (time.Duration, error) {
	if _, err := ear.Exec(ctx, "listen "+doctorChannel); err != nil {
		return 0, err
	}
	payload := rand.Text()
	sent := time.Now()
	if _, err := mouth.Exec(ctx, "select pg_notify($1, $2)", doctorChannel, payload); err != nil {
		return 0, err
	}
	for {
		change, err := ear.WaitForNotification(ctx)
		if err != nil && timedOut(err) {
			return 0, errUnheard
		}
		if err != nil {
			return 0, err
		}
		if change.Payload == payload {
			return time.Since(sent), nil
		}
	}
}

// examinePooler tells what sits in between by two signs: whether the process that answers is the one that greeted, and whether a change
// that was sent has come back.
func examinePooler(_ context.Context, p *patient) Finding {
	var chosen pgx.QueryExecMode
	if p.conn != nil {
		chosen = chosenMode(p.conn.Config().ConnString())
	}
	return judgePooler(p, chosen)
}

func judgePooler(p *patient, chosen pgx.QueryExecMode) Finding {
	const (
		session = "Use a direct connection, or the pooler in session mode: on Supabase port 5432 in place of 6543."
		unknown = "First see to the round trip."
	)
	switch {
	case p.swallow && p.server.pooled && needsSession(chosen):
		return fail("", fmt.Sprintf("a pooler in transaction mode sits in between, and default_query_exec_mode in DATABASE_URL (%s) needs a session: statements fail", chosen),
			"Take default_query_exec_mode out of DATABASE_URL: the worker finds out by itself. Or: "+session)
	case p.swallow && p.server.pooled:
		return judgeTransactionMode(p.c.ChangeSource, session)
	case p.swallow:
		return warn("", "something in between delivers no changes, and does not show itself otherwise", session)
	case p.server.pooled && p.heard:
		return pass("", fmt.Sprintf("a pooler in session mode sits in between; each worker takes %d of its server connections", p.c.PoolSize+1))
	case p.server.pooled:
		return skip("", "a pooler sits in between; only a round trip could tell its mode", unknown)
	}
	return pass("", "none sits in between: the server process that greets is the one that answers")
}

func judgeTransactionMode(source, fix string) Finding {
	const text = "a pooler in transaction mode sits in between: it delivers no changes, and nothing is prepared through it"
	if source == "poll" {
		return pass("", text+"; CHANGE_SOURCE=poll does without")
	}
	return warn("", text, fix)
}

// needsSession reports whether statements that are sent this way count on the same server connection the next time.
func needsSession(mode pgx.QueryExecMode) bool {
	return mode == pgx.QueryExecModeCacheStatement || mode == pgx.QueryExecModeDescribeExec
}
