package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// member is a user of the family's app.
type member struct {
	id     uuid.UUID
	name   string
	google bool
	phones []string
	child  string
	locale string
	kid    uuid.UUID
}

func (m *member) email() string { return lowerFirst(m.name) + "@example.org" }

func (m *member) tokens() []string {
	tokens := make([]string, len(m.phones))
	for i, p := range m.phones {
		tokens[i] = "ExponentPushToken[" + p + "]"
	}
	return tokens
}

// family is a small family, who do everything as their app does it: by SQL, in the role and with the claims of the signed-in user.
type family struct {
	db                *pgx.Conn
	mira, jonas, ruth *member
}

func newFamily(db *pgx.Conn) *family {
	return &family{
		db:    db,
		mira:  &member{name: "Mira", google: true, phones: []string{"mira-phone", "mira-tablet"}, child: "Leo"},
		jonas: &member{name: "Jonas", google: true, phones: []string{"jonas-phone"}, child: "Ada"},
		ruth:  &member{name: "Ruth", phones: []string{"ruth-phone"}, locale: "de"},
	}
}

// signUp makes the members known, as the app does at its first start. consent is what Google gives for a user.
func (f *family) signUp(ctx context.Context, consent func(email string) (refreshToken string)) error {
	for _, m := range []*member{f.mira, f.jonas, f.ruth} {
		if err := f.db.QueryRow(ctx, `insert into auth.users (email) values ($1) returning id`, m.email()).Scan(&m.id); err != nil {
			return fmt.Errorf("sign up %s: %w", m.name, err)
		}
		if m.google {
			if _, err := f.as(ctx, m, `select connect_google_calendar($1)`, consent(m.email())); err != nil {
				return err
			}
		}
		for _, token := range m.tokens() {
			if _, err := f.as(ctx, m, `select register_push_token($1, 'ios')`, token); err != nil {
				return err
			}
		}
		if m.locale != "" {
			if _, err := f.as(ctx, m, `insert into notification_settings (user_id, locale) values ($1, $2)`, m.id, m.locale); err != nil {
				return err
			}
		}
		if m.child == "" {
			continue
		}
		kid, err := f.as(ctx, m, `insert into children (user_id, name) values ($1, $2) returning id`, m.id, m.child)
		if err != nil {
			return err
		}
		m.kid = kid
	}
	return nil
}

// as runs one statement as the app does for a signed-in user, and returns the id that it answers, if any.
func (f *family) as(ctx context.Context, m *member, sql string, args ...any) (id uuid.UUID, err error) {
	err = pgx.BeginFunc(ctx, f.db, func(tx pgx.Tx) error {
		claims := fmt.Sprintf(`{"sub": %q, "role": "authenticated"}`, m.id)
		if _, err := tx.Exec(ctx, `select set_config('request.jwt.claims', $1, true), set_config('role', 'authenticated', true)`, claims); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if v, err := rows.Values(); err == nil && len(v) == 1 {
				if raw, ok := v[0].([16]byte); ok {
					id = raw
				}
			}
		}
		return rows.Err()
	})
	if err != nil {
		return id, fmt.Errorf("write as %s: %w", m.name, err)
	}
	return id, nil
}

// appointment is an event as the app's form has it.
type appointment struct {
	title, place string
	bring        []string
	start        time.Time
	lasts        time.Duration
}

func (f *family) insert(ctx context.Context, m *member, a appointment) (uuid.UUID, error) {
	var kid *uuid.UUID
	if m.kid != uuid.Nil {
		kid = &m.kid
	}
	return f.as(ctx, m, `insert into events (user_id, child_id, title, start_ts, end_ts, location, prep_items)
		values ($1, $2, $3, $4, $5, nullif($6, ''), $7) returning id`,
		m.id, kid, a.title, a.start, a.start.Add(a.lasts), a.place, a.bring)
}
