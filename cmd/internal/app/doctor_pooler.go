package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// transactionPort is where Supabase's pooler lends a server connection for one transaction at a time.
	transactionPort = 6543
	// doctorChannel is heard by nobody but Diagnose, so that no worker is woken by it.
	doctorChannel = "reminder_worker_doctor"
)

// examineRoundTrip listens on one connection and sends on another: a transaction pooler may well give both statements of one client to
// the same server connection, and would then seem to deliver.
func examineRoundTrip(ctx context.Context, p *patient) Finding {
	if p.standby {
		return skip("", "a standby cannot LISTEN", "Point DATABASE_URL at the primary.")
	}
	ear, err := Connect(ctx, p.c)
	if err != nil {
		return fail("", "a second connection cannot be made: "+oneLine(err), "The worker needs DATABASE_POOL_SIZE connections and one more: lower it, or allow more.")
	}
	defer hangUp(ctx, ear)
	took, err := roundTrip(ctx, ear, p.conn)
	if err == nil {
		return pass("", "a change is heard "+rounded(took)+" after it is sent")
	}
	if ctx.Err() == nil {
		return cannotAsk(err)
	}
	p.swallow = true
	return judgeDeafness(p.c.ChangeSource)
}

func judgeDeafness(source string) Finding {
	const fix = "Use a direct or session-mode connection (on Supabase: port 5432), or set CHANGE_SOURCE=poll if there is none."
	text := "a NOTIFY did not come back within " + checkLimit.String()
	switch source {
	case "poll":
		return pass("", text+"; CHANGE_SOURCE=poll does without")
	case "notify":
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
		if err != nil {
			return 0, err
		}
		if change.Payload == payload {
			return time.Since(sent), nil
		}
	}
}

func examinePooler(_ context.Context, p *patient) Finding {
	const fix = "Use a direct or session-mode connection: on Supabase port 5432 of the same pooler, or the direct address."
	switch {
	case p.port == transactionPort:
		return warn("", fmt.Sprintf("port %d is that of Supabase's pooler in transaction mode, which delivers no changes and keeps no session", transactionPort), fix)
	case p.swallow:
		return warn("", "a pooler in transaction mode seems to sit in between", fix)
	case p.standby:
		return skip("", "only a round trip could tell", "Point DATABASE_URL at the primary.")
	}
	return pass("", "no sign of a pooler in transaction mode")
}
