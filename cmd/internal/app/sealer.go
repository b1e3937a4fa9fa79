package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/seal"
)

// Keys are those that seal and open refresh tokens; nil: there are none.
func (c Config) Keys() (*seal.Keys, error) {
	if c.TokenEncryptionKey == "" {
		return nil, nil
	}
	k, err := seal.Parse(c.TokenEncryptionKey)
	if err != nil {
		return nil, fmt.Errorf("TOKEN_ENCRYPTION_KEY: %w; reminder-worker tokens key makes one", err)
	}
	return k, nil
}

// sealBatch is how many tokens are sealed by one statement.
const sealBatch = 500

// sealRest is the shortest time between two looks for tokens in plain text. The app stores them so: the database has no key.
const sealRest = time.Second

// sealer seals the refresh tokens that are stored in plain text.
type sealer struct {
	db   *store.Queries
	keys *seal.Keys
	log  zerolog.Logger
	due  chan struct{} // capacity 1
}

func newSealer(db *store.Queries, keys *seal.Keys, log zerolog.Logger) *sealer {
	return &sealer{db: db, keys: keys, log: log.With().Str("component", "sealer").Logger(), due: make(chan struct{}, 1)}
}

// look says that there may be tokens to seal. It never blocks.
func (s *sealer) look() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

func (s *sealer) run(ctx context.Context) {
	for {
		s.seal(ctx)
		t := time.NewTimer(sealRest)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-s.due:
		}
	}
}

// seal seals what is stored in plain text. A token whose row somebody is at waits for the next time.
func (s *sealer) seal(ctx context.Context) {
	total := int64(0)
	for ctx.Err() == nil {
		rows, err := s.db.UnsealedTokens(ctx, sealBatch)
		if err != nil {
			s.failed(ctx, fmt.Errorf("read unsealed tokens: %w", err))
			break
		}
		var arg store.ReplaceTokensParams
		for _, row := range rows {
			arg.UserIds, arg.OldTokens = append(arg.UserIds, row.UserID), append(arg.OldTokens, row.RefreshToken)
			arg.NewTokens = append(arg.NewTokens, s.keys.Seal(row.UserID, row.RefreshToken))
		}
		n, err := replaceTokens(ctx, s.db, arg)
		if total += n; err != nil {
			s.failed(ctx, err)
			break
		}
		if len(rows) < sealBatch || n == 0 {
			break
		}
	}
	if total > 0 {
		s.log.Info().Int64("tokens", total).Str("key", s.keys.KeyID()).Msg("refresh tokens sealed")
	}
}

func (s *sealer) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		s.log.Error().Err(err).Msg("refresh tokens not sealed")
	}
}

func replaceTokens(ctx context.Context, db *store.Queries, arg store.ReplaceTokensParams) (int64, error) {
	if len(arg.UserIds) == 0 {
		return 0, nil
	}
	n, err := db.ReplaceTokens(ctx, arg)
	if err != nil {
		return n, fmt.Errorf("replace tokens: %w", err)
	}
	return n, nil
}

// Resealed is what became of the stored refresh tokens.
type Resealed struct {
	// Changed were stored anew, Kept stood as they should already, Busy changed or were locked meanwhile: run it again.
	Changed, Kept, Busy int64
	// Unread could not be opened, by what is missing or wrong.
	Unread map[string]int64
}

// NewSealingKey draws a key for TOKEN_ENCRYPTION_KEY.
func NewSealingKey() string { return seal.NewKey() }

// Reseal stores every refresh token sealed with the first of c's keys, or, if plain is set, in plain text. It may run beside workers, be
// stopped and be run again.
func Reseal(ctx context.Context, c Config, conn *pgx.Conn, plain bool) (Resealed, error) {
	sum := Resealed{Unread: map[string]int64{}}
	keys, err := c.Keys()
	if err != nil {
		return sum, err
	}
	db := store.New(bounded{conn, statementLimit})
	var after uuid.UUID
	for {
		rows, err := db.StoredTokens(ctx, store.StoredTokensParams{After: after, MaxRows: sealBatch})
		if err != nil {
			return sum, fmt.Errorf("read stored tokens: %w", err)
		}
		if len(rows) == 0 {
			return sum, nil
		}
		arg := sum.gather(rows, keys, plain)
		n, err := replaceTokens(ctx, db, arg)
		if err != nil {
			return sum, err
		}
		sum.Changed, sum.Busy = sum.Changed+n, sum.Busy+int64(len(arg.UserIds))-n
		after = rows[len(rows)-1].UserID
	}
}

// gather finds out which of rows are to be stored anew, and how; it counts the others.
func (r *Resealed) gather(rows []store.StoredTokensRow, keys *seal.Keys, plain bool) (arg store.ReplaceTokensParams) {
	for _, row := range rows {
		id, sealed := seal.KeyOf(row.RefreshToken)
		if row.RefreshToken == "" || plain && !sealed || !plain && sealed && id == keys.KeyID() {
			r.Kept++
			continue
		}
		token, err := keys.Open(row.UserID, row.RefreshToken)
		if err != nil {
			r.Unread[whyUnread(err)]++
			continue
		}
		if !plain {
			token = keys.Seal(row.UserID, token)
		}
		arg.UserIds, arg.OldTokens = append(arg.UserIds, row.UserID), append(arg.OldTokens, row.RefreshToken)
		arg.NewTokens = append(arg.NewTokens, token)
	}
	return arg
}

func whyUnread(err error) string {
	if e, ok := errors.AsType[*seal.UnknownKeyError](err); ok {
		return "sealed with key " + e.KeyID + ", which TOKEN_ENCRYPTION_KEY lacks"
	}
	return "damaged, or moved to another user's row: these users have to connect again"
}
