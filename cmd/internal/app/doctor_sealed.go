package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// stored is how many refresh tokens are stored in one way.
type stored struct {
	Key    string // empty: in plain text; ?: sealed in a way this version does not know
	Tokens int64
}

// examineSealed looks whether the refresh tokens in the database can be read with the keys that are set.
func examineSealed(ctx context.Context, p *patient) Finding {
	var there bool
	if err := p.conn.QueryRow(ctx, `select to_regclass('reminder_worker.google_accounts') is not null`).Scan(&there); err != nil {
		return cannotAsk(err)
	}
	if !there {
		return skip("", "the table of accounts is not there", migrateFix)
	}
	rows, err := p.conn.Query(ctx, `select key, count(*) from (
			select case when left(refresh_token, 7) <> 'sealed:' then '' when refresh_token ~ '^sealed:v1:[0-9a-f]{8}:' then split_part(refresh_token, ':', 3) else '?' end as key
			from reminder_worker.google_accounts where refresh_token <> '') a
		group by key order by key`)
	if err != nil {
		return cannotAsk(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[stored])
	if err != nil {
		return cannotAsk(err)
	}
	return judgeSealed(p.c, found)
}

func judgeSealed(c Config, found []stored) Finding {
	keys, err := c.Keys()
	if err != nil {
		return skip("", "TOKEN_ENCRYPTION_KEY cannot be read", "Correct it: reminder-worker tokens key makes one.")
	}
	var total, plain, older int64
	var missing []string
	for _, s := range found {
		total += s.Tokens
		switch {
		case s.Key == "":
			plain = s.Tokens
		case !keys.Knows(s.Key):
			missing = append(missing, fmt.Sprintf("%d with key %s", s.Tokens, s.Key))
		case s.Key != keys.KeyID():
			older += s.Tokens
		}
	}
	switch {
	case len(missing) > 0:
		return fail("", "refresh tokens are sealed with keys that TOKEN_ENCRYPTION_KEY lacks: "+strings.Join(missing, ", "),
			"Add these keys to TOKEN_ENCRYPTION_KEY, behind the present one; if one is lost, its users have to connect again.")
	case keys != nil && plain > 0:
		return warn("", fmt.Sprintf("%d of %d refresh tokens are not sealed yet", plain, total), "Run a worker with this TOKEN_ENCRYPTION_KEY, or reminder-worker tokens seal.")
	case older > 0:
		return warn("", fmt.Sprintf("%d of %d refresh tokens are sealed with a key that is being replaced", older, total), "Run reminder-worker tokens seal, then take the old keys away.")
	case keys == nil:
		return pass("", fmt.Sprintf("%d refresh tokens, in plain text", total))
	}
	return pass("", fmt.Sprintf("%d refresh tokens, all sealed with key %s", total, keys.KeyID()))
}
